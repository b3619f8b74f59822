"""Scores as a table for people, as csv, and as LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from certify.batch.score import Standing, total

TOTAL = "total"
COLUMNS = ("benchmark", "tool", "verified", "falsified", "fastest", "wrong", "points", "percent", "seconds")
Table = Mapping[str, Mapping[str, Standing]]


def rows(benchmarks: Table) -> list[tuple[str, ...]]:
    """One row per benchmark and tool, the best first, and the totals at the end, as texts in the order of COLUMNS."""
    found = []
    for name, table in benchmarks.items():
        best = sorted(table.items(), key=lambda item: (-item[1].percent, -item[1].points, item[1].seconds))
        found += [_row(name, tool, standing) for tool, standing in best]
    return found + [_row(TOTAL, tool, standing) for tool, standing in total(benchmarks).items()]


def _row(benchmark: str, tool: str, s: Standing) -> tuple[str, ...]:
    numbers = (s.verified, s.falsified, s.fastest, s.wrong, s.points)
    return benchmark, tool, *map(str, numbers), f"{s.percent:.1f}", f"{s.seconds:.1f}"


def as_text(benchmarks: Table) -> str:
    """Columns in line, a blank line after each benchmark."""
    table = [COLUMNS, *rows(benchmarks)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines, before = [], ""
    for row in table:
        if row[0] != before:
            lines += [""] if before and before != COLUMNS[0] else []
            before = row[0]
        words = [w.ljust(n) if c < 2 else w.rjust(n) for c, (w, n) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines) + "\n"


def as_csv(benchmarks: Table) -> str:
    """With a line of headings."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows(benchmarks)])
    return text.getvalue()


def as_latex(benchmarks: Table) -> str:
    """One tabular (package booktabs), benchmarks apart."""
    lines = [r"\begin{tabular}{ll" + "r" * (len(COLUMNS) - 2) + "}", r"\toprule"]
    lines.append(" & ".join(rf"\textbf{{{c.capitalize()}}}" for c in COLUMNS) + r" \\")
    before = ""
    for row in rows(benchmarks):
        if row[0] != before:
            lines.append(r"\midrule")
        name = "" if row[0] == before else row[0]
        before = row[0]
        lines.append(" & ".join(_escaped(word) for word in (name, *row[1:])) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
