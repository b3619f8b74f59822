"""The option `--report`: which formats, and into which files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from certify.batch.record import Record
from certify.errors import InputError
from certify.files import write_text
from certify.report.finding import Finding, findings
from certify.report.policy import Policy
from certify.report.table import Table

# By the name on the command line, the file beside this one: text(findings, policy) is the whole report.
FORMATS = {
    "html": "html", "md": "markdown", "csv": "csv", "json": "json", "junit": "junit", "sarif": "sarif",
    "github": "github",
}  # fmt: skip
# Of these, the formats that are about what is to be judged alone, and those that have room for tables.
GATES, TABULAR = ("junit", "sarif", "github"), ("html", "md")


class Target(NamedTuple):
    """A format and its file; "" for the annotations of GitHub, which go to standard output."""

    format: str
    file: str


class Reference(NamedTuple):
    """Of several runs, the name of the one that the others are compared with, and tables about them all."""

    name: str | None = None
    tables: Sequence[Table] = ()


def read_targets(texts: Sequence[str]) -> list[Target]:
    """What texts such as "junit=a.xml,github" ask for. Raises InputError for an unknown format or a missing file."""
    targets = []
    for word in ",".join(texts).split(","):
        name, equals, file = word.strip().partition("=")
        if name not in FORMATS:
            raise InputError(f"--report {word}: there is no format '{name}'", f"one of {', '.join(FORMATS)}")
        if (name == "github") == bool(equals) or bool(equals) != bool(file):
            raise InputError(f"--report {word}: expected {'github alone' if name == 'github' else f'{name}=FILE'}")
        targets.append(Target(name, file))
    return targets


def write_reports(
    targets: Sequence[Target], runs: Mapping[str, Sequence[Record]], policy: Policy, reference: Reference | None = None
) -> None:
    """Write each report whole or not at all. runs: records by the name of their run, "" for the only one.

    reference: the run that the others are compared with, which nothing fails for.
    github prints annotations and, where GITHUB_STEP_SUMMARY names a file, appends the Markdown to it. Raises InputError
    where a file cannot be written.
    """
    first, tables = reference or Reference()
    lenient = Policy(frozenset())
    found = [f for name, own in runs.items() for f in findings(own, lenient if name == first else policy, name)]
    judged = [finding for finding in found if finding.run != first or first is None]
    for name, file in targets:
        text = _text(name, judged if name in GATES else found, policy, tables)
        if name == "github":
            sys.stdout.write(text)
            _append_summary(_text("md", found, policy, tables))
        else:
            write_text(file, text)


def _text(name: str, found: Sequence[Finding], policy: Policy, tables: Sequence[Table]) -> str:
    """A report; what is no Unicode in the name of a file becomes a question mark."""
    more = (tables,) if name in TABULAR else ()
    text: str = import_module(f"certify.report.{FORMATS[name]}").text(found, policy, *more)
    return text.encode("utf-8", "replace").decode("utf-8")


def _append_summary(text: str) -> None:
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        try:
            with Path(file).open("a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise InputError(f"{file}: cannot be written: {error.strerror or error}") from error
