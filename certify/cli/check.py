"""`certify check MODEL SPEC`: decide a property."""

from __future__ import annotations

import sys
import threading
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from certify.cli.errors import print_error, reported
from certify.cli.networks import models_and_spec
from certify.cli.watch import OwnProcess, limit_memory, watching
from certify.errors import CertifyError
from certify.threads import cores, keep_freed_memory

if TYPE_CHECKING:
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
            help="ONNX model (.onnx or .onnx.gz) and VNN-LIB property (.vnnlib or .vnnlib.gz), 1.0 or 2.0.",
        ),
    ],
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Model of a network that SPEC declares, instead of MODEL; repeatable."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.0, help="Wall-clock seconds for the whole process.")] = 60.0,
    memory: Annotated[float | None, typer.Option(min=128.0, help="Memory limit in MiB.")] = None,
    backend: Annotated[str, typer.Option(help="How to prove; `certify backends` lists them.")] = "native",
    device: Annotated[Device, typer.Option(help="Where the native engine computes.")] = Device.auto,
    seed: Annotated[int, typer.Option(help="Seed of the attacks.")] = 0,
    attack: Annotated[bool, typer.Option("--attack/--no-attack", help="Look for counterexamples first.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse specs outside the VNN-LIB standard.")] = False,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write the verdict as JSON; - for stdout.")] = None,
    counterexample: Annotated[
        Path | None, typer.Option(help="Where to write a counterexample (VNN-COMP text).")
    ] = None,
    expect: Annotated[
        Expected | None, typer.Option(help="Exit 0 if this is the verdict, else 1 (3: undecided).")
    ] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 whatever the verdict is.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="Where to write a certificate of the verdict, for `python -m certify.checker`.")
    ] = None,
    recheck: Annotated[
        bool,
        typer.Option("--recheck", help="Say unsat only if the checker, in a process of its own, accepts the proof."),
    ] = False,
    semantics: Annotated[
        Semantics,
        typer.Option(help="What to prove: of exact arithmetic, or of float32 in any order (implies --recheck)."),
    ] = Semantics.real,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show stages and statistics.")] = False,
) -> None:
    """Prove that no input in SPEC's region makes MODEL do what SPEC describes, or find one that does.

    A SPEC about several networks comes with one --network NAME=FILE for each, except those equal to another.

    The first line of the answer is sat (violated), unsat (proved), unknown or timeout. Exit codes: 0 property proved,
    1 violated, 2 input or usage error, 3 undecided, 4 internal error.
    """
    with reported(verbose):
        model, spec = models_and_spec(files, network or [])
    desk = _Desk(model, spec, json, counterexample, expect, exit_zero, verbose)
    process: OwnProcess | None = context.obj
    deadline = timeout + (time.monotonic() if process is None else process.started)
    with reported(verbose), watching(process, deadline, desk.stop):
        if process is not None:
            if memory is None:
                keep_freed_memory()
            else:
                limit_memory(int(memory * 2**20))
        from certify import api
        from certify.settings import Budget, Settings

        # A limit on memory is one on this process.
        processes = 1 if process is None or memory is not None else cores()
        settings = Settings(
            backend, device.value, seed, attack, strict, processes, certificate, recheck, semantics.value
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


class _Desk:
    """Hands out exactly one answer, from the main thread when it is done or from the watching one when it must be."""

    def __init__(
        self, model: Path | dict[str, Path], spec: Path, json: str | None, counterexample: Path | None,
        expect: Expected | None, exit_zero: bool, verbose: bool,
    ) -> None:  # fmt: skip
        self.model, self.spec, self.json, self.counterexample = model, spec, json, counterexample
        self.expect, self.exit_zero, self.verbose = expect, exit_zero, verbose
        self.run: Run | None = None
        self._once = threading.Lock()
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
            code = error.exit_code
        leave(code)

    def out_of_memory(self) -> Verdict:
        """The answer when not even the search could begin."""
        from certify.verdict import Status, Verdict

        advice = "give more memory (--memory)"
        return Verdict(Status.OUT_OF_MEMORY, "memory ran out while the problem was being read", advice=advice)

    def answer(self, verdict: Verdict) -> int:
        """Print and write the verdict; the exit code. A second caller waits while the first one ends the process."""
        self._once.acquire()
        if self._live is not None:
            self._live.stop()
        from certify.cli import answer

        query = None if self.run is None else self.run.problem.query
        if self.json != "-":
            answer.print_verdict(verdict, self.verbose)
        if self.json is not None:
            answer.write_json(self.json, answer.as_dict(verdict, self.model, self.spec, self.run))
        if verdict.witness is not None and self.counterexample is not None and query is not None:
            from certify.files import write_text
            from certify.witness.format import write_witness

            write_text(self.counterexample, write_witness(verdict.witness, query))
        if self.exit_zero:
            return 0
        code = verdict.status.exit_code
        return code if self.expect is None or code == 3 else int(verdict.status.value != self.expect.value)
