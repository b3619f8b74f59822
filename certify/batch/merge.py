"""Several campaigns, or the shards of one, as one; and where they contradict each other."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from certify.batch.instances import Instance
from certify.batch.journal import JOURNAL, identity_of, read_journal
from certify.batch.record import Record
from certify.batch.results import write_results
from certify.errors import InputError
from certify.files import write_text

# From the outcome that says least to those that say most.
WORTH = ("error", "out-of-memory", "unknown", "timeout", "unsat", "sat")


@dataclass(frozen=True)
class Conflict:
    """The same network and specification, proved here and violated there."""

    proved: Record
    violated: Record


def merge(parts: Iterable[Sequence[Record]]) -> list[Record]:
    """One record per task, in the order of the list of instances: of several, the one that says most, else the last."""
    best: dict[object, Record] = {}
    for record in (record for part in parts for record in part):
        other = best.get(identity_of(record))
        if other is None or WORTH.index(record.status) >= WORTH.index(other.status):
            best[identity_of(record)] = record
    return sorted(best.values(), key=lambda record: record.index)


def conflicts(records: Iterable[Record]) -> list[Conflict]:
    """Every content for which there is both verdicts, whatever the options and the version were."""
    found: dict[object, dict[str, Record]] = defaultdict(dict)
    for record in records:
        if record.decided and record.sha256:
            found[_content(record)].setdefault(record.status, record)
    return [Conflict(both["unsat"], both["sat"]) for both in found.values() if len(both) == 2]


def _content(record: Record) -> object:
    networks = tuple(sorted((name, record.sha256.get(file, file)) for name, file in record.networks.items()))
    return networks, record.sha256.get(record.spec, record.spec)


def merge_folders(folders: Sequence[Path], out: Path) -> tuple[list[Record], list[Conflict]]:
    """Write the merged campaign into a new folder: results.jsonl, results.csv and the counterexamples."""
    parts = [read_journal(folder) for folder in folders]
    if (out / JOURNAL).exists():
        raise InputError(f"{out} holds the results of a campaign already", "choose another folder")
    records = merge(parts)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for folder, part in zip(folders, parts, strict=True):
            _copy_witnesses(folder, part, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}", "check the folder and disk") from None
    write_text(out / JOURNAL, "".join(record.line() for record in records))
    write_results(out, records)
    return records, conflicts(record for part in parts for record in part)


def _copy_witnesses(folder: Path, records: Iterable[Record], out: Path) -> None:
    for record in records:
        instance = Instance(record.category, record.networks, record.spec)
        source, target = instance.witness_path(folder), instance.witness_path(out)
        if record.status == "sat" and source.exists() and not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
