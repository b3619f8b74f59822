"""Tasks over lanes: one after the other on each, until all have come to something."""

from __future__ import annotations

import select
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path

from certify.batch.child import Usage
from certify.batch.lane import Lane, Lost, now, record_of
from certify.batch.record import Record
from certify.batch.task import Task

# Seconds between looks at processes of which nothing but the clock tells that they have ended.
PAUSE = 0.005
# How often a task is tried whose process is killed from outside.
ATTEMPTS = 5


class Watch:
    """Whoever wants to see how far it is; this one does not look."""

    def done(self, record: Record) -> None:
        """An instance has come to something."""

    def running(self, tasks: Sequence[Task]) -> None:
        """These run now."""


def run(tasks: Iterable[Task], lanes: Sequence[Lane], tick: Callable[[], None] = lambda: None) -> Generator[Record]:
    """The record of each task, in the order in which they end. tick: called some times a second.

    A task whose process was killed from outside is tried again. Whoever stops listening ends everything that runs.
    """
    waiting, killed = deque(tasks), Counter[str]()
    try:
        while waiting or any(lane.task for lane in lanes):
            for lane in lanes:
                if lane.task is None and waiting:
                    lane.start(waiting.popleft())
            _pause(lanes)
            tick()
            for lane in lanes:
                task = lane.task
                outcome = None if task is None else lane.poll()
                if task is None or outcome is None:
                    continue
                if isinstance(outcome, Record):
                    yield outcome
                    continue
                killed[task.key] += 1
                if killed[task.key] < ATTEMPTS:
                    waiting.appendleft(task)
                else:
                    yield given_up(task, outcome)
    finally:
        for lane in lanes:
            lane.close()


def local_lanes(folder: Path | None, count: int, warm: bool) -> list[Lane]:
    """Lanes on this machine. folder: where counterexamples go. warm: workers that stay, not a process per task."""
    if warm:
        from certify.batch.warm import WarmLane

        return [WarmLane(folder) for _ in range(count)]
    from certify.batch.cold import ColdLane

    return [ColdLane(folder) for _ in range(count)]


def given_up(task: Task, lost: Lost) -> Record:
    """The record of a task that is always killed."""
    reason = f"killed by signal {lost.signal}, {ATTEMPTS} times; by the system for lack of memory?"
    return record_of(task, now(), Usage(0.0, 0.0, 0.0), None, reason, -lost.signal)


def _pause(lanes: Sequence[Lane]) -> None:
    """Wait until there may be news."""
    files = [file for lane in lanes if lane.task is not None for file in lane.waits_for()]
    if files:
        select.select(files, [], [], PAUSE * 4)
    else:
        time.sleep(PAUSE)
