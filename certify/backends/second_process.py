"""A second process on the second core. Forked, so that it starts at once with everything loaded.

It sends what it finds through a pipe and ends with its parent. Where it dies, what it was given counts as undone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

Send = Callable[[Any], None]


class SecondProcess:
    """Runs `work(send)` in a fork of this process; `received` gives what was sent so far."""

    def __init__(self, work: Callable[[Send], None]) -> None:
        context = multiprocessing.get_context("fork")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(work, sender, os.getpid()), daemon=True)
        self._process.start()
        sender.close()

    def received(self, wait: float = 0.0) -> Iterator[Any]:
        """The messages that have come, after at most `wait` seconds for the first one."""
        with suppress(EOFError, OSError):
            while self._receiver.poll(wait):
                wait = 0.0
                yield self._receiver.recv()

    @property
    def ended(self) -> bool:
        """Whether it has ended; the last messages may still be there to be received."""
        return not self._process.is_alive()

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.join()


class OrphanedError(Exception):
    """Nobody listens any more."""


def _run(work: Callable[[Send], None], sender: Any, parent: int) -> None:
    """The other process: quiet, and gone as soon as nobody listens any more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))

    def send(message: Any) -> None:
        if os.getppid() != parent:
            raise OrphanedError
        if message is not None:
            sender.send(message)

    with suppress(Exception):
        work(send)
    with suppress(Exception):
        sender.close()
    os._exit(0)
