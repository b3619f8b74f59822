"""`certify radius MODEL --data FILE`: how far each sample can move before the model may answer otherwise."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Clip, Count, Data, Json, Plot, Rows, Seed, Verbose
from certify.cli.watch import answering_early

if TYPE_CHECKING:
    from certify.quantities.radius import Radii

POINTS_OF_CURVE = 11


class NormName(str, Enum):
    """Values of --norm."""

    inf = "inf"
    two = "2"
    one = "1"


def radius(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX classifier (.onnx or .onnx.gz).")],
    data: Data,
    norm: Annotated[NormName, typer.Option(help="Of the distance: maximum, Euclidean, or taxicab.")] = NormName.inf,
    count: Count = None,
    clip: Clip = None,
    timeout: Annotated[
        float, typer.Option(min=0.0, help="Seconds per sample, on average, for what comes after plain CROWN.")
    ] = 0.2,
    seed: Seed = 0,
    plot: Plot = None,
    json: Json = None,
    most: Rows = 20,
    verbose: Verbose = False,
) -> None:
    """Certified and attacked radius of each sample, and the share of samples certified at each radius.

    No input nearer than the certified radius (and in the range of --clip) changes the answer: proven. Some input at the
    attacked radius does: replayed by onnxruntime. What lies between is open. A sample that is misclassified has the
    radius 0. Exit code 0 when the radii are written, 2 for input that cannot be used, 4 for internal errors.
    """
    with reported(verbose), answering_early():
        from certify.cli.answer import write_json
        from certify.quantities.radius import radius as run

        found = run(model, data, norm=norm.value, clip=clip, count=count, timeout=timeout, seed=seed)
        if plot is not None:
            from certify.quantities.radius_plot import draw

            draw(found, plot)
        if json is not None:
            write_json(json, found.as_dict())
        if json != "-":
            _print(found, most)


def _print(found: Radii, most: int) -> None:
    import numpy as np

    typer.echo("sample  label  certified   attacked     gap  by")
    for each in found.samples[:most]:
        said = each.detail["by"] if each.detail["correct"] else f"misclassified as {each.detail['answer']}: radius 0"
        typer.echo(
            f"{each.detail['sample']:>6} {each.detail['label']:>6} {each.lower:10.5f} {each.upper:10.5f} "
            f"{each.gap:7.4f}  {said}"
        )
    if len(found.samples) > most:
        typer.echo(f"... {len(found.samples) - most} more samples (--json has all)")
    finite = found.attacked[np.isfinite(found.attacked)]
    typer.echo(f"radius ({found.norm} norm)   certified   not broken")
    for at in np.linspace(0.0, finite.max(initial=0.0), POINTS_OF_CURVE):
        shares = found.certified_share(np.array([at]))[0], found.unbroken_share(np.array([at]))[0]
        typer.echo(f"{at:17.5f} {shares[0]:11.3f} {shares[1]:12.3f}")
    wrong = sum(not each.detail["correct"] for each in found.samples)
    typer.echo(
        f"median: certified {np.median(found.certified):.5f}, attacked {np.median(found.attacked):.5f}; "
        f"misclassified: {wrong} of {len(found.samples)}; time: {found.seconds:.2f} s"
    )
