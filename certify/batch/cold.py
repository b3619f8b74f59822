"""One process per instance: `certify check` itself, so that nothing of one instance can touch another."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from certify.batch.child import KILL_AFTER, Child, Usage, said
from certify.batch.lane import Lost, now, record_of
from certify.batch.record import Record
from certify.batch.task import Task


class ColdLane:
    """Runs each task in a fresh process. folder: where counterexamples and certificates go, None for nowhere."""

    def __init__(self, folder: Path | None = None) -> None:
        self.task: Task | None = None
        self._folder = folder
        self._child: Child | None = None

    def start(self, task: Task) -> None:
        """Begin."""
        self.task, self._started = task, now()
        self._scratch = tempfile.TemporaryDirectory(prefix="certify-")
        self._answer = Path(self._scratch.name) / "answer.json"
        self._error = (Path(self._scratch.name) / "stderr").open("w+b")
        self._child = Child("certify", self._arguments(task), self._error, task.options.processes)

    def _arguments(self, task: Task) -> list[str]:
        networks, options = task.instance.networks, task.options
        files = [networks[""]] if "" in networks else []
        arguments = ["check", *files, task.instance.spec]
        for name, file in networks.items():
            arguments += ["--network", f"{name}={file}"] if name else []
        arguments += ["--timeout", repr(task.timeout), "--json", str(self._answer), "--backend", options.backend]
        if self._folder is not None:
            path = task.instance.witness_path(self._folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            arguments += ["--counterexample", str(path)]
        if self._folder is not None and options.certificates:
            path = task.instance.certificate_path(self._folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            arguments += ["--certificate", str(path)]
        if self._folder is not None and options.plans:
            path = task.instance.plan_path(self._folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            arguments += ["--keep-plan", str(path)]
        if task.follow is not None:
            arguments += ["--follow", task.follow]
        if options.recheck:
            arguments += ["--recheck"]
        if options.memory is not None:
            arguments += ["--memory", repr(options.memory)]
        if options.processes is not None:
            arguments += ["--processes", str(options.processes)]
        return [*arguments, *options.extra]

    def poll(self) -> Record | Lost | None:
        """What came of the task."""
        assert self.task is not None and self._child is not None
        usage = self._child.ended()
        if usage is None:
            if time.monotonic() <= self._child.started + self.task.timeout + KILL_AFTER:
                return None
            self._child.kill()
            return self._finish(self._killed())
        # Whatever it forked ends with it.
        self._child.kill()
        answer, code = self._read(), self._child.code
        if answer is None and -code in (1, 2, 9, 15):
            return self._finish(Lost(-code))
        failure = said(self._error, code)
        return self._finish(record_of(self.task, self._started, usage, answer, failure, code))

    def _read(self) -> dict[str, Any] | None:
        if not self._answer.exists():
            return None
        found: dict[str, Any] = json.loads(self._answer.read_text())
        return found

    def _killed(self) -> Record:
        """It did not end by itself."""
        assert self.task is not None and self._child is not None
        answer = {"status": "timeout", "reason": f"killed {KILL_AFTER:g} s after its time", "exit_code": 3}
        usage = Usage(time.monotonic() - self._child.started, 0.0, 0.0)
        return record_of(self.task, self._started, usage, answer, "", 3)

    def _finish(self, outcome: Record | Lost) -> Record | Lost:
        self._error.close()
        self._scratch.cleanup()
        self.task = self._child = None
        return outcome

    def waits_for(self) -> list[int]:
        """Nothing tells but the clock."""
        return []

    def close(self) -> None:
        """Kill the process."""
        if self._child is not None:
            self._child.kill()
            self._finish(Lost(9))
