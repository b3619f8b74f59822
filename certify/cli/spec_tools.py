"""`certify spec lint`, `convert` and `replay`: work on a specification that somebody else may have written."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported
from certify.cli.networks import models_and_spec
from certify.cli.options import Network, writable
from certify.errors import InputError, ParseError


class SpecVersion(str, Enum):
    """Values of --version."""

    one = "1.0"
    two = "2.0"


def lint(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="VNN-LIB property, 1.0 or 2.0.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, errors included.")] = False,
) -> None:
    """Check SPEC against the standard: what is wrong, what only lenient readers take, and its logic.

    Each line is FILE:LINE:COLUMN: CODE message (hint); docs/specifications.md lists the codes. What is only a warning
    here is an error to `certify check --strict`. Exit codes: 0 nothing to say, 1 something outside the standard, 2 not
    usable.
    """
    with reported():
        from certify.cli.answer import write_json
        from certify.query.diagnostics import error_diagnostic
        from certify.query.logic import logic
        from certify.query.normal_form import lower
        from certify.query.read import read_query

        try:
            query = read_query(spec)
            lower(query)
        except ParseError as error:
            if not json:
                raise
            found = error_diagnostic(error).as_dict()
            write_json("-", {"spec": str(spec), "version": None, "logic": None, "diagnostics": [found]})
            raise typer.Exit(error.exit_code) from None
        if json:
            listed = [warning.as_dict() for warning in query.warnings]
            report = {"spec": str(spec), "version": query.version, "logic": logic(query), "diagnostics": listed}
            write_json("-", report)
        else:
            typer.echo(f"{spec}: VNN-LIB {query.version}, logic {logic(query)}")
            for warning in query.warnings:
                typer.echo(str(warning))
        raise typer.Exit(1 if query.warnings else 0)


def convert(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="VNN-LIB property, 1.0 or 2.0.")],
    version: Annotated[SpecVersion, typer.Option(help="Version to write.")] = SpecVersion.two,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=writable, help="File to write; by default standard output.")
    ] = None,
) -> None:
    """Write SPEC in the other version of VNN-LIB, or in canonical form in its own.

    From 1.0 the tensors stay flat; refused is what the core dialect of 1.0 cannot say.
    """
    with reported():
        from certify.files import write_text
        from certify.query.read import read_query
        from certify.query.write import write_query

        query = read_query(spec)
        try:
            text = write_query(query, version=version.value)
        except InputError as error:
            raise InputError(f"{spec}: {error.message}", error.hint) from None
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_text(out, text)


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="[MODEL] SPEC ASSIGNMENT", help="As for `certify check`; then the assignment."),
    ],
    network: Network = None,
) -> None:
    """Check an ASSIGNMENT that a solver wrote: onnxruntime computes the outputs, every assertion is decided exactly.

    Of the assignment only the inputs are used. Exit codes: 0 it satisfies SPEC, 1 it does not, 2 not usable.
    """
    with reported():
        from certify import api
        from certify.witness.read_assignment import read_assignment
        from certify.witness.replay import Replay, runtimes

        if len(files) < 2:
            raise InputError(f"{files[0]}: not what is expected", "give a model, a specification and an assignment")
        model, spec = models_and_spec(files[:-1], network or [])
        problem = api.load_problem(model, spec)
        assert problem.query is not None
        # Columns say how inputs follow from each other; here all of them are given.
        witness = Replay(runtimes(problem), problem.query)(read_assignment(files[-1], problem.query))
        typer.echo("satisfied: this is a counterexample" if witness else "not satisfied: some assertion does not hold")
        raise typer.Exit(0 if witness else 1)
