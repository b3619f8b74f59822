"""Proofs that begin where those of the first model ended, and what that saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from certify.batch.instances import Instance
from certify.batch.record import Record
from certify.batch.task import Task
from certify.compare.exchange import contradicted

# Whether later models follow the splits and slopes of the first one's proofs; measured: with and without.
Reuse = Literal["off", "on", "measured"]


@dataclass(frozen=True)
class Work:
    """subproblems; cpu: seconds of all processors."""

    subproblems: int
    cpu: float

    @classmethod
    def of(cls, records: Sequence[Record]) -> Work:
        """What these took together."""
        return cls(sum(int(record.statistics.get("subproblems", 0)) for record in records), sum(r.cpu for r in records))


@dataclass(frozen=True)
class Saving:
    """followed: how many specifications began with a plan. first, after: the work on these for the first model and for
    the other one with the plans; alone: without them, where that was measured.
    """

    model: str
    followed: int
    first: Work
    after: Work
    alone: Work | None = None


def with_plans(tasks: Sequence[Task], first: Sequence[Record], folder: Path) -> dict[int, Task]:
    """The tasks of a later model that have a plan to follow, by place. folder: of the first model's campaign."""
    instances = [Instance(r.category, r.networks, r.spec) for r in first]
    plans = [instance.plan_path(folder) for instance in instances]
    return {
        i: task.following(plan)
        for i, (task, record, plan) in enumerate(zip(tasks, first, plans, strict=True))
        if record.status == "unsat" and plan.exists()
    }


def agreed(alone: Record, after: Record) -> Record:
    """The record of a specification that was decided in both ways: the one that decides, if they do not contradict."""
    if {alone.status, after.status} == {"sat", "unsat"}:
        proof, other = (alone, after) if alone.status == "unsat" else (after, alone)
        return contradicted(proof, f"the run {'without' if other is alone else 'with'} a plan")
    return alone if alone.decided else after
