"""The folder of a campaign: one line of JSON per finished instance, appended and flushed, and never lost again.

Whatever dies, and whenever, at most the instance in flight is lost: a line that was cut short is taken off.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from certify.batch.instances import Instance
from certify.batch.record import Record, read_record
from certify.batch.task import identity
from certify.errors import InputError

JOURNAL = "results.jsonl"
LOCK = ".lock"
Identity = tuple[str, str, str, str]


def read_journal(folder: str | Path) -> list[Record]:
    """The records in a campaign's folder, or in a file like the one there: the last of each instance.

    They come in the order in which the instances came first.

    A record of files that have changed since gives way to the one of the files as they are now. Raises InputError where
    there is no campaign, ParseError for a damaged line. A line still being written is left out.
    """
    return last_of_each(read_lines(folder))


def last_of_each(records: Iterable[Record]) -> list[Record]:
    """One record per row of the list of instances: the last."""
    found: dict[object, Record] = {}
    for record in records:
        found[record.category, tuple(record.networks.items()), record.spec] = record
    return list(found.values())


def read_lines(folder: str | Path) -> Iterator[Record]:
    """Every record in a campaign's folder, as `read_journal` reads it."""
    path = Path(folder) if Path(folder).is_file() else Path(folder) / JOURNAL
    try:
        text = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise InputError(message, "give the --out folder of certify batch") from None
    for number, line in enumerate(text.decode("utf-8", "replace").split("\n")[:-1], 1):
        yield read_record(line, str(path), number)


def identity_of(record: Record) -> Identity:
    """Which task this is a record of."""
    return identity(record.key, Instance(record.category, record.networks, record.spec))


class Journal:
    """The campaign's folder, held by this process alone while open."""

    def __init__(self, folder: str | Path, resume: bool = False) -> None:
        """Open or make the folder. Raises InputError if another run has it, if it cannot be written to, or if it holds
        results and this is not to `resume` them.
        """
        self.folder = Path(folder)
        self.path = self.folder / JOURNAL
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            self._take()
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._unwritable(error) from None
        self._mend()
        self.records = {identity_of(record): record for record in read_lines(self.folder)}
        if self.records and not resume:
            self.close()
            message = f"{self.folder} holds the results of {len(self.records)} instances"
            raise InputError(message, "go on with --resume, or choose another folder")

    def _take(self) -> None:
        """Lock the folder for as long as this process lives, however it ends."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._lock)
            message = f"{self.folder}: another run is writing there (process {holder})"
            raise InputError(message, "wait for it, or choose another folder") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _mend(self) -> None:
        """Take off a last line that has no end."""
        with suppress(OSError):
            data = self.path.read_bytes()
            if data and not data.endswith(b"\n"):
                os.ftruncate(self._file, data.rfind(b"\n") + 1)

    def append(self, record: Record) -> None:
        """Keep the record: with the system when this returns. Raises InputError on a full disk."""
        line = record.line().encode()
        try:
            written = os.write(self._file, line)
            if written < len(line):
                # A second attempt tells why, or finishes the line.
                os.write(self._file, line[written:])
        except OSError as error:
            self._mend()
            raise self._unwritable(error) from None
        self.records[identity_of(record)] = record

    def _unwritable(self, error: OSError) -> InputError:
        hint = "make room or choose another folder; what is finished is kept, --resume goes on"
        return InputError(f"{self.folder}: cannot be written: {error.strerror or error}", hint)

    def close(self) -> None:
        """Let go of the folder."""
        for number in (self._file, self._lock):
            with suppress(OSError):
                os.close(number)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
