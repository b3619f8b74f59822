"""A process that answers one instance after the other, with libraries and networks kept loaded.

One line of JSON in, one out. Started by `certify.batch.warm`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from certify import api
from certify.answer import as_dict
from certify.errors import CertifyError
from certify.network.read_onnx import Model, load_model
from certify.settings import Budget, Settings
from certify.threads import cores, keep_freed_memory, limit_memory
from certify.verify import Run

# Networks kept at a time: a benchmark has few, and what they take counts as growth.
KEPT = 16


def serve(memory: float | None) -> None:
    """Answer until the input ends. memory: MiB for the whole process."""
    # Whatever prints must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if memory is None:
        keep_freed_memory()
    else:
        limit_memory(int(memory * 2**20))
    for line in sys.stdin:
        reply = answer(json.loads(line), memory)
        answers.write(json.dumps(reply, allow_nan=False) + "\n")
        answers.flush()
        if reply["answer"]["status"] == "out-of-memory":
            return


def answer(job: dict[str, Any], memory: float | None) -> dict[str, Any]:
    """The answer as `as_dict` gives it, and what it took."""
    forget_peak()
    start, cpu = time.monotonic(), _cpu()
    try:
        found = _check(job, memory)
    except MemoryError:
        reason = "memory ran out while the problem was being read"
        found = {"status": "out-of-memory", "reason": reason, "exit_code": 3, "advice": "give more memory (--memory)"}
    except CertifyError as error:
        found = {"status": "error", "reason": str(error), "exit_code": error.exit_code}
    except Exception as error:  # noqa: BLE001 - a bug that one instance meets must not end the others
        found = {"status": "error", "reason": f"internal error: {type(error).__name__}: {error}", "exit_code": 4}
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    peak, rss = memory_used()
    return {
        "answer": found, "wall": time.monotonic() - start, "cpu": _cpu() - cpu, "peak_mib": peak, "rss_mib": rss
    }  # fmt: skip


def _check(job: dict[str, Any], memory: float | None) -> dict[str, Any]:
    networks = {name: Path(file) for name, file in job["networks"].items()}
    model, spec = networks.get("", networks), Path(job["spec"])
    runs: list[Run] = []
    # A limit on memory is one on this process.
    processes = 1 if memory is not None else job["processes"] or cores()
    certificate, plan, follow = (job[name] and Path(job[name]) for name in ("certificate", "keep_plan", "follow"))
    for path in filter(None, (certificate, plan)):
        path.parent.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        job["backend"],
        processes=processes,
        certificate=certificate,
        recheck=job["recheck"],
        keep_plan=plan,
        follow=follow,
    )
    budget = Budget.starting_now(job["timeout"], None if memory is None else int(memory * 2**20))
    verdict = api.check(model, spec, settings=settings, budget=budget, started=runs.append, load=_load)
    problem = runs[0].problem if runs else None
    if verdict.witness is not None and job["counterexample"] and problem is not None and problem.query is not None:
        from certify.files import write_text
        from certify.witness.format import write_witness

        Path(job["counterexample"]).parent.mkdir(parents=True, exist_ok=True)
        write_text(job["counterexample"], write_witness(verdict.witness, problem.query))
    return as_dict(verdict, model, spec, problem)


def _load(path: Path, hidden: tuple[str, ...], kept: tuple[bool, ...]) -> Model:
    """The network as read before, if the file is still the same."""
    state = path.stat() if path.exists() else None
    return _remembered(path, hidden, kept, state and (state.st_mtime_ns, state.st_size, state.st_ino))


@lru_cache(maxsize=KEPT)
def _remembered(path: Path, hidden: tuple[str, ...], kept: tuple[bool, ...], state: tuple[int, ...] | None) -> Model:
    return load_model(path, hidden, kept)


def _cpu() -> float:
    """Seconds of processor time of this process and of those it started that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def forget_peak() -> None:
    """Count the peak of memory from now on, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def memory_used() -> tuple[float, float]:
    """(peak, present) resident memory in MiB; where the system does not tell, the peak of the whole life for both."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        peak, rss = (float(lines[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
    except (OSError, KeyError, ValueError, IndexError):
        peak = rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak, rss


if __name__ == "__main__":
    serve(float(sys.argv[1]) if len(sys.argv) > 1 else None)
