"""`certify bounds MODEL SPEC`: certified bounds without search."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from certify.cli.errors import reported
from certify.cli.networks import models_and_spec
from certify.cli.options import Json, Network, Rows, Verbose, writable
from certify.cli.watch import answering_early


class Method(str, Enum):
    """Values of --method."""

    ibp = "ibp"
    crown = "crown"
    alpha_crown = "alpha-crown"


def bounds(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="[MODEL] SPEC", help="ONNX model and VNN-LIB property, whose input regions are used."),
    ],
    network: Network = None,
    method: Annotated[Method, typer.Option(help="How to bound.")] = Method.crown,
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds for optimised bounds.")] = 60.0,
    json: Json = None,
    npz: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=writable, help="Write outputs, margins and hidden bounds as arrays."),
    ] = None,
    most: Rows = 20,
    verbose: Verbose = False,
) -> None:
    """Bound the outputs and the property's margins on each input region (a margin above 0 refutes its atom)."""
    with reported(verbose), answering_early():
        from certify import api
        from certify.cli.answer import write_json

        model, spec = models_and_spec(files, network or [])
        found = api.bound(model, spec, method=method.value, timeout=timeout)
        if npz is not None:
            _write_npz(npz, found)
        if json is not None:
            write_json(json, [_as_dict(number, region) for number, region in enumerate(found)])
        if json != "-":
            for number, region in enumerate(found):
                _print(number, region, method.value, most)


def _print(number: int, region: Any, method: str, most: int) -> None:
    typer.echo(f"region {number}, {method}: {sum(region.unstable.values())} unstable neurons")
    lower, upper = region.outputs
    width = max(8, *map(len, region.names[:most]))
    typer.echo(f"  {'output':>{width}} {'lower':>16} {'upper':>16}")
    for name, low, high in zip(region.names[:most], lower[:most], upper[:most], strict=True):
        typer.echo(f"  {name:>{width}} {low:16.9g} {high:16.9g}")
    if len(lower) > most:
        typer.echo(f"  ... {len(lower) - most} more outputs (--json or --npz has all)")
    typer.echo(f"  {'atom':>8} {'margin >=':>16}")
    for atom, margin in list(zip(region.goal.atoms, region.margins, strict=True))[:most]:
        typer.echo(f"  {atom:>8} {margin:16.9g}{'   refuted' if margin > 0 else ''}")
    if len(region.margins) > most:
        typer.echo(f"  ... {len(region.margins) - most} more atoms")


def _as_dict(number: int, region: Any) -> dict[str, Any]:
    finite = lambda values: [float(v) if abs(v) < float("inf") else None for v in values]  # noqa: E731
    return {
        "region": number,
        "outputs": {
            "names": list(region.names),
            "lower": finite(region.outputs[0]),
            "upper": finite(region.outputs[1]),
        },
        "margins": {int(a): m for a, m in zip(region.goal.atoms, finite(region.margins), strict=True)},
        "unstable": region.unstable,
    }


def _write_npz(path: Path, found: list[Any]) -> None:
    import numpy as np

    from certify.files import replacing

    arrays = {}
    for number, region in enumerate(found):
        arrays[f"{number}/output/lower"], arrays[f"{number}/output/upper"] = region.outputs
        arrays[f"{number}/atoms"], arrays[f"{number}/margins"] = region.goal.atoms, region.margins
        for name, (lower, upper) in region.hidden.items():
            arrays[f"{number}/hidden/{name}/lower"], arrays[f"{number}/hidden/{name}/upper"] = lower, upper
    with replacing(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
