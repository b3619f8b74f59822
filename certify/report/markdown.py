"""Markdown (CommonMark with GitHub's tables): for step summaries, merge requests and notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from certify.report.finding import Finding
from certify.report.policy import CHANGES, OUTCOMES, Policy
from certify.report.summary import Cause, by_category, causes
from certify.report.table import Table

# GitHub takes summaries of up to 1 MiB; a table of a few hundred rows is the most that anybody reads.
MOST_ROWS = 500
_MARKS = {"passed": "✅", "tolerated": "⚠️", "failed": "❌"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@:])")


def text(findings: Sequence[Finding], policy: Policy, tables: Sequence[Table] = ()) -> str:
    """The whole document. tables: to show before the instances."""
    parts = ["# certify", policy.sentence([finding.mark for finding in findings])]
    parts.append(_table(("benchmark", *OUTCOMES, "seconds"), _summary(findings)))
    for table in tables:
        parts += [f"## {_escaped(table.title)}", _table(table.head, table.rows), *filter(None, [_escaped(table.note)])]
    found = causes(findings)
    if found:
        parts += ["## Without an answer", _table(("instances", "status", "why", "closest margin", "next"), _why(found))]
    order = ("failed", "tolerated", "passed")
    rows = sorted(findings, key=lambda finding: order.index(finding.mark))
    head = ("", "verdict", "model", "specification", "seconds", "margin", "why")
    parts += ["## Instances", _table(head, _rows(rows))]
    if len(rows) > MOST_ROWS:
        parts.append(f"{len(rows) - MOST_ROWS} more are not shown.")
    return "\n\n".join(parts) + "\n"


def _summary(findings: Sequence[Finding]) -> Iterable[tuple[str, ...]]:
    for row in by_category(findings):
        yield (row.name, *(str(row.counts[outcome]) for outcome in OUTCOMES), f"{row.seconds:.1f}")


def _why(found: Iterable[Cause]) -> Iterable[tuple[str, ...]]:
    for cause in found:
        closest = "" if cause.closest is None else f"{cause.closest:.4g}"
        yield str(len(cause.findings)), cause.status, cause.reason, closest, cause.advice


def _rows(findings: Sequence[Finding]) -> Iterable[tuple[str, ...]]:
    for finding in findings[:MOST_ROWS]:
        record = finding.record
        bound = "" if record.bound is None else f"{record.bound:.4g}"
        verdict = record.status if finding.outcome == "undecided" else finding.outcome
        verdict = f"{verdict}, {finding.kind}" if finding.kind in CHANGES else verdict
        reason = "; ".join([*record.changes.values(), *([] if record.decided else [record.reason])])
        yield _MARKS[finding.mark], verdict, finding.models, record.spec, f"{record.wall:.2f}", bound, reason


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
