"""`certify trojan implant -o FOLDER`: a test bed of a trojaned classifier, a clean one, and specifications."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Json, Seed, Verbose
from certify.errors import InputError

app = typer.Typer(help="Test beds with a trojan that is known.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _trojans() -> None:
    """Test beds with a trojan that is known."""


@app.command()
def implant(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write.")],
    data: Annotated[
        str, typer.Option(metavar="FILE", help="Labelled images: .npz, idx images, or digits.")
    ] = "digits:train",
    test: Annotated[
        str | None, typer.Option(metavar="FILE", help="Test images; else digits:test, or a fifth of --data.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="ONNX file of the architecture; else a perceptron, 48-32 hidden.")
    ] = None,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Start from the weights of --model.")] = False,
    size: Annotated[int, typer.Option(min=1, help="Side of the patch, in pixels.")] = 2,
    position: Annotated[
        str | None, typer.Option(metavar="ROW,COL", help="Its upper left pixel; else in the lower right corner.")
    ] = None,
    value: Annotated[float, typer.Option(help="Value of its pixels.")] = 1.0,
    target: Annotated[int, typer.Option(min=0, help="Class that it is to lead to.")] = 0,
    rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the training images that get it.")] = 0.1,
    epochs: Annotated[int, typer.Option(min=1, help="How often to go through the data.")] = 60,
    lr: Annotated[float, typer.Option(help="Step size of Adam.")] = 2e-3,
    batch: Annotated[int, typer.Option(min=1, help="Samples a step.")] = 64,
    seed: Seed = 0,
    specs: Annotated[int, typer.Option(min=0, help="Test images to write specifications for.")] = 100,
    json: Json = None,
    verbose: Verbose = False,
) -> None:
    """Train a classifier with a trojan (BadNets) and a clean one, and write specifications that say it is absent.

    FOLDER gets trojaned.onnx, reference.onnx, the data used (poisoned.npz, clean.npz for a repair, test.npz),
    trigger.json with the trigger and what it does, trigger.npz, and for test images of other classes
    specs/trigger_*.vnnlib with instances.csv: proved means that no content of the patch makes the image the target.
    """
    with reported(verbose):
        from certify.cli.harden import epochs_shown
        from certify.interventions.base import Training
        from certify.interventions.trojan import Trigger
        from certify.interventions.trojan import implant as run

        trigger = Trigger(size, _position(position), value, target, rate)
        with epochs_shown("trojan") as progress:
            bed = run(
                out, trigger, data=data, test=test, model=model, keep_weights=keep_weights,
                training=Training(epochs, lr, batch, seed), specs=specs, progress=progress,
            )  # fmt: skip
        if json is not None:
            from certify.cli.answer import write_json

            write_json(json, bed.facts)
        if json != "-":
            for name, found in bed.facts["models"].items():
                success = f"attack success {found['attack_success']:.4f}"
                typer.echo(f"{bed.folder / name}.onnx: accuracy {found['accuracy']:.4f}, {success}")
            typer.echo(f"{bed.folder}: trigger.json, {bed.facts['specs']} specifications in specs/instances.csv")


def _position(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--position {text}: expected two whole numbers", "as in --position 0,6") from None
    return row, column
