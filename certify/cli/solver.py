"""The solver interface of VNN-LIB 2.0: `certify verify QUERY --network NAME=FILE ...`, `certify supports CAPABILITY`.

Standard output carries what the standard says and nothing else; everything for people goes to standard error.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from certify.cli.errors import reported
from certify.cli.networks import models_by_name
from certify.cli.watch import OwnProcess, watching
from certify.errors import InputError
from certify.threads import cores, keep_freed_memory

if TYPE_CHECKING:
    from certify.verdict import Verdict
    from certify.verify import Run

WORDS = {"timeout": "timed-out"}
LONGEST = 10**6  # seconds; the standard has no default


SETTINGS: dict[str, dict[str, Any]] = {"supports": {"context_settings": {"ignore_unknown_options": True}}}


def verify(
    context: typer.Context,
    query: Annotated[Path, typer.Argument(metavar="QUERY", help="VNN-LIB query.")],
    network: Annotated[list[str], typer.Option(metavar="NAME=FILE", help="Model of a declared network; repeatable.")],
    timeout: Annotated[int, typer.Option(min=0, help="Wall-clock seconds for the whole process.")] = LONGEST,
) -> None:
    """Answer QUERY as the VNN-LIB standard asks of a solver: sat and an assignment, unsat, unknown or timed-out.

    Exit code 0 for every answer; 2, with nothing on standard output, for input that cannot be used.
    """
    desk = _Desk()
    process: OwnProcess | None = context.obj
    deadline = timeout + (time.monotonic() if process is None else process.started)
    with reported(), watching(process, deadline, desk.stop):
        if process is not None:
            keep_freed_memory()
        from certify import api
        from certify.settings import Budget, Settings

        settings = Settings(processes=1 if process is None else cores())
        models = models_by_name(network)
        try:
            verdict = api.check(models, query, settings=settings, budget=Budget(deadline), started=desk.take)
        except MemoryError:
            desk.say("unknown\n", "memory ran out")
        else:
            desk.answer(verdict)


class _Desk:
    """Hands out exactly one answer: a second caller waits while the first one ends the process."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._once = threading.Lock()

    def take(self, run: Run) -> None:
        """The run is ready and about to start."""
        self.run = run

    def stop(self, why: str) -> None:
        """Answer from the watching thread and end the process."""
        from certify.cli.leave import leave

        self.say("timed-out\n" if why == "timeout" else "unknown\n", why)
        leave(0)

    def answer(self, verdict: Verdict) -> None:
        """The verdict's word and, for sat, the assignment."""
        text = WORDS.get(verdict.status.word, verdict.status.word) + "\n"
        if verdict.witness is not None:
            from certify.witness.format import write_witness

            assert self.run is not None
            assert self.run.problem.query is not None
            text += write_witness(verdict.witness, self.run.problem.query)
        self.say(text, verdict.reason)

    def say(self, text: str, reason: str) -> None:
        """Print, once."""
        self._once.acquire()
        typer.echo(text, nl=False)
        print(f"certify: {reason}", file=sys.stderr)


def supports(
    capability: Annotated[
        str, typer.Argument(metavar="CAPABILITY", help="Such as --vnnlib-versions; without it, all are listed.")
    ] = "",
) -> None:
    """Tell which part of the VNN-LIB standard is supported, one answer per line."""
    with reported():
        if not capability:
            typer.echo("\n".join(_CAPABILITIES))
            return
        if capability not in _CAPABILITIES:
            raise InputError(f"there is no capability {capability}", f"choose one of: {' '.join(_CAPABILITIES)}")
        answer = _CAPABILITIES[capability]
        typer.echo("\n".join(answer() if callable(answer) else answer))


def _opsets() -> list[str]:
    from onnx import defs

    from certify.network.read_onnx import OLDEST_OPSET

    return [str(OLDEST_OPSET), str(defs.onnx_opset_version())]


def _operators() -> list[str]:
    from certify.network.read_onnx import FOLDED
    from certify.ops.registry import all_entries

    return sorted({entry.op_type for entry in all_entries() if not entry.domain} | FOLDED)


# Proofs are about real arithmetic, so `real` is the only element type they are sound for; see the standard, chapter 5.
_CAPABILITIES: dict[str, list[str] | Callable[[], list[str]]] = {
    "--onnx-opset-versions": _opsets,
    "--onnx-element-types": ["real"],
    "--onnx-operators": _operators,
    "--vnnlib-versions": ["2.0", "2.0"],
    "--hidden-node-theories": ["H"],
    "--multiple-input-output-theories": ["MIO"],
    "--multiple-network-theories": ["MNET"],
    "--multiple-node-comparison-theories": ["MNC"],
    "--arithmetic-complexity-theories": ["POLY"],
    "--optimised-disjunctive-reasoning": ["true"],
    "--serialise-assignments": ["false"],
}
