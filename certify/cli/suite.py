"""`certify suite NAME`: train, implant, intervene, certify: the whole experiment on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Json, Seed, Verbose, writable


def suite(
    name: Annotated[str, typer.Argument(metavar="NAME", help="digits, mnist or german.")] = "digits",
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="The data, for mnist (idx files) and german (german.csv).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for models, specifications, records and the page.")] = Path("suite"),
    seed: Seed = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at once; by default one per core.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Two variants and few images: under a minute.")] = False,
    samples: Annotated[int, typer.Option(min=0, help="Random points in every proved region, to be sure.")] = 1000,
    json: Json = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=writable, help="The table as Markdown.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Implant a trojan, try every intervention against it, and certify each model on the same specifications.

    Writes OUT/index.html and OUT/suite.json. Exit code: 0, 1 if a random point violates what was proved (a bug of
    certify), 2 if the input cannot be used.
    """
    with reported(verbose):
        import json as text_json

        from certify.cli.answer import write_json
        from certify.files import write_text
        from certify.studies import table
        from certify.studies.page import page
        from certify.studies.run import run
        from certify.studies.study import make_study
        from certify.threads import cores

        study = make_study(name, data)
        outcome = run(
            study.smoke() if smoke else study, out, seed=seed, jobs=jobs or cores(), samples=samples,
            say=lambda line: typer.echo(f"- {line}", err=True),
        )  # fmt: skip
        found = outcome.as_dict()
        write_text(out / "suite.json", text_json.dumps(found, indent=1, allow_nan=False) + "\n")
        write_text(out / "index.html", page(outcome))
        if markdown is not None:
            write_text(markdown, table.markdown(outcome.rows) + "\n")
        if json is not None:
            write_json(json, found)
        if json != "-":
            typer.echo(table.text(outcome.rows))
            typer.echo(f"\n{table.ABOUT}\n\n{out / 'index.html'}: the page; {out / 'suite.json'}: everything")
        violations = sum(row.violations for row in outcome.rows)
        if violations:
            typer.echo(f"certify: {violations} random points violate what was proved: please report this", err=True)
        raise typer.Exit(1 if violations else 0)
