"""Two runs of the same instances, one beside the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certify.batch.record import Record
from certify.report.finding import Finding


@dataclass(frozen=True)
class Pair:
    """What two runs say of one instance."""

    first: Finding
    second: Finding

    @property
    def conflicting(self) -> bool:
        """Whether one says proved and the other violated of the same files: one of them is wrong."""
        first, second = self.first.record, self.second.record
        known = bool(first.sha256 and second.sha256)
        differ = known and sorted(first.sha256.values()) != sorted(second.sha256.values())
        return not differ and {first.status, second.status} == {"sat", "unsat"}


def pairs(first: Sequence[Finding], second: Sequence[Finding]) -> list[Pair]:
    """The instances that both runs have, in the order of the first.

    The same are those with the same files; where that is nowhere so, those with the same names of files; where not even
    that is so, those with the same specification, for different models.
    """
    return _joined(first, second, _digests) or _joined(first, second, _names) or _joined(first, second, _spec)


def _joined(first: Sequence[Finding], second: Sequence[Finding], key: Callable[[Record], Any]) -> list[Pair]:
    ours, theirs = ({key(finding.record): finding for finding in run} for run in (first, second))
    return [Pair(finding, theirs[name]) for name, finding in ours.items() if name in theirs and name is not None]


def _digests(record: Record) -> frozenset[str] | None:
    return frozenset(record.sha256.values()) or None


def _names(record: Record) -> tuple[str, ...]:
    files = [record.spec, *(f"{name}={file}" for name, file in sorted(record.networks.items()))]
    return (record.category, *(Path(file.removesuffix(".gz")).name for file in files))


def _spec(record: Record) -> tuple[str, str]:
    return record.category, record.spec
