"""Workers that stay: each answers many instances, and is replaced when it dies or has grown."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TypeVar

from certify.batch.child import KILL_AFTER, Child, Usage, said
from certify.batch.lane import Lost, now, record_of
from certify.batch.record import Record
from certify.batch.task import Task

# A worker is replaced when it holds so many MiB more than after its first instance.
GROWTH = 1024.0

Outcome = TypeVar("Outcome", Record, Lost)


class WarmLane:
    """Runs tasks in one worker.

    folder: where counterexamples and certificates go, None for nowhere; growth: MiB, see above.
    """

    def __init__(self, folder: Path | None = None, growth: float = GROWTH) -> None:
        self.task: Task | None = None
        self._folder, self._growth = folder, growth
        self._child: Child | None = None
        self._error = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - as long as the lane

    def start(self, task: Task) -> None:
        """Hand the task to the worker, starting one if there is none."""
        if self._child is None:
            memory = [] if task.options.memory is None else [repr(task.options.memory)]
            self._error.truncate(0)
            self._child = Child("certify.batch.worker", memory, self._error, task.options.processes, piped=True)
            self._first: float | None = None
        witness = None if self._folder is None else str(task.instance.witness_path(self._folder))
        keep = self._folder is not None and task.options.certificates
        certificate = str(task.instance.certificate_path(self._folder)) if self._folder and keep else None
        plan = str(task.instance.plan_path(self._folder)) if self._folder and task.options.plans else None
        job = {
            "networks": task.instance.networks, "spec": task.instance.spec, "timeout": task.timeout,
            "backend": task.options.backend, "processes": task.options.processes, "counterexample": witness,
            "certificate": certificate, "recheck": task.options.recheck, "keep_plan": plan, "follow": task.follow,
        }  # fmt: skip
        self.task, self._started, self._clock, self._heard = task, now(), time.monotonic(), b""
        assert self._child.process.stdin is not None and self._child.process.stdout is not None
        os.set_blocking(self._child.process.stdout.fileno(), False)
        try:
            self._child.process.stdin.write(json.dumps(job).encode() + b"\n")
        except BrokenPipeError:
            return  # it has just died, which `poll` finds out

    def poll(self) -> Record | Lost | None:
        """What came of the task."""
        assert self.task is not None and self._child is not None and self._child.process.stdout is not None
        usage = self._child.ended()
        while heard := self._child.process.stdout.read(2**20):
            self._heard += heard
        if self._heard.endswith(b"\n"):
            return self._answered(ended=usage is not None)
        if usage is not None:
            return self._died(usage)
        if time.monotonic() <= self._clock + self.task.timeout + KILL_AFTER:
            return None
        answer = {"status": "timeout", "reason": f"killed {KILL_AFTER:g} s after its time", "exit_code": 3}
        return self._replaced(record_of(self.task, self._started, self._used(), answer, "", 3))

    def _answered(self, ended: bool) -> Record:
        """The worker's reply."""
        assert self.task is not None
        reply = json.loads(self._heard)
        usage = Usage(reply["wall"], reply["cpu"], reply["peak_mib"])
        record = record_of(self.task, self._started, usage, reply["answer"], "", 0)
        self._first = self._first or reply["rss_mib"]
        if ended or record.status == "out-of-memory" or reply["rss_mib"] > self._first + self._growth:
            return self._replaced(record)
        self.task = None
        return record

    def _died(self, usage: Usage) -> Record | Lost:
        assert self.task is not None and self._child is not None
        code = self._child.code
        if -code in (1, 2, 9, 15):
            return self._replaced(Lost(-code))
        failure = said(self._error, code)
        usage = Usage(self._used().wall, 0.0, usage.peak_mib)
        return self._replaced(record_of(self.task, self._started, usage, None, failure, code))

    def _used(self) -> Usage:
        return Usage(time.monotonic() - self._clock, 0.0, 0.0)

    def _replaced(self, outcome: Outcome) -> Outcome:
        self.close()
        return outcome

    def waits_for(self) -> list[int]:
        """The worker's answers."""
        pipe = None if self._child is None else self._child.process.stdout
        return [] if pipe is None else [pipe.fileno()]

    def close(self) -> None:
        """Kill the worker; the next task starts another."""
        if self._child is not None:
            self._child.kill()
        self.task = self._child = None
