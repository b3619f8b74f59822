"""A lane takes one task at a time: `start` it, then `poll` until it has come to something."""

from __future__ import annotations

import datetime
import platform
from dataclasses import dataclass
from typing import Any, Protocol

from certify import __version__
from certify.batch.child import Usage
from certify.batch.record import Record
from certify.batch.task import Task


@dataclass(frozen=True)
class Lost:
    """Something outside, perhaps the system for lack of memory, killed the process before it could answer."""

    signal: int


class Lane(Protocol):
    """One place where tasks run."""

    task: Task | None

    def start(self, task: Task) -> None:
        """Begin; the lane is free."""

    def poll(self) -> Record | Lost | None:
        """What came of the task, after which the lane is free again; None while it runs."""

    def waits_for(self) -> list[int]:
        """Open files that become readable when there may be news."""

    def close(self) -> None:
        """End whatever runs."""


def now(ago: float = 0.0) -> str:
    """The time so many seconds ago: UTC, ISO 8601."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    return then.isoformat(timespec="seconds")


def record_of(task: Task, started: str, usage: Usage, answer: dict[str, Any] | None, failure: str, code: int) -> Record:
    """The record of a task, from the answer as `as_dict` gives it, or from the failure where there is none."""
    answer = answer or _failed(task, failure, code)
    return Record(
        key=task.key,
        category=task.instance.category,
        networks=task.instance.networks,
        spec=task.instance.spec,
        timeout=task.timeout,
        status=answer["status"],
        reason=answer["reason"],
        exit_code=answer.get("exit_code", code),
        wall=round(usage.wall, 4),
        cpu=round(usage.cpu, 4),
        stages={stage: round(seconds, 4) for stage, seconds in answer.get("seconds", {}).items()},
        bound=answer.get("bound"),
        witness=answer.get("witness"),
        statistics=answer.get("statistics", {}),
        notes=answer.get("notes", []) + [warning["message"] for warning in answer.get("warnings", [])],
        advice=answer.get("advice", ""),
        peak_mib=round(usage.peak_mib, 1),
        backend=task.options.backend,
        version=__version__,
        host=platform.node(),
        started=started,
        sha256=task.sha256,
        index=task.instance.index,
        trace=[[round(seconds, 4), bound, n] for seconds, bound, n in answer.get("trace", [])],
    )


def _failed(task: Task, failure: str, code: int) -> dict[str, Any]:
    """What stands for an answer that did not come. Libraries end the process when a limit leaves them no memory."""
    no_memory = task.options.memory is not None and any(word in failure.lower() for word in ("memory", "alloc"))
    reason = failure or f"ended with exit code {code} without an answer"
    return {
        "status": "out-of-memory" if no_memory else "error",
        "reason": reason,
        "exit_code": 3 if no_memory else code,
    }
