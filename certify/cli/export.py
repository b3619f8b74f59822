"""`certify export FILE.py:NAME -o MODEL`: a PyTorch module as an ONNX file that computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Seed, writable
from certify.errors import InputError


def export(
    place: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:NAME",
            help="A torch.nn.Module, or a function that returns one, or one and an example input. FILE.py is run.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", callback=writable, help="ONNX file to write.")],
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="1,3,32,32", help="Shape of the input, once for each; else `input_shape` of the module."),
    ] = None,
    opset: Annotated[int, typer.Option(min=9, help="ONNX operator set.")] = 17,
    points: Annotated[int, typer.Option(min=1, help="Random points to compare torch with onnxruntime on.")] = 16,
    seed: Seed = 0,
) -> None:
    """Write a PyTorch module as ONNX and compare the file, in onnxruntime, with the module on random points.

    Exit codes: 0 they agree, 2 they differ (the file stays) or the module cannot be exported.
    """
    with reported():
        shapes = [_shape(text) for text in shape or []]
        from certify.torch_export import export as export_module
        from certify.torch_export import load_builder

        module, example = load_builder(place)
        done = export_module(module, shapes or example, out, opset=opset, points=points, seed=seed)
        for note in done.notes:
            typer.echo(f"note: {note}", err=True)
        typer.echo(f"{done.path}: differs from torch by at most {done.difference:.3g} on {done.points} points")


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--shape {text}: expected whole numbers", "as in --shape 1,3,32,32") from None
