"""What the second process does while the native engine halves boxes: it looks for counterexamples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from certify.search.branch_and_bound import Accept

if TYPE_CHECKING:
    from certify.backends.second_process import SecondProcess, Send

# Most searches end sooner than this many seconds, and are spared the fork.
FALSIFY_AFTER = 0.3


class Falsifier:
    """An `accept` that is also offered the points the other process finds. work: yields points, [k, n_inputs]."""

    def __init__(self, accept: Accept, work: Callable[[], Iterator[np.ndarray]]) -> None:
        self._accept, self._work = accept, work
        self._due = time.monotonic() + FALSIFY_AFTER
        self._other: SecondProcess | None = None

    def __enter__(self) -> tuple[Accept, None]:
        return self, None

    def __exit__(self, *_: object) -> None:
        if self._other is not None:
            self._other.end()

    def __call__(self, points: np.ndarray) -> Any:
        """What the wrapped `accept` says of the points found over there, then of these."""
        if self._other is None and time.monotonic() >= self._due:
            from certify.backends.second_process import SecondProcess

            self._other = SecondProcess(self._run)
        for found in self._other.received() if self._other is not None else ():
            witness = self._accept(found)
            if witness is not None:
                return witness
        return self._accept(points) if len(points) else None

    def _run(self, send: Send) -> None:
        for points in self._work():
            send(points if len(points) else None)
