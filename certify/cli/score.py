"""`certify score RESULTS...`: tools side by side under the rules of VNN-COMP."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported


class Form(str, Enum):
    """Values of --format."""

    table = "table"
    csv = "csv"
    latex = "latex"


def score(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RESULTS...",
            help="A results.csv, a folder with one and its counterexamples, or a folder of certify batch.",
        ),
    ],
    rules: Annotated[int, typer.Option(help="Year whose rules count, 2021 to 2026.")] = 2026,
    benchmarks: Annotated[
        list[Path] | None, typer.Option(help="instances.csv or folder of benchmarks: time limits, files; repeatable.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How to print.")] = Form.table,
) -> None:
    """Points, percent and total of each tool; counterexamples are replayed and graded as the organisers do.

    What could not be looked at is said on standard error.
    """
    with reported():
        from certify.batch import score_table
        from certify.batch.contest import hold, read_tool
        from certify.batch.score import rules_of

        chosen = rules_of(rules)
        contest = hold([read_tool(text) for text in results], chosen, benchmarks or [])
        write = {Form.table: score_table.as_text, Form.csv: score_table.as_csv, Form.latex: score_table.as_latex}
        typer.echo(write[form](contest.standings(chosen)), nl=False)
        for note in contest.notes:
            typer.echo(f"certify: {note}", err=True)
