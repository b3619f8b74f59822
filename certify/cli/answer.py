"""A verdict as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from certify import __version__
from certify.files import write_text
from certify.problem import Problem
from certify.verdict import Status, Verdict

MEANING = {
    Status.UNSAT: "property proved: no input in the region does what the specification describes",
    Status.SAT: "property violated: an input in the region does what the specification describes",
    Status.UNKNOWN: "undecided: neither proved nor violated",
    Status.TIMEOUT: "undecided: neither proved nor violated in the time given",
    Status.OUT_OF_MEMORY: "undecided: neither proved nor violated in the memory given",
}
MOST_VALUES = 12


def print_verdict(verdict: Verdict, verbose: bool) -> None:
    """The verdict's word on the first line, then what it means and rests on."""
    typer.echo(verdict.status.word)
    typer.echo(MEANING[verdict.status])
    typer.echo(f"evidence: {verdict.reason}")
    if verdict.bound is not None:
        proved = verdict.status is Status.UNSAT
        meaning = "above 0 is safe" if proved else "0 is reached only if unsafe; not tight enough"
        sign = ">" if proved and verdict.bound == 0.0 else ">="
        typer.echo(f"bound: margin {sign} {verdict.bound:.6g} ({meaning})")
    if verdict.witness is not None:
        for name, values in verdict.witness.values().items():
            shown = ", ".join(f"{v:.9g}" for v in values[:MOST_VALUES])
            typer.echo(f"{name} = [{shown}{', ...' if len(values) > MOST_VALUES else ''}]")
    stages = ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in verdict.seconds.items())
    typer.echo(f"time: {stages or 'none'}")
    if verbose:
        typer.echo("statistics: " + ", ".join(f"{k} {v}" for k, v in verdict.statistics.items() if v != ""))
        for note in verdict.notes:
            typer.echo(f"note: {note}")
    if verdict.advice:
        typer.echo(f"next: {verdict.advice}")


def as_dict(verdict: Verdict, model: Path | Mapping[str, Path], spec: Path, run: Any) -> dict[str, Any]:
    """Everything about the verdict as JSON values."""
    problem = None if run is None else run.problem
    witness = verdict.witness
    return {
        "certify": __version__,
        "verdict": verdict.status.word,
        "status": verdict.status.value,
        "exit_code": verdict.status.exit_code,
        "model": str(model) if isinstance(model, Path) else {name: str(file) for name, file in model.items()},
        "model_sha256": None if problem is None else _digests(problem),
        "spec": str(spec),
        "spec_sha256": None if problem is None or problem.query is None else problem.query.sha256,
        "reason": verdict.reason,
        "bound": verdict.bound,
        "witness": None if witness is None else {name: values.tolist() for name, values in witness.values().items()},
        "seconds": verdict.seconds,
        "statistics": verdict.statistics,
        "notes": list(verdict.notes) + ([] if problem is None or problem.query is None else list(problem.query.notes)),
        "advice": verdict.advice,
        "trace": verdict.trace,
    }


def _digests(problem: Problem) -> str | dict[str, str]:
    """The sha256 of the model, or of each network's."""
    digests = {name: model.sha256 for name, model in problem.models.items()}
    return next(iter(digests.values())) if len(digests) == 1 else digests


def write_json(target: str, data: Any) -> None:
    """Write to a file, or to stdout for "-"."""
    text = json.dumps(data, indent=2, allow_nan=False)
    if target == "-":
        typer.echo(text)
    else:
        write_text(target, text + "\n")
