"""A verdict as text; JSON values to a file or to standard output."""

from __future__ import annotations

import json
from typing import Any

import typer

from certify.files import write_text
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


def write_json(target: str, data: Any) -> None:
    """Write to a file, or to stdout for "-"."""
    text = json.dumps(data, indent=2, allow_nan=False)
    if target == "-":
        typer.echo(text)
    else:
        write_text(target, text + "\n")
