"""One self-contained page: it loads nothing, from anywhere. The template escapes whatever comes from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from certify import __version__
from certify.errors import InputError
from certify.report.entry import Curve, entries
from certify.report.finding import Finding
from certify.report.pairs import pairs
from certify.report.policy import CHANGES, OUTCOMES, Policy
from certify.report.summary import by_category, causes
from certify.report.table import Table

# Of the table of instances: a word for addresses (?sort=seconds) and the heading.
COLUMNS = (
    ("number", "#"), ("run", "run"), ("benchmark", "benchmark"), ("model", "model"), ("property", "property"),
    ("verdict", "verdict"), ("seconds", "seconds"), ("margin", "margin"), ("subproblems", "subproblems"),
    ("memory", "MiB"),
)  # fmt: skip


def text(findings: Sequence[Finding], policy: Policy, tables: Sequence[Table] = ()) -> str:
    """The page. tables: to show before the instances.

    Raises InputError where the libraries of the extra `report` are not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup

        from certify.report.plots import cactus
    except ImportError as error:
        raise InputError(f"the page needs {error.name}", "pip install jinja2 matplotlib pillow") from error
    rows = entries(list(findings))
    runs: dict[str, list[Finding]] = {}
    for finding in findings:
        runs.setdefault(finding.run, []).append(finding)
    anchors = {id(row.finding): f"#{row.anchor}" for row in rows}
    try:
        plots = [("Decided within so many seconds", Markup(cactus(runs)))]
        compared = _comparisons(runs, anchors)
    except ImportError as error:
        raise InputError(f"the plots need {error.name}", "pip install jinja2 matplotlib pillow") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    sentence = policy.sentence([finding.mark for finding in findings])
    environment.filters.update(name=lambda path: Path(path).name, identity=id)
    return environment.get_template("page.html").render(
        version=__version__, runs=runs, rows=rows, outcomes=OUTCOMES, curve=Curve, causes=causes(findings),
        columns=COLUMNS, summary=by_category(findings), sentence=sentence, tables=tables, changes=CHANGES,
        plots=plots + [(title, Markup(plot)) for title, plot, _ in compared], anchors=anchors,
        conflicts=[(title, pair) for title, _, found in compared for pair in found if pair.conflicting],
    )  # fmt: skip


def _comparisons(runs: dict[str, list[Finding]], anchors: dict[int, str]) -> list[tuple[str, str, Any]]:
    """The first run with each other one: a title, the plot, the pairs."""
    from certify.report.plots import scatter

    (name, first), *others = runs.items() or [("", [])]
    compared = []
    for other, second in others:
        found = pairs(first, second)
        compared.append((f"{name} and {other}: {len(found)} instances", scatter(found, (name, other), anchors), found))
    return compared
