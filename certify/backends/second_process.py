"""A second process on the second core. Forked, so that it starts at once with everything loaded.

It sends what it finds through a pipe, can be asked for something, and ends with its parent. Where it dies, what it was
given counts as undone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any


class OrphanedError(Exception):
    """Nobody listens any more."""


class Send:
    """The other process's end: call it to send a message."""

    def __init__(self, pipe: Any, parent: int) -> None:
        self._pipe, self._parent = pipe, parent

    def __call__(self, message: Any) -> None:
        """Send a message (None is none); ends the process if nobody listens any more."""
        if os.getppid() != self._parent:
            raise OrphanedError
        if message is not None:
            self._pipe.send(message)

    def asked(self) -> bool:
        """Whether the first process has asked since this was called last."""
        found = False
        while self._pipe.poll():
            self._pipe.recv()
            found = True
        return found


class SecondProcess:
    """Runs `work(send)` in a fork of this process; `received` gives what was sent so far."""

    def __init__(self, work: Callable[[Send], None]) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(work, theirs, self._pipe, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()

    def received(self, wait: float = 0.0) -> Iterator[Any]:
        """The messages that have come, after at most `wait` seconds for the first one."""
        with suppress(EOFError, OSError):
            while self._pipe.poll(wait):
                wait = 0.0
                yield self._pipe.recv()

    def ask(self) -> None:
        """Ask for whatever `work` understands by it."""
        with suppress(OSError):
            self._pipe.send(True)

    @property
    def ended(self) -> bool:
        """Whether it has ended; the last messages may still be there to be received."""
        return not self._process.is_alive()

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.join()


def _run(work: Callable[[Send], None], pipe: Any, other_end: Any, parent: int) -> None:
    """The other process: quiet, and gone as soon as nobody listens any more."""
    # A copy of the first process's end in here would keep a long message waiting for ever once that one is gone.
    other_end.close()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    with suppress(Exception):
        work(Send(pipe, parent))
    with suppress(Exception):
        pipe.close()
    os._exit(0)
