"""`certify check MODEL SPEC`: decide a property."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from certify.cli.errors import print_error, reported
from certify.cli.gate import FailOn, Gate, Reports, gate
from certify.cli.networks import models_and_spec
from certify.cli.options import Json, Network, Seed, writable
from certify.cli.watch import OwnProcess, watching
from certify.errors import CertifyError
from certify.report.policy import KINDS, Result
from certify.threads import cores, keep_freed_memory, limit_memory

if TYPE_CHECKING:
    from certify.batch.record import Record
    from certify.verdict import Verdict
    from certify.verify import Run


class Expected(str, Enum):
    """Values of --expect."""

    sat = "sat"
    unsat = "unsat"


class Device(str, Enum):
    """Values of --device."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Semantics(str, Enum):
    """Values of --semantics."""

    real = "real"
    float32 = "float32"


def check(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] SPEC",
            help="ONNX model, or a list [('f', FILE), ...] of them; VNN-LIB property, 1.0 or 2.0. Both may be gzipped.",
        ),
    ],
    network: Network = None,
    timeout: Annotated[float, typer.Option(min=0.0, help="Wall-clock seconds for the whole process.")] = 60.0,
    memory: Annotated[float | None, typer.Option(min=128.0, help="Memory limit in MiB.")] = None,
    backend: Annotated[str, typer.Option(help="How to prove; `certify backends` lists them.")] = "native",
    device: Annotated[Device, typer.Option(help="Where the native engine computes.")] = Device.auto,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that may work at once; by default one per core.")
    ] = None,
    seed: Seed = 0,
    attack: Annotated[bool, typer.Option("--attack/--no-attack", help="Look for counterexamples first.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse specs outside the VNN-LIB standard.")] = False,
    json: Json = None,
    counterexample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=writable, help="Where to write a counterexample (VNN-COMP text)."),
    ] = None,
    expect: Annotated[
        Expected | None, typer.Option(help="Exit 0 if this is the verdict, else 1 (3: undecided).")
    ] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 whatever the verdict is.")] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=writable,
            help="Where to write a certificate of the verdict, for `python -m certify.checker`.",
        ),
    ] = None,
    recheck: Annotated[
        bool,
        typer.Option("--recheck", help="Say unsat only if the checker, in a process of its own, accepts the proof."),
    ] = False,
    semantics: Annotated[
        Semantics,
        typer.Option(help="What to prove: of exact arithmetic, or of float32 in any order (implies --recheck)."),
    ] = Semantics.real,
    keep_plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write how a proof divided the problem, for --follow.")
    ] = None,
    follow: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Divide the problem as a proof for an earlier model did; saves time only."),
    ] = None,
    report: Reports = None,
    fail_on: FailOn = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show stages and statistics.")] = False,
) -> None:
    """Prove that no input in SPEC's region makes MODEL do what SPEC describes, or find one that does.

    A SPEC about several networks comes with one --network NAME=FILE for each, except those equal to another.

    The first line of the answer is sat (violated), unsat (proved), unknown or timeout. Exit codes: 0 property proved,
    1 violated, 2 input or usage error, 3 undecided, 4 internal error.
    """
    with reported(verbose):
        model, spec = models_and_spec(files, network or [])
        failing = ("error",) if exit_zero else KINDS
        wanted = expect.value if expect else None
        door = gate(report, fail_on, by_default=failing, expect=wanted, quiet=json == "-")
    process: OwnProcess | None = context.obj
    started = time.monotonic() if process is None else process.started
    desk = _Desk(_Question(model, spec, timeout, memory, backend, started), json, counterexample, door, verbose)
    deadline = timeout + started
    with reported(verbose, desk.fail), watching(process, deadline, desk.stop):
        if process is not None:
            if memory is None:
                keep_freed_memory()
            else:
                limit_memory(int(memory * 2**20))
        from certify import api
        from certify.settings import Budget, Settings

        # A limit on memory is one on this process.
        allowed = 1 if process is None or memory is not None else processes or cores()
        settings = Settings(
            backend,
            device.value,
            seed,
            attack,
            strict,
            allowed,
            certificate,
            recheck,
            semantics.value,
            keep_plan,
            follow,
        )
        budget = Budget(deadline, None if memory is None else int(memory * 2**20))
        with desk.progress():
            try:
                verdict = api.check(model, spec, settings=settings, budget=budget, started=desk.take)
            except MemoryError:
                verdict = desk.out_of_memory()
            except SystemError:
                # Some failed allocations inside CPython come out like this.
                if memory is None:
                    raise
                verdict = desk.out_of_memory()
        raise typer.Exit(desk.answer(verdict))


