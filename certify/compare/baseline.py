"""A baseline: what is proved of a model today, as a file to commit, so that tomorrow's model can be held to it.

The file says the same, byte for byte, for the same model, specifications and budget, as long as the verdicts are:
sorted, no times, no absolute paths, one specification a line.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

from certify.batch.instances import Instance
from certify.batch.task import Digests, Options
from certify.compare.candidate import Candidate
from certify.compare.transition import VERDICTS, Result
from certify.errors import InputError, ParseError
from certify.files import read_bytes, write_text

FORMAT = 1
# Of a margin: so few that other processors, whose last bits differ, write the same file.
DIGITS = 4


@dataclass(frozen=True)
class Entry:
    """What is known of one specification. spec: its path from the folder of the baseline; margin: rounded down."""

    spec: str
    sha256: str
    timeout: float
    verdict: str
    margin: float | None

    @property
    def result(self) -> Result:
        """As comparisons use it."""
        return Result(self.verdict, self.margin)


@dataclass(frozen=True)
class Baseline:
    """model: the file's name without folder, and its sha256. method: of the margins. entries: by path."""

    model: str
    sha256: str
    backend: str
    memory: float | None
    method: str
    entries: tuple[Entry, ...]

    def text(self) -> str:
        """The file."""
        head = {
            "certify_baseline": FORMAT, "model": self.model, "sha256": self.sha256, "backend": self.backend,
            "memory": self.memory, "margins_by": self.method,
        }  # fmt: skip
        lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
        rows = ",\n".join("  " + json.dumps(asdict(entry)) for entry in self.entries)
        return "\n".join(["{", *lines, ' "specs": [', rows, " ]", "}"]) + "\n"

    def instances(self, folder: Path, model: str) -> list[Instance]:
        """The questions of the baseline in this folder, about a model. Raises InputError for a specification that is
        gone or has changed.
        """
        digests, found = Digests(), []
        for number, entry in enumerate(self.entries):
            path = os.path.normpath(folder / entry.spec)
            if digests(path) != entry.sha256:
                message = f"{path} is not the specification that the baseline was saved with"
                raise InputError(message, "restore it, or save the baseline again")
            found.append(Instance(Path(path).resolve().parent.name, {"": model}, path, entry.timeout, number))
        return found


def baseline_of(candidate: Candidate, options: Options, method: str, folder: Path) -> Baseline:
    """The baseline of a model, for a file in this folder."""
    entries = []
    for record, result in zip(candidate.records, candidate.results, strict=True):
        spec = Path(os.path.relpath(record.spec, folder)).as_posix()
        margin = None if result.margin is None else rounded_down(result.margin)
        entries.append(Entry(spec, record.sha256[record.spec], record.timeout, result.verdict, margin))
    entries.sort(key=lambda entry: entry.spec)
    name = Path(candidate.file).name
    return Baseline(name, candidate.sha256, options.backend, options.memory, method, tuple(entries))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file whole or not at all. Raises InputError if that fails."""
    write_text(path, baseline.text())


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file. Raises InputError, naming the file, for what is none."""
    try:
        found: dict[str, Any] = json.loads(read_bytes(path))
        if found["certify_baseline"] != FORMAT:
            message = f"{path}: a baseline of format {found['certify_baseline']}, not {FORMAT}"
            raise InputError(message, "save it again with this version of certify")
        entries = tuple(_entry(values) for values in found["specs"])
        if not entries:
            raise ValueError("it has no specification, so that nothing would be held to it")
        return Baseline(
            str(found["model"]), str(found["sha256"]), str(found["backend"]), found["memory"], str(found["margins_by"]),
            entries,
        )  # fmt: skip
    except json.JSONDecodeError as error:
        raise ParseError(str(path), error.lineno, error.colno, f"not JSON: {error.msg}", "save it again") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a baseline: {error}", "certify baseline save writes one") from error


def rounded_down(value: float, digits: int = DIGITS) -> float:
    """The largest number of so many decimal digits that is not above the value."""
    if value == 0.0 or not math.isfinite(value):
        return value
    exact = Decimal(value)
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), ROUND_FLOOR))


def gains(before: Sequence[Result], after: Sequence[Result]) -> list[int]:
    """Numbers of the specifications that are proved now and were not."""
    return [i for i, (b, a) in enumerate(zip(before, after, strict=True)) if b.verdict != "proved" == a.verdict]


def _entry(values: dict[str, Any]) -> Entry:
    entry = Entry(**values)
    if entry.verdict not in VERDICTS or not isinstance(entry.spec, str) or Path(entry.spec).is_absolute():
        raise ValueError(f"the entry of {entry.spec} makes no sense")
    margin = None if entry.margin is None else float(entry.margin)
    if margin is not None and not math.isfinite(margin):
        raise ValueError(f"the margin of {entry.spec} is {margin}")
    return Entry(entry.spec, str(entry.sha256), float(entry.timeout), entry.verdict, margin)
