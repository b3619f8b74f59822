"""`certify spec robust MODEL --data FILE`: write robustness specifications for samples of a data set.

The other subcommands of `certify spec` stand in spec_tools.
"""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from certify.cli.errors import reported
from certify.cli.spec_tools import SpecVersion, convert, lint, replay
from certify.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from certify.dataset import Dataset
    from certify.query.syntax import Version
    from certify.witness.runtime import Runtime

app = typer.Typer(help="Write, check and convert specifications.", no_args_is_help=True, rich_markup_mode=None)

app.command("lint")(lint)
app.command("convert")(convert)
app.command("replay")(replay)


@app.callback()
def _specifications() -> None:
    """Write, check and convert specifications."""


@app.command()
def robust(
    model: Annotated[Path, typer.Argument(help="ONNX classifier (.onnx or .onnx.gz).")],
    data: Annotated[Path, typer.Option(help="Samples: .npz, .npy (no labels), .csv, idx images, or digits.")],
    eps: Annotated[float, typer.Option(min=0.0, help="Radius in the maximum norm, in the units of the samples.")],
    out: Annotated[Path, typer.Option(help="Folder for the .vnnlib files and instances.csv.")] = Path("specs"),
    x: Annotated[str | None, typer.Option(help="Name of the array of samples in the .npz.")] = None,
    y: Annotated[str | None, typer.Option(help="Name of the array of labels in the .npz.")] = None,
    index: Annotated[list[int] | None, typer.Option(help="Number of a sample, from 0; may be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Without --index: write this many, from the first on.")] = 10,
    clip: Annotated[tuple[float, float] | None, typer.Option(metavar="LO HI", help="Range of valid inputs.")] = None,
    version: Annotated[SpecVersion, typer.Option(help="Version of VNN-LIB.")] = SpecVersion.one,
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds per instance, for instances.csv.")] = 60.0,
) -> None:
    """Write one specification per sample that MODEL classifies correctly: no input within EPS changes the class.

    The label is that of the data set, or the model's own answer where it has none.
    """
    from certify.dataset import read_dataset

    with reported():
        classifier = _Classifier(model)
        samples = read_dataset(data, x, y)
        wanted = index if index else range(len(samples.x))
        files: list[str] = []
        for number in wanted:
            label = classifier.label(samples, number)
            if label is None:
                continue
            name = f"{model.name.split('.onnx')[0]}_{number}_eps{eps:g}.vnnlib"
            comment = f"{data.name} sample {number} (class {label}), maximum norm radius {eps:g}, for {model.name}"
            text = classifier.spec(samples.x[number], eps, label, clip=clip, version=version.value, comment=comment)
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


class _Classifier:
    """The model as a classifier: its one input, its one output of class scores, and what it answers."""

    def __init__(self, path: Path) -> None:
        from certify.files import resolve
        from certify.network.read_onnx import read_proto
        from certify.witness.runtime import Runtime

        path = resolve(path)
        graph = read_proto(path)[0].graph
        self._runtime: Runtime = Runtime(path)
        if len(self._runtime.inputs) != 1 or len(graph.output) != 1:
            raise InputError(f"{path}: a classifier has one input and one output, this model has others too")
        self._path = path
        self._input_shape = _static_shape(self._runtime.inputs[0].shape)
        self._output_shape = _static_shape([d.dim_value for d in graph.output[0].type.tensor_type.shape.dim])
        types = {"tensor(float)": "float32", "tensor(double)": "float64"}
        self._dtype = types.get(self._runtime.inputs[0].type, "")
        if not self._dtype:
            raise InputError(f"{path}: the input is a {self._runtime.inputs[0].type}, not float32 or float64")

    def label(self, samples: Dataset, number: int) -> int | None:
        """The class the sample has and the model gives it; None, with a message, where these differ."""
        if not 0 <= number < len(samples.x):
            raise InputError(f"there is no sample {number}: the data has {len(samples.x)}", "samples count from 0")
        sample = samples.x[number]
        if sample.size != math.prod(self._input_shape):
            expected = f"the input of {self._path} has the shape {list(self._input_shape)}"
            raise InputError(f"a sample has the shape {list(sample.shape)}, {expected}", "choose the array with --x")
        answer = int(self._runtime(sample.ravel()).argmax())
        if samples.y is None or int(samples.y[number]) == answer:
            return answer
        typer.echo(f"sample {number}: skipped, the model says {answer} instead of {int(samples.y[number])}", err=True)
        return None

    def spec(self, sample: np.ndarray, eps: float, label: int, *, clip: Any, version: Version, comment: str) -> str:
        """The robustness specification of a sample."""
        from certify.query.robustness import robust_spec

        n_classes = math.prod(self._output_shape)
        return robust_spec(
            sample, eps, label, n_classes, clip=clip, version=version, dtype=self._dtype,
            shape=self._input_shape, output_shape=self._output_shape, comment=comment,
        )  # fmt: skip


def _static_shape(shape: list[Any]) -> tuple[int, ...]:
    """The shape with every axis of unknown length, such as the batch, as 1."""
    return tuple(n if isinstance(n, int) and n > 0 else 1 for n in shape)


def _write(path: Path, text: str) -> None:
    from certify.files import write_text

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be created: {error.strerror}", "choose another folder") from None
    write_text(path, text)
