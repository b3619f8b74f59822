"""Looking for counterexamples while the native engine halves boxes: in a second process, or between two batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from certify.errors import NumericalError
from certify.search.branch_and_bound import Accept

if TYPE_CHECKING:
    from certify.backends.second_process import SecondProcess, Send

# Most searches end sooner than this many seconds, and are spared the effort (and the fork).
FALSIFY_AFTER = 0.3
# Without a second process, the share of the time that goes into it.
SHARE = 0.2

Work = Callable[[], Iterator[np.ndarray]]


class Falsifier:
    """An `accept` that is also offered the points that `work` finds. work: yields points, [k, n_inputs]."""

    def __init__(self, accept: Accept, work: Work) -> None:
        self._accept, self._work = accept, work
        self._began = time.monotonic()
        self._found: Iterator[np.ndarray] | None = None
        self._spent = 0.0

    def __enter__(self) -> tuple[Accept, None]:
        return self, None

    def __exit__(self, *_: object) -> None:
        self.end()

    def __call__(self, points: np.ndarray) -> Any:
        """What the wrapped `accept` says of the points found on the side, then of these."""
        if time.monotonic() >= self._began + FALSIFY_AFTER:
            for found in self.received():
                witness = self._accept(found) if len(found) else None
                if witness is not None:
                    return witness
        return self._accept(points) if len(points) else None

    def received(self) -> Iterator[np.ndarray]:
        """Points found since the last call; here: by working on it until it has had its share of the time."""
        if self._found is None:
            self._found = self._work()
        while self._spent <= SHARE * ((now := time.monotonic()) - self._began):
            try:
                points = next(self._found, None)
            except (MemoryError, NumericalError):
                points = None
            self._spent += time.monotonic() - now
            if points is None:
                self._spent = float("inf")
            else:
                yield points

    def end(self) -> None:
        """Leave nothing behind."""


class FalsifierBeside(Falsifier):
    """The same by a second process."""

    _other: SecondProcess | None = None

    def received(self) -> Iterator[np.ndarray]:
        """Points that came from the other process since the last call; it is started by the first."""
        if self._other is None:
            from certify.backends.second_process import SecondProcess

            self._other = SecondProcess(self._run)
        yield from self._other.received()

    def end(self) -> None:
        """End the other process."""
        if self._other is not None:
            self._other.end()

    def _run(self, send: Send) -> None:
        for points in self._work():
            send(points if len(points) else None)
