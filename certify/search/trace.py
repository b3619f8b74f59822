"""How a bound moved while a search went on, in few enough points to keep."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# So many points at most; then every other one is forgotten and only every other one added.
MOST = 64

Point = tuple[float, float, int]  # seconds since the start, proven bound, subproblems so far


@dataclass
class Trace:
    """Points spread evenly over the additions, the last addition always among them."""

    _started: float = field(default_factory=time.monotonic)
    _kept: list[Point] = field(default_factory=list)
    _last: Point | None = None
    _every: int = 1
    _added: int = 0

    def add(self, bound: float, subproblems: int) -> None:
        """The bound is now this."""
        self._last = (time.monotonic() - self._started, bound, subproblems)
        if self._added % self._every == 0:
            self._kept = [*self._kept, self._last]
            if len(self._kept) == MOST:
                self._kept, self._every = self._kept[::2], 2 * self._every
        self._added += 1

    def points(self) -> list[Point]:
        """The points so far. May be called from another thread."""
        kept, last = self._kept, self._last
        return kept if last is None or kept[-1:] == [last] else [*kept, last]
