"""A second process on the second core: looks for counterexamples while this one proves.

Forked, so that it starts at once with everything loaded; it sends points through a pipe, claims nothing, and ends with
its parent. Where there is no fork, one core, or not our own process, nothing is started.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from certify.search.branch_and_bound import Accept

# Most searches end sooner, and are spared the fork.
START_AFTER = 0.3


class Beside:
    """Wraps an `accept`: offers it the points that the other process has found, too.

    `work` yields arrays of points [k, n_inputs]; it runs in the other process and should yield often.
    """

    def __init__(self, accept: Accept, work: Callable[[], Iterator[np.ndarray]]) -> None:
        self._accept, self._work = accept, work
        self._due = time.monotonic() + START_AFTER
        self._process: Any = None
        self._receiver: Connection | None = None

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def __call__(self, points: np.ndarray) -> Any:
        """What the wrapped `accept` says of the points found over there, then of these."""
        if self._process is None and time.monotonic() >= self._due:
            self._start()
        for found in self._received():
            witness = self._accept(found)
            if witness is not None:
                return witness
        return self._accept(points) if len(points) else None

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(self._work, sender, os.getpid()), daemon=True)
        self._process.start()
        sender.close()

    def _received(self) -> Iterator[np.ndarray]:
        with suppress(EOFError, OSError):
            while self._receiver is not None and self._receiver.poll():
                yield self._receiver.recv()


def _run(work: Callable[[], Iterator[np.ndarray]], sender: Connection, parent: int) -> None:
    """The other process: quiet, and gone as soon as nobody listens any more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    with suppress(Exception):
        for points in work():
            if os.getppid() != parent:
                break
            if len(points):
                sender.send(points)
    os._exit(0)
