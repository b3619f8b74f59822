"""`certify baseline save` and `certify baseline check`: hold the next model to what is proved of this one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from certify.cli.compare import Backend, Bound, Jobs, Margins, Memory, Seconds, Specs, Warm, gate_of, watching
from certify.cli.errors import reported
from certify.cli.gate import Reports
from certify.cli.options import Json, writable
from certify.report.policy import INPUT_ERROR, KINDS

# Nothing is known of the time that a baseline took.
KNOWN = ("regressed", "weakened", *KINDS)

app = typer.Typer(
    help="Keep what is proved of a model in a file to commit, and hold later models to it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="ONNX model.")]


@app.command("save")
def save(
    model: Model,
    specs: Specs,
    output: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", callback=writable, help="The file to write.")
    ] = Path("baseline.json"),
    timeout: Seconds = None,
    memory: Memory = None,
    backend: Backend = "native",
    jobs: Jobs = 1,
    warm: Warm = False,
    bound: Margins = Bound.crown,
) -> None:
    """Check MODEL and write down verdicts and margins: sorted, without times, so that the file can be diffed.

    Exit codes: 0 written, whatever the verdicts are, 2 input or usage error (written too, where only some
    specifications have one), 4 internal error.
    """
    with reported():
        from certify.compare.baseline import baseline_of, write_baseline
        from certify.compare.campaign import Plan, kept, shared
        from certify.compare.comparison import examine
        from certify.compare.specs import find_specs

        options, instances = shared(timeout, memory, backend, jobs, warm), find_specs(specs, model)
        with kept(None) as folder, watching(len(instances), quiet=False) as watch:
            (found,), _ = examine({"": model}, instances, Plan(folder, options, jobs, warm), bound.value, watch)
        write_baseline(output, baseline_of(found, options, bound.value, output.parent))
        counts = ", ".join(f"{count} {verdict}" for verdict, count in found.counts.items() if count)
        typer.echo(f"{output}: {len(instances)} specifications: {counts}")
        raise typer.Exit(INPUT_ERROR if found.counts["error"] else 0)


@app.command("check")
def check(
    model: Model,
    baseline: Annotated[Path, typer.Option(help="The file that `certify baseline save` wrote.")] = Path(
        "baseline.json"
    ),
    jobs: Jobs = 1,
    warm: Warm = False,
    report: Reports = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="WHAT,...",
            help="Of regressed, weakened[:10%], violated, undecided, error; or none. By default"
            " regressed,undecided,error.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Check MODEL on the specifications of a baseline, with the budget and backend that it was saved with.

    Exit codes as for `certify compare`: 0 nothing that fails, 1 something regressed (was proved, is violated now) or
    failed as --fail-on says, 3 something is undecided, 2 input or usage error, 4 internal error.
    """
    with reported():
        from certify.compare.baseline import gains, read_baseline
        from certify.compare.campaign import Plan, kept, shared
        from certify.compare.comparison import examine, judged

        door, limits = gate_of(report, fail_on, KNOWN, quiet=json == "-")
        known = read_baseline(baseline)
        options = shared(None, known.memory, known.backend, jobs, warm)
        instances = known.instances(baseline.parent, model)
        with kept(None) as folder, watching(len(instances), quiet=json == "-") as watch:
            (found,), _ = examine({"": model}, instances, Plan(folder, options, jobs, warm), known.method, watch)
        before = [entry.result for entry in known.entries]
        found = judged(before, found, limits)
        better = [known.entries[i].spec for i in gains(before, found.results)]
        if json is not None:
            from certify.cli.answer import write_json

            document = {"baseline": asdict(known), "model": found.as_dict(), "newly_proved": better}
            write_json(json, document)
        if json != "-":
            for record in found.records:
                for change, why in record.changes.items():
                    typer.echo(f"{change}: {record.spec}: {why}")
            for spec in better:
                typer.echo(f"newly proved: {spec} (save the baseline again to keep it so)")
        raise typer.Exit(door.close({"": found.records}))
