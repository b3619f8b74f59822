"""`certify spec robust MODEL --data FILE`: write robustness specifications for samples of a data set.

The other subcommands of `certify spec` stand in spec_tools.
"""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.options import Clip
from certify.cli.spec_tools import SpecVersion, convert, lint, replay
from certify.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from certify.dataset import Dataset
    from certify.quantities.classifier import Classifier

app = typer.Typer(help="Write, check and convert specifications.", no_args_is_help=True, rich_markup_mode=None)

app.command("lint")(lint)
app.command("convert")(convert)
app.command("replay")(replay)


@app.callback()
def _specifications() -> None:
    """Write, check and convert specifications."""


@app.command()
def robust(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX classifier (.onnx or .onnx.gz).")],
    data: Annotated[Path, typer.Option(help="Samples: .npz, .npy (no labels), .csv, idx images, or digits.")],
    eps: Annotated[float, typer.Option(min=0.0, help="Radius in the maximum norm, in the units of the samples.")],
    out: Annotated[Path, typer.Option(help="Folder for the .vnnlib files and instances.csv.")] = Path("specs"),
    x: Annotated[str | None, typer.Option(help="Name of the array of samples in the .npz.")] = None,
    y: Annotated[str | None, typer.Option(help="Name of the array of labels in the .npz.")] = None,
    index: Annotated[list[int] | None, typer.Option(help="Number of a sample, from 0; may be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Without --index: write this many, from the first on.")] = 10,
    clip: Clip = None,
    version: Annotated[SpecVersion, typer.Option(help="Version of VNN-LIB.")] = SpecVersion.one,
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds per instance, for instances.csv.")] = 60.0,
) -> None:
    """Write one specification per sample that MODEL classifies correctly: no input within EPS changes the class.

    The label is that of the data set, or the model's own answer where it has none.
    """
    from certify.dataset import read_dataset
    from certify.quantities.classifier import Classifier
    from certify.query.robustness import robust_spec

    with reported():
        classifier = Classifier(model)
        samples = read_dataset(data, x, y)
        inputs = classifier.rows(samples)
        wanted = index if index else range(len(samples.x))
        files: list[str] = []
        for number in wanted:
            label = _label(classifier, samples, inputs, number)
            if label is None:
                continue
            name = f"{model.name.split('.onnx')[0]}_{number}_eps{eps:g}.vnnlib"
            comment = f"{data.name} sample {number} (class {label}), maximum norm radius {eps:g}, for {model.name}"
            text = robust_spec(
                samples.x[number], eps, label, math.prod(classifier.output_shape), clip=clip, version=version.value,
                dtype=classifier.dtype, shape=classifier.input_shape, output_shape=classifier.output_shape,
                comment=comment,
            )  # fmt: skip
            _write(out / name, text)
            files.append(name)
            if not index and len(files) == count:
                break
        if not files:
            raise InputError("no specification was written: the model classifies none of the samples correctly")
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerows((os.path.relpath(model, out), name, f"{timeout:g}") for name in files)
        _write(out / "instances.csv", table.getvalue())
        typer.echo(f"{out}: {len(files)} specifications and instances.csv")


def _label(classifier: Classifier, samples: Dataset, inputs: np.ndarray, number: int) -> int | None:
    """The class the sample has and the model gives it; None, with a message, where these differ."""
    if not 0 <= number < len(samples):
        raise InputError(f"there is no sample {number}: the data has {len(samples)}", "samples count from 0")
    answer = int(classifier.scores(inputs[number : number + 1])[0].argmax())
    if samples.y is None or int(samples.y[number]) == answer:
        return answer
    typer.echo(f"sample {number}: skipped, the model says {answer} instead of {int(samples.y[number])}", err=True)
    return None


def _write(path: Path, text: str) -> None:
    from certify.files import write_text

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be created: {error.strerror}", "choose another folder") from None
    write_text(path, text)
