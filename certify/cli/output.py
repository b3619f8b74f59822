"""Standard output of a command whose exit code and files count even where nobody reads what it prints."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from certify.errors import InputError


class Output(io.FileIO):
    """A file descriptor that drops what nobody reads any more, so that the work goes on to its exit code.

    Otherwise `certify check ... | head -1` would end as something else than `certify check ...`.
    """

    def write(self, data: object) -> int:
        """Write bytes; returns how many. Raises InputError where there is no room for them."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            return memoryview(data).nbytes  # type: ignore[arg-type]
        except OSError as error:
            raise InputError(f"standard output: cannot be written: {error.strerror}", "check the disk") from None


def use_output() -> None:
    """Print through `Output` from now on; where standard output is closed, print into nothing."""
    given = sys.stdout
    if given is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    elif isinstance(given, io.TextIOWrapper):
        raw = Output(given.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw), given.encoding, given.errors, line_buffering=given.line_buffering
        )
