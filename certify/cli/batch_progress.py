"""How far a campaign is: a live display on a terminal, one line per instance in a pipe."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from certify.batch.instances import Instance
from certify.batch.record import DECIDED, Record
from certify.batch.runner import Watch

if TYPE_CHECKING:
    from certify.batch.task import Task

# Seconds between two pictures of the live display, and how many running instances it names.
REFRESH = 0.2
MOST_NAMED = 8


class BatchProgress(Watch):
    """Told what is running and what is done; shows it while active."""

    def __init__(self, total: int, earlier: Sequence[Record]) -> None:
        """total: instances in all. earlier: records of those that need not be run."""
        self._total, self._earlier = total, len(earlier)
        self._counts = Counter(record.status for record in earlier)
        self._start = self._shown = time.monotonic()
        self._live: Any = None

    def __enter__(self) -> BatchProgress:
        if self._earlier:
            typer.echo(f"{self._earlier} of {self._total} instances are done already")
        if sys.stdout.isatty():
            from rich.live import Live

            # Drawn by this thread alone: children are started by it too.
            self._live = Live(auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def done(self, record: Record) -> None:
        """An instance has ended."""
        self._counts[record.status] += 1
        if self._live is None:
            number = f"[{self._counts.total():{len(str(self._total))}}/{self._total}]"
            note = f"  {record.reason}" if record.status == "error" else ""
            typer.echo(f"{number} {record.status:8} {record.wall:9.3f} s  {_named(record)}{note}")
            sys.stdout.flush()

    def running(self, tasks: Sequence[Task]) -> None:
        """These run now."""
        if self._live is not None and time.monotonic() > self._shown + REFRESH:
            self._shown = time.monotonic()
            named = [f"  running: {_named(task.instance)}" for task in tasks[:MOST_NAMED]]
            more = [f"  and {len(tasks) - MOST_NAMED} more"] if len(tasks) > MOST_NAMED else []
            from rich.text import Text

            self._live.update(Text("\n".join([self.line(), *named, *more])), refresh=True)

    def line(self) -> str:
        """Done, decided, time left."""
        done = self._counts.total()
        decided = sum(self._counts[status] for status in DECIDED)
        now = done - self._earlier
        left = (time.monotonic() - self._start) / now * (self._total - done) if now else None
        time_left = "" if left is None else f", about {_clock(left)} left"
        return f"{done} of {self._total} done, {decided} decided{time_left}"

    def summary(self, folder: Path, complete: bool) -> None:
        """The counts, and where the results lie."""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self._counts.items())) or "none"
        typer.echo(f"{self._counts.total()} of {self._total} instances: {counts}")
        typer.echo(f"{folder}: results.csv, results.jsonl" + ("" if complete else "; stopped, --resume goes on"))


def _named(instance: Record | Instance) -> str:
    models = " ".join(Path(file).name for file in instance.networks.values())
    return f"{instance.category} {models} {Path(instance.spec).name}".strip()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
