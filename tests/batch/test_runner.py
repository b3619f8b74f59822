from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bundled import CNN, FAILS, HARD, HOLDS, MODEL

from certify.batch.child import Usage
from certify.batch.cold import ColdLane
from certify.batch.instances import Instance
from certify.batch.lane import Lane, Lost, record_of
from certify.batch.record import Record
from certify.batch.runner import ATTEMPTS, run
from certify.batch.task import Options, Task, make_tasks
from certify.batch.warm import WarmLane

LANES = pytest.mark.parametrize("lane", [ColdLane, WarmLane])
INSTANCES = [Instance("digits", {"": MODEL}, spec, 60.0) for spec in (HOLDS, FAILS)]
ALONE = Options(processes=1)


def tasks(instances: list[Instance] = INSTANCES, options: Options = ALONE) -> list[Task]:
    return make_tasks(instances, options)


class FakeLane:
    """Ends each task at once, as it is told."""

    def __init__(self, say: Callable[[Task], str | int]) -> None:
        self.task: Task | None = None
        self.started: list[str] = []
        self.closed = False
        self._say = say

    def start(self, task: Task) -> None:
        self.task = task
        self.started.append(task.instance.spec)

    def poll(self) -> Record | Lost | None:
        task, self.task = self.task, None
        assert task is not None
        said = self._say(task)
        answer = {"status": said, "reason": ""}
        return Lost(said) if isinstance(said, int) else record_of(task, "", Usage(1.0, 1.0, 1.0), answer, "", 0)

    def waits_for(self) -> list[int]:
        return []

    def close(self) -> None:
        self.closed = True


def test_every_task_comes_to_something():
    lanes: list[Lane] = [FakeLane(lambda task: "unsat") for _ in range(3)]
    found = list(run(tasks([replace(INSTANCES[0], category=str(i)) for i in range(10)]), lanes))
    assert sorted(r.category for r in found) == [str(i) for i in range(10)]


def test_what_is_killed_from_outside_is_tried_again():
    outcomes = iter([9, 15, "sat", "unsat"])
    lane = FakeLane(lambda task: next(outcomes))
    assert [r.status for r in run(tasks(), [lane])] == ["sat", "unsat"]
    assert lane.started == [HOLDS] * 3 + [FAILS]


def test_what_is_always_killed_is_given_up():
    lane = FakeLane(lambda task: 9 if task.instance.spec == HOLDS else "sat")
    first, second = run(tasks(), [lane])
    assert (first.status, second.status) == ("error", "sat")
    assert "killed by signal 9" in first.reason
    assert lane.started.count(HOLDS) == ATTEMPTS


def test_who_stops_listening_ends_what_runs():
    lane = FakeLane(lambda task: "sat")
    records = run(tasks(), [lane])
    next(records)
    records.close()
    assert lane.closed
    assert lane.started == [HOLDS]


def through(lane: Lane, given: list[Task], pauses: Callable[[], None] = lambda: None) -> list[Record]:
    return list(run(given, [lane], pauses))


@LANES
def test_verdicts_and_what_they_took(lane: type[Lane], tmp_path: Path):
    holds, fails = through(lane(tmp_path), tasks())
    assert (holds.status, holds.exit_code, fails.status, fails.exit_code) == ("unsat", 0, "sat", 1)
    assert holds.bound is not None and holds.bound > 0.0
    assert fails.witness is not None and len(fails.witness["X"]) == 64
    assert fails.cpu > 0.0 and fails.wall > 0.0 and 20.0 < fails.peak_mib < 4000.0
    assert set(fails.sha256) == {MODEL, FAILS}
    written = INSTANCES[1].witness_path(tmp_path).read_text()
    assert written.startswith("((X_0 ") and f"(X_0 {fails.witness['X'][0]:.17g})" in written
    assert not INSTANCES[0].witness_path(tmp_path).exists()


@LANES
def test_certificates_are_kept_and_hold(lane: type[Lane], tmp_path: Path):
    options = Options(processes=1, certificates=True, recheck=True)
    found = through(lane(tmp_path), tasks(options=options))
    assert [record.status for record in found] == ["unsat", "sat"]
    for instance in INSTANCES:
        files = [instance.networks[""], instance.spec, str(instance.certificate_path(tmp_path))]
        said = subprocess.run([sys.executable, "-m", "certify.checker", *files], capture_output=True, text=True)
        assert said.returncode == 0, said.stdout


def test_what_is_asked_of_proofs_is_part_of_the_key():
    plain, asked = (tasks(options=Options(recheck=recheck))[0].key for recheck in (False, True))
    assert plain != asked


