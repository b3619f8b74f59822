"""results.csv as the scripts of VNN-COMP write it: category,network,property,prepare_time,result,run_time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from certify.batch.instances import networks_field
from certify.batch.record import Record
from certify.errors import ParseError
from certify.files import read_bytes, write_text

RESULTS = "results.csv"
# VNN-COMP knows no word of its own for this.
WORDS = {"out-of-memory": "unknown"}
# Beginnings of what the scripts write for what went wrong, in the order in which the scoring looks at them.
BEGINNINGS = (
    ("unsat", "unsat"), ("sat", "sat"), ("holds", "unsat"), ("violated", "sat"), ("timed-out", "timeout"),
    ("timeout", "timeout"), ("no_result_in_file", "unknown"), ("prepare_instance_error_", "unknown"),
    ("run_instance_timeout", "timeout"), ("prepare_instance_timeout", "timeout"), ("error_nonmaximal", "unknown"),
    ("error", "error"), ("run_single_instance_error", "error"), ("unknown", "unknown"),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line. onnx: a path, or the list literal of several networks. result: sat, unsat, unknown, timeout, error."""

    category: str
    onnx: str
    vnnlib: str
    prepare_time: float
    result: str
    run_time: float


def rows_of(records: Iterable[Record]) -> list[Row]:
    """The lines that records make, in the order of the list of instances."""
    return [
        Row(r.category, networks_field(r.networks), r.spec, 0.0, WORDS.get(r.status, r.status), round(r.wall, 4))
        for r in sorted(records, key=lambda record: record.index)
    ]


def results_csv(records: Iterable[Record]) -> str:
    """The text of the file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(astuple(row) for row in rows_of(records))
    return text.getvalue()


def write_results(folder: Path, records: Iterable[Record]) -> None:
    """Write the file into the folder of a campaign. Raises InputError if that fails."""
    write_text(folder / RESULTS, results_csv(records))


def read_results(path: Path) -> list[Row]:
    """The rows of a results.csv of any tool. Raises ParseError, naming the line, for what is not one."""
    rows = []
    lines = csv.reader(read_bytes(path).decode("utf-8-sig", "replace").splitlines())
    for number, cells in enumerate(lines, 1):
        if not cells:
            continue
        try:
            category, onnx, vnnlib, prepare, result, seconds = cells
            word = _word(result.strip().lower())
            rows.append(Row(category, onnx, vnnlib, float(prepare), word, float(seconds)))
        except ValueError as error:
            expected = "expected category,network,property,prepare_time,result,run_time"
            raise ParseError(str(path), number, 1, f"not a row of results: {error}", expected) from None
    return rows


def _word(result: str) -> str:
    """The verdict that a result string stands for. Raises ValueError for one that VNN-COMP does not know."""
    if not result:
        return "unknown"
    for beginning, word in BEGINNINGS:
        if result.startswith(beginning):
            return word
    raise ValueError(f"'{result[:80]}' is no result")
