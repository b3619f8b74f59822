"""A child process with its clock: what it used, what it said, and how to end it with everything it started."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

# How long after its time a child is killed that does not end by itself.
KILL_AFTER = 15.0
# Of the resident memory that the system reports, in a MiB: bytes on macOS, elsewhere KiB.
RSS_UNIT = 2**20 if sys.platform == "darwin" else 2**10
MOST_OUTPUT = 2000  # characters of standard error that are kept


@dataclass(frozen=True)
class Usage:
    """What a process used: seconds by the clock, seconds of all its processors, largest resident memory in MiB."""

    wall: float
    cpu: float
    peak_mib: float


def own_usage(started: float) -> Usage:
    """What this process used until now; started: on the clock of time.monotonic."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / RSS_UNIT)


class Child:
    """A module of this installation as a process in a group of its own, on the leash of this one."""

    def __init__(
        self, module: str, arguments: Sequence[str], error: IO[bytes], processes: int | None = None, piped: bool = False
    ) -> None:
        """Start it. error: the file that its standard error goes to. piped: its input and output are pipes."""
        command = [sys.executable, "-m", "certify.batch.leash", str(os.getpid()), module, *arguments]
        environment = dict(os.environ)
        if processes is not None:
            environment["OMP_NUM_THREADS"] = str(processes)
        pipe = subprocess.PIPE if piped else subprocess.DEVNULL
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=error, env=environment, start_new_session=True, bufsize=0
        )

    def ended(self) -> Usage | None:
        """What it used, once it has ended; its exit code is then in `code`."""
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if not pid:
            return None
        self.process.returncode = self.code = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - self.started
        return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / RSS_UNIT)

    def kill(self) -> None:
        """Kill it and everything it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.returncode is None:
            with suppress(ChildProcessError):
                _, status, _ = os.wait4(self.process.pid, 0)
                self.process.returncode = os.waitstatus_to_exitcode(status)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def said(error: IO[bytes], code: int) -> str:
    """Why a child ended without an answer: its signal, and the last of its standard error on one line."""
    size = error.seek(0, os.SEEK_END)
    error.seek(max(0, size - MOST_OUTPUT))
    text = " ".join(error.read().decode("utf-8", "replace").split()).removeprefix("certify: error: ")
    return f"killed by signal {-code}{': ' if text else ''}{text}" if code < 0 else text