@dataclass(frozen=True)
class _Question:
    """What was asked. timeout: seconds; memory: MiB; started: on the clock of time.monotonic."""

    model: Path | dict[str, Path]
    spec: Path
    timeout: float
    memory: float | None
    backend: str
    started: float

    def record(self, answer: dict[str, Any]) -> Record:
        """The record that a batch run would keep of this process. answer: as `as_dict` makes it."""
        from certify.batch.child import own_usage
        from certify.batch.instances import Instance
        from certify.batch.lane import now, record_of
        from certify.batch.task import Options, make_tasks

        models = self.model if isinstance(self.model, dict) else {"": self.model}
        instance = Instance("", {name: str(file) for name, file in models.items()}, str(self.spec), self.timeout)
        (task,) = make_tasks([instance], Options(memory=self.memory, backend=self.backend))
        usage = own_usage(self.started)
        return record_of(task, now(usage.wall), usage, answer, "", 0)


class _Desk:
    """Hands out exactly one answer, from the main thread when it is done or from the watching one when it must be."""

    def __init__(
        self, question: _Question, json: str | None, counterexample: Path | None, gate: Gate, verbose: bool
    ) -> None:
        self.question, self.json, self.counterexample, self.gate = question, json, counterexample, gate
        self.verbose = verbose
        self.run: Run | None = None
        self._once = threading.Lock()
        self._answering = 0  # the thread that does
        self._live: Any = None

    def take(self, run: Run) -> None:
        """The run is ready and about to start."""
        self.run = run

    def progress(self) -> Any:
        """A line on stderr that shows where the run stands, on a terminal only."""
        from certify.cli.progress import shown

        self._live = shown(lambda: self.run, enabled=sys.stderr.isatty() and self.json != "-")
        return self._live

    def stop(self, why: str) -> None:
        """Answer with what is known and end the process."""
        from certify.cli.leave import leave
        from certify.verdict import Status, Verdict

        status = Status.TIMEOUT if why == "timeout" else Status.UNKNOWN
        reason = "the time ended while the problem was being read" if why == "timeout" else "interrupted"
        verdict = Verdict(status, reason, advice="give more time (--timeout)")
        if self.run is not None:
            verdict = self.run.undecided(status, "interrupted" if why == "interrupt" else None)
        try:
            code = self.answer(verdict)
        except CertifyError as error:
            print_error(error)
            code = self.fail(str(error), error.exit_code)
        leave(code)

    def out_of_memory(self) -> Verdict:
        """The answer when not even the search could begin."""
        from certify.verdict import Status, Verdict

        advice = "give more memory (--memory)"
        return Verdict(Status.OUT_OF_MEMORY, "memory ran out while the problem was being read", advice=advice)

    def answer(self, verdict: Verdict) -> int:
        """Print and write the verdict; the exit code. A second caller waits while the first one ends the process."""
        self._once.acquire()
        self._answering = threading.get_ident()
        if self._live is not None:
            self._live.stop()
        from certify.cli import answer

        problem = None if self.run is None else self.run.problem
        query = None if problem is None else problem.query
        show = (lambda: answer.print_verdict(verdict, self.verbose)) if self.json != "-" else lambda: None
        found = None
        try:
            if verdict.witness is not None and self.counterexample is not None and query is not None:
                from certify.files import write_text
                from certify.witness.format import write_witness

                write_text(self.counterexample, write_witness(verdict.witness, query))
            if self.json is not None or self.gate.targets:
                from certify.answer import as_dict

                found = as_dict(verdict, self.question.model, self.question.spec, problem)
            if self.json is not None:
                answer.write_json(self.json, found)
        except CertifyError:
            show()
            raise
        return self._pass(found, verdict.status.value, verdict.status.exit_code, show)

    def fail(self, message: str, code: int) -> int:
        """Report an error; the exit code. 3 says that nothing can be concluded, the others that nothing was run."""
        if self._answering == threading.get_ident():
            return code  # it was the answer that could not be written
        self._once.acquire()
        status = "unknown" if code == 3 else "error"
        try:
            return self._pass({"status": status, "reason": message, "exit_code": code}, status, code)
        except CertifyError as error:
            print_error(error)
            return error.exit_code

    def _pass(
        self, answer: dict[str, Any] | None, status: str, code: int, show: Callable[[], None] = lambda: None
    ) -> int:
        """Through the gate, with a record where there are reports to write; `show` in between prints the answer."""
        runs = {"": [self.question.record(answer)]} if self.gate.targets and answer is not None else {}
        try:
            self.gate.write_files(runs)
        finally:
            show()
        self.gate.annotate(runs)
        return self.gate.judge([Result(status, code)])
