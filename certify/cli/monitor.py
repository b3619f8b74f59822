"""`certify monitor F G --tau T --data FILE`: a detector of disagreement, and what it is proven to do."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Clip, Count, Data, Json, Rows, Seed, Verbose, writable
from certify.cli.watch import answering_early
from certify.errors import InputError

if TYPE_CHECKING:
    from certify.quantities.coactivation import Together
    from certify.quantities.monitor import Monitoring


class RuleName(str, Enum):
    """Values of --rule."""

    tau = "tau"
    argmax = "argmax"


def monitor(
    f: Annotated[Path, typer.Argument(metavar="F", help="ONNX classifier in use.")],
    g: Annotated[Path, typer.Argument(metavar="G", help="ONNX classifier to compare it with: distilled, scoped, ...")],
    data: Data,
    tau: Annotated[float, typer.Option(min=0.0, help="Largest difference of a score that is accepted.")] = 1.0,
    rule: Annotated[
        RuleName, typer.Option(help="Accept where |f - g| <= tau, or where both answer alike.")
    ] = RuleName.tau,
    eps: Annotated[
        float, typer.Option(min=0.0, help="Regions: all inputs within this of a sample (maximum norm).")
    ] = 0.0,
    clip: Clip = None,
    count: Count = None,
    together: Annotated[
        list[str] | None,
        typer.Option(metavar="TENSOR:A,B", help="Elements A and B of a tensor of F fire (> 0) together; repeatable."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.0, help="Seconds per region and --together, on average, for branch and bound.")
    ] = 0.2,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=writable, help="Write the monitor as ONNX: outputs F's scores and `accept`."
        ),
    ] = None,
    json: Json = None,
    most: Rows = 20,
    verbose: Verbose = False,
) -> None:
    """What a monitor that flags disagreement of two models does on the region around each sample, with proofs.

    never, always: proven for every input of the region. mixed: onnxruntime replayed an accepted and a flagged input.
    trusted: every accepted input of the region is proven to have G's label from F, whatever F is. All three are about
    the rule alone; --together adds conditions, each proven or refuted on its own, to what --out accepts. Exit code
    0 when all is written, 2 for input that cannot be used, 4 for internal errors.
    """
    with reported(verbose), answering_early():
        from certify.cli.answer import write_json
        from certify.quantities.monitor import monitor as run

        found = run(
            f, g, data, tau=tau, rule=rule.value, eps=eps, clip=clip, count=count, timeout=timeout, seed=seed, out=out,
            together=[_together(text) for text in together or []],
        )  # fmt: skip
        if json is not None:
            write_json(json, found.as_dict())
        if json != "-":
            _print(found, most)
        if out is not None:
            typer.echo(f"{out}: agrees with the two models on the samples, in onnxruntime", err=json == "-")


def _together(text: str) -> Together:
    from certify.quantities.coactivation import Together

    tensor, _, elements = text.rpartition(":")
    parts = elements.split(",")
    if not tensor or len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise InputError(f"--together {text}: expected a tensor and two elements", "as in --together relu1:3,17")
    return Together(tensor, int(parts[0]), int(parts[1]))


def _print(found: Monitoring, most: int) -> None:
    rule = f"|f - g| <= {found.tau:g}" if found.rule == "tau" else "f and g answer alike"
    typer.echo(f"accepted where {rule}; regions: within {found.eps:g} of each sample (maximum norm)")
    typer.echo("sample  flagged  largest |f - g|         label  trusted    " + "  ".join(map(str, found.together)))
    for each in found.regions[:most]:
        span = f"[{each.difference.lower:.5f}, {each.difference.upper:.5f}]"
        trusted = "proven" if each.trusted else "not shown"
        typer.echo(
            f"{each.sample:>6}  {each.flag:<7}  {span:<22} {each.label:>6}  {trusted:<9}  {'  '.join(each.together)}"
        )
    if len(found.regions) > most:
        typer.echo(f"... {len(found.regions) - most} more regions (--json has all)")
    shares = ", ".join(f"{word} {found.share(word):.3f}" for word in ("never", "always", "mixed", "open"))
    typer.echo(f"flagged: {shares}; accepted implies trusted: {found.trusted_share:.3f}")
    for place, pair in enumerate(found.together):
        words = [each.together[place] for each in found.regions]
        counts = ", ".join(f"{word} {words.count(word)}" for word in ("proven", "refuted", "open"))
        typer.echo(f"{pair} fire together: {counts}")
    typer.echo(f"time: {found.seconds:.2f} s")
