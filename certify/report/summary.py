"""Counts and groups that several reports show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from certify.report.finding import Finding

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Row:
    """A benchmark: how often each outcome came out, and the seconds spent."""

    name: str
    counts: Counter[str]
    seconds: float

    @property
    def total(self) -> int:
        """All of its instances."""
        return self.counts.total()


@dataclass(frozen=True)
class Cause:
    """Why instances have no answer: the same reason, numbers aside. closest: of these the best proven margin."""

    status: str
    reason: str
    advice: str
    findings: tuple[Finding, ...]
    closest: float | None


def by_category(findings: Sequence[Finding]) -> list[Row]:
    """One row per run and category in order of appearance; after several of a run, their sum."""
    rows = []
    for run in dict.fromkeys(finding.run for finding in findings):
        ours = [finding for finding in findings if finding.run == run]
        groups = dict.fromkeys(finding.group for finding in ours)
        rows += [_row(group or "all", [finding for finding in ours if finding.group == group]) for group in groups]
        if len(groups) > 1:
            rows.append(_row(f"{run} all".strip(), ours))
    return rows


def _row(name: str, findings: Sequence[Finding]) -> Row:
    return Row(name, Counter(f.outcome for f in findings), sum(f.record.wall for f in findings))


def causes(findings: Sequence[Finding]) -> list[Cause]:
    """What was undecided or failed and why, the most frequent cause first."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if not finding.record.decided:
            alike = _NUMBER.sub("#", finding.record.reason.replace(finding.record.spec, ""))
            groups.setdefault((finding.record.status, alike), []).append(finding)
    found = []
    for (status, _), mine in groups.items():
        bounds = [f.record.bound for f in mine if f.record.bound is not None]
        first = mine[0].record
        found.append(Cause(status, first.reason, first.advice, tuple(mine), max(bounds, default=None)))
    return sorted(found, key=lambda cause: -len(cause.findings))
