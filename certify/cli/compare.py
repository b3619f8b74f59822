"""`certify compare BEFORE AFTER... --specs DIR`: what an intervention did to the proofs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.gate import Gate, Reports, gate
from certify.cli.options import Json
from certify.report.policy import CHANGES, KINDS, read_limits

if TYPE_CHECKING:
    from certify.batch.runner import Watch
    from certify.compare.transition import Limits

# What fails without --fail-on: a proof that turned into a counterexample; what is open might be one.
FAILING = ("regressed", "undecided", "error")


class Bound(str, Enum):
    """Values of --bound."""

    crown = "crown"
    alpha_crown = "alpha-crown"


Specs = Annotated[
    list[str],
    typer.Option("--specs", metavar="DIR|FILE", help="Folder, .vnnlib, 'pattern*' or instances.csv. Repeatable."),
]
Worse = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="WHAT,...",
        help="Of regressed, weakened[:10%], slower[:2x], violated, undecided, error; or none."
        f" By default {','.join(FAILING)}.",
    ),
]
Seconds = Annotated[
    float | None, typer.Option(min=0.0, help="Seconds per specification and model, instead of its own.")
]
Memory = Annotated[float | None, typer.Option(min=128.0, help="Memory limit per specification in MiB.")]
Backend = Annotated[str, typer.Option(help="How to prove; `certify backends` lists them.")]
Jobs = Annotated[int, typer.Option(min=1, help="Specifications at once; the cores are shared out among them.")]
Warm = Annotated[bool, typer.Option("--warm", help="Workers that stay, for many small specifications.")]


class Reuse(str, Enum):
    """Values of --reuse."""

    off = "off"
    on = "on"
    measured = "measured"


Margins = Annotated[Bound, typer.Option("--bound", help="What margins are bounded with; no splits.")]


def compare(
    models: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]BEFORE [NAME=]AFTER...", help="ONNX models; all are compared with the first."),
    ],
    specs: Specs,
    timeout: Seconds = None,
    memory: Memory = None,
    backend: Backend = "native",
    jobs: Jobs = 1,
    warm: Warm = False,
    data: Annotated[
        str | None, typer.Option(metavar="FILE|digits:test", help="Labelled samples, for the clean accuracy.")
    ] = None,
    radius: Annotated[bool, typer.Option("--radius", help="With --data: certified radii around the samples.")] = False,
    bound: Margins = Bound.crown,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Count as proved only what the independent checker accepts.")
    ] = False,
    reuse: Annotated[
        Reuse, typer.Option(help="Begin where BEFORE's proofs ended; measured: without that too, to show the saving.")
    ] = Reuse.off,
    out: Annotated[Path | None, typer.Option(help="Keep the campaigns here: a folder per model.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what --out holds.")] = False,
    report: Reports = None,
    fail_on: Worse = None,
    json: Json = None,
) -> None:
    """Check the same specifications, with the same budget and backend, for a model and for what came of it.

    Shows which verdicts changed, and what else did: certified share, margins, unstable ReLUs, sparsity, time, and with
    --data the clean accuracy and which models are dominated. Counterexamples of one model are replayed on the others.

    Exit codes: 0 nothing that fails, 1 something regressed (was proved, is violated now) or failed as --fail-on says, 3
    something is undecided, 2 input or usage error, 4 internal error.
    """
    with reported():
        from certify.compare.campaign import Plan, kept, shared
        from certify.compare.comparison import Look, names_of
        from certify.compare.comparison import run as compare_all
        from certify.compare.specs import find_specs
        from certify.dataset import read_dataset
        from certify.report.comparison import tables
        from certify.report.write import Reference

        door, limits = gate_of(report, fail_on, (*CHANGES, *KINDS), quiet=json == "-")
        named = names_of(models)
        samples = None if data is None else read_dataset(data)
        options = shared(timeout, memory, backend, jobs, warm, recheck, reuse.value)
        instances = find_specs(specs, next(iter(named.values())))
        look = Look(bound.value, samples, radius)
        with (
            _pointing_at(out),
            kept(out) as folder,
            watching(len(named) * len(instances), quiet=json == "-") as watch,
        ):
            plan = Plan(folder, options, jobs, warm, resume, reuse.value)
            found = compare_all(named, instances, plan, look, limits, watch)
        shown = tables(found)
        if json is not None:
            from certify.cli.answer import write_json

            write_json(json, found.as_dict())
        if json != "-":
            typer.echo("\n\n".join(table.text() for table in shown))
        raise typer.Exit(door.close(found.records, Reference(found.models[0].name, shown)))


@contextmanager
def _pointing_at(out: Path | None) -> Iterator[None]:
    """Say, when interrupted, where what is done so far can be found."""
    try:
        yield
    except KeyboardInterrupt:
        if out is not None:
            typer.echo(f"{out}: what is done is kept; --resume goes on", err=True)
        raise


def gate_of(
    report: list[str] | None, fail_on: str | None, known: tuple[str, ...], *, quiet: bool
) -> tuple[Gate, Limits]:  # fmt: skip
    """The gate, and the limits that --fail-on gives."""
    from dataclasses import replace

    from certify.compare.transition import Limits

    words, limits = (None, {}) if fail_on is None else read_limits(fail_on)
    door = gate(report, words, by_default=FAILING, quiet=quiet, known=known)
    return replace(door, spoken=not quiet), Limits(**limits)


def watching(total: int, *, quiet: bool) -> AbstractContextManager[Watch]:
    """What shows how far it is, unless standard output is taken. total: specifications times models."""
    if quiet:
        from certify.batch.runner import Watch

        return nullcontext(Watch())
    from certify.cli.batch_progress import BatchProgress

    return BatchProgress(total, [])