@LANES
def test_errors_are_records(lane: type[Lane], tmp_path: Path):
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    bad = [
        Instance("b", {"": str(tmp_path / "absent.onnx")}, HOLDS),
        Instance("b", {"": str(tmp_path / "broken.onnx")}, HOLDS),
        Instance("b", {"": CNN}, str(tmp_path / "absent.vnnlib")),
    ]
    found = through(lane(), tasks([*bad, INSTANCES[0]]))
    assert [(r.status, r.exit_code) for r in found] == [("error", 2)] * 3 + [("unsat", 0)]
    assert "absent.onnx: no such file" in found[0].reason


@LANES
def test_time_is_kept(lane: type[Lane]):
    (found,) = through(lane(), tasks([Instance("digits", {"": CNN}, HARD)], Options(timeout=0.5, processes=1)))
    assert (found.status, found.timeout, found.exit_code) == ("timeout", 0.5, 3)


@LANES
def test_what_does_not_end_is_killed(lane: type[Lane], monkeypatch: pytest.MonkeyPatch):
    for module in ("cold", "warm"):
        monkeypatch.setattr(f"certify.batch.{module}.KILL_AFTER", -60.0)
    (found,) = through(lane(), tasks(INSTANCES[:1]))
    assert (found.status, found.exit_code) == ("timeout", 3)
    assert "killed" in found.reason


@LANES
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies(lane: type[Lane], number: int):
    used = lane()
    killed = []

    def kill_once() -> None:
        if not killed:
            killed.append(used._child.process.pid)
            os.kill(killed[0], number)

    first, second = through(used, tasks(), kill_once)
    assert second.status == "sat"
    # What the system or somebody else kills is tried again; a crash is one.
    assert first.status == ("unsat" if number == signal.SIGKILL else "error")
    assert ("signal 11" in first.reason) == (number == signal.SIGSEGV)


def test_a_worker_stays_until_it_has_grown():
    for growth, workers in ((1e6, 1), (-1e6, 2)):
        lane, seen = WarmLane(growth=growth), set()
        through(lane, tasks(), lambda lane=lane, seen=seen: seen.add(lane._child.process.pid))
        assert len(seen) == workers


@LANES
def test_memory_is_limited(lane: type[Lane]):
    tight, enough = (Options(memory=limit) for limit in (128.0, 1500.0))
    found = through(lane(), tasks(INSTANCES[:1], tight)) + through(lane(), tasks(INSTANCES[:1], enough))
    assert found[0].status in ("out-of-memory", "unsat")
    assert found[1].status == "unsat"


def test_a_library_that_gives_up_for_lack_of_memory():
    statuses = []
    for memory in (None, 500.0):
        (task,) = tasks(INSTANCES[:1], Options(memory=memory))
        text = "killed by signal 6: terminate called after throwing an instance of 'std::bad_alloc'"
        statuses.append(record_of(task, "", Usage(1.0, 1.0, 1.0), None, text, -6).status)
    assert statuses == ["error", "out-of-memory"]


@LANES
def test_several_networks(lane: type[Lane], tmp_path: Path):
    spec = tmp_path / "two.vnnlib"
    spec.write_text(
        "(vnnlib-version <2.0>)\n"
        "(declare-network f (declare-input A real [1,64]) (declare-output P real [1,10]))\n"
        "(declare-network g (equal-to f) (declare-input B real [1,64]) (declare-output Q real [1,10]))\n"
        + "".join(f"(assert (== A[0,{i}] 0.5))\n(assert (== B[0,{i}] A[0,{i}]))\n" for i in range(64))
        + "(assert (> P[0,0] (+ Q[0,0] 1.0)))\n"
    )
    (found,) = through(lane(), tasks([Instance("pairs", {"f": MODEL, "g": MODEL}, str(spec))]))
    assert found.status == "unsat", found.reason


def test_a_child_ends_with_its_parent(tmp_path: Path):
    script = (
        "import os, sys, time, tempfile\n"
        "from certify.batch.child import Child\n"
        "c = Child('timeit', ['-n', '1', 'import time; time.sleep(600)'], tempfile.TemporaryFile())\n"
        "print(c.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    if handle is None:
        parent.kill()
        pytest.skip("this system cannot wait for a process that is not its child")
    parent.kill()
    parent.wait()
    assert select.select([handle], [], [], 30.0)[0], "the child lives on"
    os.close(handle)


def test_the_key_is_over_contents_and_options(tmp_path: Path):
    copy = tmp_path / "other.onnx"
    copy.write_bytes(Path(MODEL).read_bytes())
    (base,) = tasks(INSTANCES[:1])
    (moved,) = tasks([replace(INSTANCES[0], networks={"": str(copy)})])
    (longer,) = tasks(INSTANCES[:1], Options(timeout=61.0, processes=1))
    (same,) = tasks(INSTANCES[:1], Options(timeout=60.0, processes=4))
    copy.write_bytes(Path(CNN).read_bytes())
    (changed,) = tasks([replace(INSTANCES[0], networks={"": str(copy)})])
    assert base.key == moved.key == same.key
    assert len({base.key, longer.key, changed.key}) == 3
    assert base.identity != moved.identity
