"""`certify harden METHOD MODEL --data FILE -o OUT`: an intervention on a trained model, and what it costs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from certify.cli.errors import reported
from certify.cli.options import Json, Seed, Verbose, writable
from certify.errors import InputError

if TYPE_CHECKING:
    from certify.interventions.harden import Hardened


class HelpOfMethod(TyperCommand):
    """Appends to `certify harden METHOD --help` what METHOD is and its settings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember the method, which --help would leave unread."""
        from certify.interventions.base import method_names

        ctx.meta["method"] = next((arg for arg in args if arg in method_names()), None)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write them."""
        if ctx.meta["method"] is not None:
            formatter.write("\n" + "\n".join(_described(ctx.meta["method"])) + "\n")


SETTINGS = {"harden": {"cls": HelpOfMethod}}


def _list(wanted: bool) -> None:
    if wanted:
        from certify.interventions.base import method_names

        with reported():
            typer.echo("\n\n".join("\n".join(_described(name)) for name in method_names()))
        raise typer.Exit


def _described(name: str) -> list[str]:
    """What a method is, what it trains with, its settings."""
    from certify.interventions.base import find_method
    from certify.interventions.settings import describe

    method = find_method(name)
    common = method.training
    lines = [f"{name}: {method.about}", f"  trains {common.epochs} epochs, lr {common.lr:g}, batch {common.batch}"]
    return lines + [f"  --set {key}=...  ({kind}) {about}" for key, kind, about in describe(method)]


def harden(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Name of the method; --list shows all.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX classifier (.onnx or .onnx.gz).")],
    data: Annotated[
        str, typer.Option(metavar="FILE", help="Labelled samples: .npz, .csv, idx images, or digits:train.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", callback=writable, help="ONNX file to write.")],
    test: Annotated[
        str | None, typer.Option(metavar="FILE", help="Samples to measure accuracy on; else a fifth of --data.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=0, help="How often to go through the data.")] = None,
    lr: Annotated[float | None, typer.Option(help="Step size of Adam.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples a step.")] = None,
    seed: Seed = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; repeatable.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=writable, help="Record to write; else OUT with the ending .json."),
    ] = None,
    json: Json = None,
    listed: Annotated[
        bool, typer.Option("--list", callback=_list, is_eager=True, help="Show all methods and their settings.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Train a classifier further, or make it smaller, and measure what that costs in accuracy.

    OUT has the graph, names and shapes of MODEL with other weights (a new graph where METHOD makes a smaller one).
    Beside it lies a JSON record of data, settings, every epoch and the accuracy lost. `certify harden METHOD --help`
    shows the settings of a method. Exit code: 0, or 2 if the input cannot be used.
    """
    with reported(verbose):
        from certify.interventions.base import find_method
        from certify.interventions.harden import harden as run
        from certify.interventions.harden import record_path
        from certify.interventions.settings import parse

        if out.resolve() == model.resolve():
            raise InputError(f"{out}: would replace the model that is read", "name another file with -o")
        values = parse(find_method(method), method, settings or [])
        training = {"epochs": epochs, "lr": lr, "batch": batch, "seed": seed}
        with epochs_shown(method) as progress:
            done = run(
                method, model, data, out, test=test, settings=values, training=training, record=record,
                progress=progress,
            )  # fmt: skip
        if json is not None:
            from certify.cli.answer import write_json

            write_json(json, done.record)
        if json != "-":
            _print(method, done, record or record_path(out))


@contextmanager
def epochs_shown(title: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar that epochs are reported to, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda epoch: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(epoch: dict[str, Any]) -> None:
            stage = epoch["stage"]
            if stage not in tasks:
                tasks[stage] = bar.add_task(title, total=epoch["of"])
            text = f"{title}, {stage}: loss {epoch['loss']:.4f}"
            bar.update(tasks[stage], completed=epoch["epoch"], description=text)

        yield show


def _print(method: str, done: Hardened, record: Path) -> None:
    accuracy = done.record["accuracy"]
    before, after = accuracy["before"], accuracy["after"]
    low, high = accuracy["points_range"]
    typer.echo(f"{done.model}: {method}, {len(done.record['epochs'])} epochs, {done.record['seconds']:.1f} s")
    for word, part in (("before", before), ("after", after)):
        least, most = part["range"]
        shares = f"{part['accuracy']:.4f} (95 % interval {least:.4f} to {most:.4f})"
        typer.echo(f"accuracy {word:6}: {part['right']}/{accuracy['samples']} = {shares}")
    typer.echo(
        f"tax: {accuracy['points']:.2f} points (95 % interval {low:.2f} to {high:.2f}; lost {accuracy['lost']}, "
        f"won {accuracy['won']}, McNemar p = {accuracy['mcnemar_p']:.3g})"
    )
    typer.echo(f"{record}: record")
