"""`certify capability MODEL --removed 5-9 --data FILE`: how certain it is that classes were removed from a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Clip, Count, Data, Json, Rows, Seed, Verbose
from certify.cli.watch import answering_early
from certify.errors import InputError

if TYPE_CHECKING:
    from certify.quantities.capability import Capability


def capability(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX classifier (.onnx or .onnx.gz).")],
    removed: Annotated[str, typer.Option(metavar="5-9|1,4", help="The classes that were to be removed.")],
    data: Data,
    eps: Annotated[
        float, typer.Option(min=0.0, help="Regions: all inputs within this of a sample (maximum norm).")
    ] = 0.0,
    clip: Clip = None,
    count: Count = None,
    original: Annotated[Path | None, typer.Option(help="The model before the edit: where does nothing change?")] = None,
    timeout: Annotated[
        float, typer.Option(min=0.0, help="Seconds per region, on average, for branch and bound.")
    ] = 0.2,
    seed: Seed = 0,
    json: Json = None,
    most: Rows = 20,
    verbose: Verbose = False,
) -> None:
    """What is left of removed classes on the region around each sample, which may be off the training distribution.

    Per region: whether a removed class is never answered (proven, refuted by an input that onnxruntime replays, or
    open); the largest confidence, as an interval [attained, proven]; the smallest change of the last layer that brings
    a removed class back (Frobenius norm, an interval); and whether the model is proven to equal --original there.
    Scores are taken as logits. Exit code 0 when all is written, 2 for input that cannot be used, 4 for internal errors.
    """
    with reported(verbose), answering_early():
        from certify.cli.answer import write_json
        from certify.quantities.capability import capability as run

        found = run(
            model, data, removed=_classes(removed), eps=eps, clip=clip, count=count, timeout=timeout, seed=seed,
            original=original,
        )  # fmt: skip
        if json is not None:
            write_json(json, found.as_dict())
        if json != "-":
            _print(found, most)


def _classes(text: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise InputError(f"--removed {text}: expected class numbers and ranges", "as in --removed 5-9 or 1,4")
        found += range(int(first), int(last if dash else first) + 1)
    return tuple(found)


def _print(found: Capability, most: int) -> None:
    import numpy as np

    typer.echo(f"removed classes {list(found.classes)}; regions: within {found.eps:g} of each sample (maximum norm)")
    typer.echo("sample  never       confidence removed    confidence any        relearning distance   equals original")
    for each in found.regions[:most]:
        change = "-"
        if each.relearning is not None:
            change = f"[{each.relearning.lower:.4f}, {each.relearning.upper:.4f}]"
        equal = {None: "-", True: "proven", False: "not shown"}[each.equal]
        spans = "  ".join(f"[{e.lower:8.6f}, {e.upper:8.6f}]" for e in (each.removed, each.any))
        typer.echo(f"{each.sample:>6}  {each.never:<10}  {spans}  {change:<20}  {equal}")
    if len(found.regions) > most:
        typer.echo(f"... {len(found.regions) - most} more regions (--json has all)")
    shares = ", ".join(f"{word} {found.share(word):.3f}" for word in ("proven", "refuted", "open"))
    typer.echo(f"never answers with a removed class: {shares}")
    caps = [float(np.median([getattr(each, name).upper for each in found.regions])) for name in ("removed", "any")]
    typer.echo(f"median proven cap of confidence: removed {caps[0]:.6f}, any class {caps[1]:.6f}")
    if found.regions[0].equal is not None:
        typer.echo(f"proven equal to the original: {np.mean([bool(each.equal) for each in found.regions]):.3f}")
    typer.echo(f"time: {found.seconds:.2f} s")
