"""Where the time of a run goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Wall seconds by stage."""

    _seconds: dict[str, float] = field(default_factory=dict)
    _running: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds so far, stages that still run included."""
        now, found = time.perf_counter(), dict(self._seconds)
        for stage, start in list(self._running.items()):
            found[stage] = found.get(stage, 0.0) + now - start
        return found

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of the block to the stage."""
        self._running[stage] = time.perf_counter()
        try:
            yield
        finally:
            start = self._running.pop(stage)
            self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - start
