"""The command `certify`: one file per subcommand, imported with the others but heavy libraries only when one runs."""

from __future__ import annotations

from typing import NoReturn

import typer

from certify import __version__
from certify.cli import (
    backends,
    baseline,
    batch,
    bounds,
    capability,
    check,
    compare,
    diff,
    export,
    harden,
    inspect,
    latent,
    merge,
    monitor,
    operators,
    probability,
    radius,
    report,
    score,
    solver,
    spec,
    suite,
    trigger,
    trojan,
)
from certify.cli.leave import leave
from certify.cli.watch import OwnProcess, process_start
from certify.threads import limit_by_environment

app = typer.Typer(
    help="Formal verification of neural networks: ONNX and VNN-LIB in, a verdict with evidence out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("check")(check.check)
app.command("bounds")(bounds.bounds)
app.command("diff")(diff.diff)
app.command("inspect")(inspect.inspect)
app.command("batch")(batch.batch)
app.command("compare")(compare.compare)
app.add_typer(baseline.app, name="baseline")
app.command("merge")(merge.merge)
app.command("report")(report.report)
app.command("score")(score.score)
app.command("export")(export.export)
app.command("harden", cls=harden.HelpOfMethod)(harden.harden)
app.command("probability")(probability.probability)
app.command("trigger")(trigger.trigger)
app.command("radius")(radius.radius)
app.command("latent")(latent.latent)
app.command("capability")(capability.capability)
app.command("monitor")(monitor.monitor)
app.command("backends")(backends.backends)
app.command("operators")(operators.operators)
app.command("verify")(solver.verify)
app.command("supports", context_settings={"ignore_unknown_options": True})(solver.supports)
app.command("suite")(suite.suite)
app.add_typer(spec.app, name="spec")
app.add_typer(trojan.app, name="trojan")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"certify {__version__}")
        raise typer.Exit


def _show_name(wanted: bool) -> None:
    if wanted:
        typer.echo("certify")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
    name: bool = typer.Option(False, "--name", callback=_show_name, is_eager=True, help="Show the name of the tool."),
) -> None:
    """Options that come before the command."""


def run() -> NoReturn:
    """Entry point of the script. Leaves without tearing the interpreter down, once everything is flushed."""
    limit_by_environment()
    try:
        app(obj=OwnProcess(process_start()))
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    leave(code)
