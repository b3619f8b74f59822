"""A table of all records, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from certify.report.finding import Finding
from certify.report.policy import Policy

COLUMNS = (
    "run", "category", "model", "spec", "status", "outcome", "mark", "seconds", "cpu_seconds", "timeout", "bound",
    "subproblems", "peak_mib", "reason", "backend", "version", "host", "started", "key",
)  # fmt: skip
# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def text(findings: Sequence[Finding], policy: Policy) -> str:
    """A header and one row per record; unknown numbers are empty, texts that look like formulas begin with '."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in findings:
        r = finding.record
        row = (
            finding.run, r.category, finding.model, r.spec, r.status, finding.outcome, finding.mark, r.wall, r.cpu,
            r.timeout, r.bound, r.statistics.get("subproblems"), r.peak_mib, r.reason, r.backend, r.version, r.host,
            r.started, r.key,
        )  # fmt: skip
        writer.writerow([_cell(value) for value in row])
    return table.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
