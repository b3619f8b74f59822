"""`certify inspect MODEL [SPEC]`: what is in a model, and how each operator is handled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX model (.onnx or .onnx.gz).")],
    spec: Annotated[
        Path | None, typer.Argument(metavar="SPEC", help="VNN-LIB property; checked against the model.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every value of the simplified network.")
    ] = False,
) -> None:
    """List operators with how each is handled, shapes and parameters; name the first node that is not supported."""
    with reported(verbose):
        from certify.network.read_onnx import describe, load_model

        sheet = describe(model)
        typer.echo(f"{model}: opset {sheet.opset}, {sheet.n_parameters:,} parameters")
        for row in sheet.tensors:
            typer.echo(f"  {row}")
        width = max((len(name) for name, _, _ in sheet.operators), default=0)
        for name, count, handled in sheet.operators:
            typer.echo(f"  {count:5d} x {name:{width}}  {handled}")
        loaded = load_model(model)
        network = loaded.network
        neurons = sum(int(_size(node.op.out_shape)) for node in network.nonlinear)
        typer.echo(f"simplified: {len(network.nodes)} ops, {len(network.nonlinear)} nonlinear with {neurons:,} neurons")
        if verbose:
            for node in network.nodes:
                typer.echo(
                    f"  {node.name}: {type(node.op).__name__} {list(node.op.out_shape)} <- {', '.join(node.inputs)}"
                )
        if spec is not None:
            _inspect_spec(model, spec)


def _inspect_spec(model: Path, spec: Path) -> None:
    from certify.api import load_problem

    problem = load_problem(model, spec)
    query = problem.query
    assert query is not None
    typer.echo(f"{spec}: VNN-LIB {query.version}, {len(problem.atoms)} atoms over the outputs")
    for number, goal in zip(range(4), problem.goals(), strict=False):
        varying = int((goal.upper > goal.lower).sum())
        width = float((goal.upper - goal.lower).max())
        typer.echo(f"  region {number}: {varying} of {len(goal.lower)} inputs vary, by at most {width:.6g}")
    for warning in query.warnings:
        typer.echo(f"  warning: {warning}")


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
