"""`certify diff BEFORE AFTER`: how far two models can be apart on a region, proven and sampled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from certify.cli.errors import reported
from certify.cli.options import Clip, Json, Rows, Seed, Verbose, writable
from certify.cli.watch import answering_early
from certify.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from certify.compare.difference import Difference

MEANING = {
    "proved": "proved: no input of the regions takes them further apart",
    "exceeded": "exceeded: onnxruntime computes a larger difference at an input of a region",
    "open": "undecided: nothing larger was met, and the proof does not reach that far (--timeout)",
}


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="ONNX model (.onnx or .onnx.gz).")],
    after: Annotated[
        Path,
        typer.Argument(metavar="AFTER", help="Another of the same inputs and outputs: pruned, quantised, distilled."),
    ],
    region: Annotated[Path | None, typer.Option(metavar="SPEC", help="VNN-LIB file: its input boxes.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Instead: samples (.npz, .csv, idx, digits:test), with --eps.")
    ] = None,
    eps: Annotated[float | None, typer.Option(min=0.0, help="Radius around samples, maximum norm.")] = None,
    clip: Clip = None,
    index: Annotated[list[int] | None, typer.Option(help="Number of a sample, from 0; may be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Without --index: so many samples, from the first on.")] = 10,
    gap: Annotated[float, typer.Option(min=0.0, help="Stop where upper <= (1 + gap) lower bound.")] = 0.1,
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds; what is proven by then holds.")] = 60.0,
    limit: Annotated[float | None, typer.Option("--max", min=0.0, help="What |f - g| must not exceed.")] = None,
    top1: Annotated[bool, typer.Option("--top1/--no-top1", help="Prove that the top class agrees.")] = True,
    delta: Annotated[
        float | None, typer.Option(help="Also: that it agrees where BEFORE's softmax is at least this (over 0.5).")
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=writable, help="Write `|f - g| > D somewhere?` as VNN-LIB 2.0 for any tool."
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = None,
    most: Rows = 20,
    verbose: Verbose = False,
) -> None:
    """Bound |BEFORE - AFTER| on every region: proven from above, reached by an input from below.

    Models of one structure are compared layer by layer, which is tight where their weights are close; any others as
    two networks on one input. D of --query is --max, or else the bound that was proven.

    Exit codes: 0 no difference exceeds --max (or none is asked), 1 an input does, 2 input or usage error, 3 undecided.
    """
    with reported(verbose), answering_early():
        if delta is not None and not 0.5 < delta < 1.0:
            raise InputError(f"--delta {delta} is not between 0.5 and 1", "below that, two classes can be as confident")
        from certify.cli.answer import write_json
        from certify.compare.difference import Plan, difference

        plan = Plan(gap, timeout, limit, top1, delta, seed)
        found = difference(
            before, after, region=region, data=data, eps=eps, clip=clip, index=index, count=count, plan=plan
        )
        if query is not None:
            _write_query(query, found)
        if json is not None:
            write_json(json, as_dict(found))
        if json != "-":
            _print(found, most)
    raise typer.Exit(found.exit_code)


def _write_query(path: Path, found: Difference) -> None:
    from certify.compare.difference_query import Two
    from certify.files import write_text

    distance = found.proven if found.plan.limit is None else found.plan.limit
    if not math.isfinite(distance):
        raise InputError("there is no bound to ask about: none was proven", "name one with --max, or give more time")
    two = Two(found.before.path, found.after.path)
    write_text(path, two.exceeds(found.lower, found.upper, distance).text)


def _print(found: Difference, most: int) -> None:
    import numpy as np

    how = "layer by layer" if found.paired else "as a product network: their structures differ"
    typer.echo(f"f = {found.before.path.name}, g = {found.after.path.name}, compared {how}")
    shown = found.regions[:most]
    width = max(6, *(len(region.name) for region in shown))
    typer.echo(f"  {'region':{width}} {'reached':>12} {'onnxruntime':>12} {'proven <=':>12} {'ratio':>7}  top class")
    for region in shown:
        low, seen, high = (float(part.max()) for part in (region.reached, region.observed, region.proven))
        line = f"  {region.name:{width}} {low:12.6g} {seen:12.6g} {high:12.6g} {_ratio(low, high):>7}"
        typer.echo(f"{line}  {_agreed(region)}")
    if len(found.regions) > most:
        typer.echo(f"  ... {len(found.regions) - most} more regions (--json has all)")
    reached, proven = (
        np.stack([getattr(region, part) for region in found.regions]).max(axis=0) for part in ("reached", "proven")
    )
    typer.echo(f"  {'output':>{width}} {'reached':>12} {'':12} {'proven <=':>12} {'ratio':>7}")
    for j in range(min(most, len(reached))):
        low, high = float(reached[j]), float(proven[j])
        typer.echo(f"  {j:>{width}} {low:12.6g} {'':12} {high:12.6g} {_ratio(low, high):>7}")
    typer.echo(
        f"max |f - g| is at least {found.reached:.9g} (float64 at an input) and at most {found.proven:.9g} (proven)"
    )
    _print_agreement("the same top class", [region.top1 for region in found.regions])
    _print_agreement(f"where f is {found.plan.delta} sure", [region.confident for region in found.regions])
    if found.status is not None:
        typer.echo(f"at most {found.plan.limit:g}? {MEANING[found.status]}")


def _print_agreement(what: str, answers: list[Any]) -> None:
    if answers[0] is not None:
        counts = {status: sum(a.status == status for a in answers) for status in ("proved", "refuted", "open")}
        typer.echo(f"{what}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))


def _agreed(region: Any) -> str:
    answers = [answer.status for answer in (region.top1, region.confident) if answer is not None]
    return " / ".join(answers) or "-"


def _ratio(low: float, high: float) -> str:
    return f"{high / low:.3f}" if low > 0.0 and math.isfinite(high) else "-"


def as_dict(found: Difference) -> dict[str, Any]:
    """Everything as JSON values; a bound that was not had is null."""
    regions = []
    for region in found.regions:
        entry: dict[str, Any] = {"name": region.name}
        entry |= {part: _numbers(getattr(region, part)) for part in ("reached", "observed", "proven")}
        entry["points"] = region.points.tolist()
        for part, answer in (("top1", region.top1), ("confident", region.confident)):
            if answer is not None:
                witness = None if answer.witness is None else answer.witness.tolist()
                entry[part] = {"status": answer.status, "witness": witness}
        regions.append(entry)
    return {
        "before": {"file": str(found.before.path), "sha256": found.before.sha256},
        "after": {"file": str(found.after.path), "sha256": found.after.sha256},
        "status": found.status,
        "exit_code": found.exit_code,
        "max": found.plan.limit,
        "gap": found.plan.gap,
        "delta": found.plan.delta,
        "seed": found.plan.seed,
        "paired": found.paired,
        "boxes": found.boxes,
        "reached": found.reached,
        "observed": found.observed,
        "proven": _number(found.proven),
        "regions": regions,
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
