"""`certify latent MODEL --layer NAME --data FILE`: robustness of what comes after a hidden tensor."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Clip, Count, Data, Json, Rows, Seed, Verbose
from certify.cli.watch import answering_early

if TYPE_CHECKING:
    from certify.quantities.latent import LatentRadii


class LatentNorm(str, Enum):
    """Values of --norm."""

    two = "2"
    inf = "inf"


def latent(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX classifier (.onnx or .onnx.gz).")],
    layer: Annotated[str, typer.Option(metavar="NAME", help="ONNX name of a tensor that everything passes through.")],
    data: Data,
    norm: Annotated[LatentNorm, typer.Option(help="Of the distance between values of the tensor.")] = LatentNorm.two,
    region_eps: Annotated[
        float | None, typer.Option(min=0.0, help="Region of inputs: all within this of the sample (maximum norm).")
    ] = None,
    spec: Annotated[Path | None, typer.Option(help="Region of inputs: the boxes of this VNN-LIB file.")] = None,
    clip: Clip = None,
    count: Count = None,
    timeout: Annotated[
        float, typer.Option(min=0.0, help="Seconds per sample, on average, for bounds beyond plain CROWN.")
    ] = 0.2,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for tail.onnx and what was proven, as VNN-LIB 2.0.")] = None,
    json: Json = None,
    most: Rows = 20,
    verbose: Verbose = False,
) -> None:
    """How far a hidden tensor may move before the answer changes, and how far a region of inputs moves it.

    r: certified radius around the tensor's value at the sample. r/|h|: by the norm of that value, as r alone grows with
    the layer's scale. D: what the region can move the tensor by, at most. Where r >= D, the label is the same on the
    whole region: proven. Exit code 0 when all is written, 2 for input that cannot be used, 4 for internal errors.
    """
    with reported(verbose), answering_early():
        from certify.cli.answer import write_json
        from certify.quantities.latent import latent as run

        found = run(
            model, data, layer=layer, norm=norm.value, region_eps=region_eps, spec=spec, clip=clip, count=count,
            timeout=timeout, seed=seed, out=out,
        )  # fmt: skip
        if json is not None:
            write_json(json, found.as_dict())
        if json != "-":
            _print(found, most)


def _print(found: LatentRadii, most: int) -> None:
    import numpy as np

    cut = ", cut at 0 as it is rectified" if found.rectified else ""
    typer.echo(f"tensor {found.layer}, {found.norm} norm{cut}; region of inputs: {found.region or 'none'}")
    typer.echo("sample  label   certified    attacked    r/|h|   D attained   D proven  label fixed on the region")
    for each in found.samples[:most]:
        moved = "          -          -  -"
        if each.movement is not None:
            moved = f"{each.movement.lower:11.5f} {each.movement.upper:10.5f}  {'yes' if each.fixed else 'not shown'}"
        right = each.radius.detail["correct"]
        typer.echo(
            f"{each.sample:>6} {each.radius.detail['label']:>6} {each.radius.lower:11.5f} {each.radius.upper:11.5f} "
            f"{each.ratio:8.4f}  {moved if right else 'misclassified: radius 0'}"
        )
    if len(found.samples) > most:
        typer.echo(f"... {len(found.samples) - most} more samples (--json has all)")
    ratios = np.array([each.ratio for each in found.samples])
    typer.echo(f"median r {np.median([e.radius.lower for e in found.samples]):.5f}, r/|h| {np.median(ratios):.4f}")
    if found.region:
        typer.echo(
            f"label fixed on the region by r >= D: {sum(e.fixed for e in found.samples)} of {len(found.samples)}"
        )
    typer.echo(f"time: {found.seconds:.2f} s")
