"""A live line on the terminal while a run works; nothing at all elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class shown:  # noqa: N801 - a context manager that reads like a word
    """While active, show the run's stage, subproblems and bound on stderr a few times a second."""

    def __init__(self, current: Callable[[], Any], enabled: bool) -> None:
        self._current, self._enabled = current, enabled
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._status: Any = None

    def __enter__(self) -> shown:
        if self._enabled:
            from rich.console import Console

            self._status = Console(stderr=True).status("reading")
            self._status.start()
            self._thread = threading.Thread(target=self._refresh, daemon=True, name="certify-progress")
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Clear the line."""
        self._done.set()
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _refresh(self) -> None:
        while not self._done.wait(0.2):
            run, status = self._current(), self._status
            if run is not None and status is not None:
                p = run.progress
                status.update(f"{p.stage}: {p.domains} subproblems, {p.open} open, bound {p.bound:.4g}")
