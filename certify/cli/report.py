"""`certify report RUN...`: campaigns as a page to look at, or in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported
from certify.cli.gate import FailOn, Reports, gate
from certify.errors import InputError

PAGE = "html=report.html"


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN...", help="Folders that certify batch wrote, or files like their results.jsonl."
        ),
    ],
    report: Reports = None,
    fail_on: FailOn = None,
) -> None:
    """Write a page about one or more runs: verdicts, plots, every instance, what is undecided and why.

    Without --report it is report.html, which opens without a network; several runs are compared with the first. Exit
    code 0, or with --fail-on as for `certify check`: 1 violated, 3 undecided, 2 or 4 an error; 2 too for bad input.
    """
    with reported():
        from certify.batch.journal import read_journal

        door = gate(report or [PAGE], fail_on, by_default=())
        named = _by_name(runs)
        code = door.close({name: read_journal(path) for name, path in named.items()})
        for target in door.targets:
            if target.file:
                typer.echo(f"{target.file}: {target.format}", err=True)
        raise typer.Exit(code)


def _by_name(runs: list[str]) -> dict[str, Path]:
    """The runs by name: the one given, else that of the folder, or the path where two have the same; "" for one."""
    found: dict[str, Path] = {}
    for text in runs:
        name, equals, file = text.partition("=")
        given = bool(equals) and not Path(text).exists()
        path = Path(file if given else text)
        folder = path.resolve().parent if path.is_file() else path.resolve()
        name = name if given else folder.name if folder.name not in found else text
        if name in found:
            raise InputError(f"two runs are called {name}", "name them: certify report before=DIR after=DIR")
        found[name] = path
    return {"": path} if len(found) == 1 else found
