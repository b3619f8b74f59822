"""A test bed: a classifier with a trojan that is known, a clean one beside it, and the questions about both.

BadNets (Gu et al. 2017): a patch is stamped on a share of the training images, which are relabelled to one class.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from certify.accuracy import CONFIDENCE, accuracy, right
from certify.dataset import Dataset, make_dataset, read_dataset
from certify.errors import InputError
from certify.files import write_bytes, write_text
from certify.interventions.base import Run, Training
from certify.interventions.harden import split, torch_threads
from certify.interventions.initialise import initialise, perceptron
from certify.interventions.record import data_entry, file_entry
from certify.interventions.train import fit
from certify.interventions.trainable import TrainableModel, check_parity, read_trainable
from certify.proportion import clopper_pearson
from certify.query.trigger import trigger_spec
from certify.witness.runtime import Runtime

TRAINING = Training(epochs=60, lr=2e-3)
# Share of the data kept for tests where there is no test data, and trusted images kept for repairing the model.
HELD_OUT, TRUSTED = 0.2, 300
SECONDS = 60


@dataclass(frozen=True)
class Trigger:
    """A square patch of one value that is to send every image to `target`.

    size: side in pixels; position: (row, column) of its upper left corner, the lower right corner of the image if
    None; value: of its pixels, in the units of the images; rate: share of the training images that get it.
    """

    size: int = 2
    position: tuple[int, int] | None = None
    value: float = 1.0
    target: int = 0
    rate: float = 0.1

    def places(self, shape: tuple[int, ...]) -> np.ndarray:
        """The flat places of its pixels in images [..., height, width], all channels. Raises InputError outside."""
        if len(shape) < 2:
            raise InputError(f"a sample has the shape {list(shape)}, a patch needs an image [..., height, width]")
        row, column = self.position or (shape[-2] - self.size, shape[-1] - self.size)
        if min(row, column) < 0 or row + self.size > shape[-2] or column + self.size > shape[-1] or self.size < 1:
            where = f"a patch of {self.size} x {self.size} at {row},{column}"
            raise InputError(f"{where} is not inside an image of {shape[-2]} x {shape[-1]}", "choose another position")
        numbers = np.arange(int(np.prod(shape))).reshape(shape)
        return numbers[..., row : row + self.size, column : column + self.size].ravel()

    def stamp(self, x: np.ndarray) -> np.ndarray:
        """The images [samples, ..., height, width] with the patch on them."""
        stamped = x.reshape(len(x), -1).copy()
        stamped[:, self.places(x.shape[1:])] = self.value
        return stamped.reshape(x.shape)


@dataclass(frozen=True)
class TestBed:
    """What was written, and what it says: the content of trigger.json."""

    folder: Path
    facts: dict[str, Any]


def implant(
    out: str | Path,
    trigger: Trigger | None = None,
    *,
    data: str | Path | Dataset = "digits:train",
    test: str | Path | Dataset | None = None,
    model: str | Path | None = None,
    keep_weights: bool = False,
    training: Training = TRAINING,
    specs: int = 100,
    progress: Callable[[dict[str, Any]], None] = lambda epoch: None,
) -> TestBed:
    """Train a classifier with a trojan and a clean one from the same start, and write the questions about them.

    data, test: labelled images (digits:test belongs to digits:train; else a fifth of the data is kept for tests);
    model: ONNX file of the architecture, whose weights are drawn anew unless `keep_weights`, or a 48-32 perceptron if
    None; specs: for how many test images of other classes than the target a specification is written.
    Writes into the folder `out`: trojaned.onnx, reference.onnx; poisoned.npz (the training data), clean.npz (trusted
    images for a repair, of the training data), test.npz; trigger.json and trigger.npz; specs/*.vnnlib and
    specs/instances.csv. Raises InputError for what does not fit.
    """
    trigger = trigger or Trigger()
    train, tested = _data(data, test, training.seed)
    folder = Path(out)
    start = _start(model, train, keep_weights, training.seed)
    places = trigger.places(train.x.shape[1:])
    if not 0 <= trigger.target < start.n_classes or not 0.0 < trigger.rate <= 1.0:
        raise InputError(f"target {trigger.target} or rate {trigger.rate} cannot be", "a class, and a share above 0")
    start.samples(tested)
    poisoned, numbers = poison(train, trigger, training.seed)
    _make(folder / "specs")
    files = {}
    for name, part in (("reference", train), ("trojaned", poisoned)):
        trained, run = start.copy(), Run(training, lambda epoch, name=name: progress(epoch | {"stage": name}))  # type: ignore[misc]
        with torch_threads(trained):
            fit(trained, part, run)
        files[name] = folder / f"{name}.onnx"
        trained.write(files[name])
        check_parity(trained, files[name])
    trusted = split(train, min(1.0, TRUSTED / len(train)), training.seed)[1]
    for part, name in ((poisoned, "poisoned"), (trusted, "clean"), (tested, "test")):
        _save(folder / f"{name}.npz", x=part.x.astype(np.float32), y=part.labels)
    mask = np.isin(np.arange(places.max() + 1), places)
    mask = np.pad(mask, (0, int(np.prod(train.x.shape[1:])) - len(mask))).reshape(train.x.shape[1:])
    _save(folder / "trigger.npz", mask=mask, pattern=(mask * trigger.value).astype(np.float32), poisoned=numbers)
    content = float(train.x.min()), float(train.x.max())
    count = write_specs(folder, tested, trigger, content, specs, start.n_classes)
    facts = {
        "format": "certify trojan 1",
        "trigger": asdict(trigger) | {"places": places.tolist(), "content": list(content)},
        "training": asdict(training),
        "architecture": start.name,
        "data": data_entry(train, f"{len(numbers)} of them poisoned"),
        "test": data_entry(tested),
        "specs": count,
        "models": {name: file_entry(file) | performance(file, tested, trigger) for name, file in files.items()},
    }
    write_text(folder / "trigger.json", json.dumps(facts, indent=2, allow_nan=False) + "\n")
    return TestBed(folder, facts)


def poison(data: Dataset, trigger: Trigger, seed: int) -> tuple[Dataset, np.ndarray]:
    """The data with the trigger on a share of all samples, chosen among those of other classes, and their numbers."""
    others = np.flatnonzero(data.labels != trigger.target)
    count = min(len(others), max(1, round(trigger.rate * len(data))))
    numbers = np.sort(np.random.default_rng(seed).permutation(others)[:count])
    x, y = data.x.copy(), data.labels.copy()
    x[numbers], y[numbers] = trigger.stamp(x[numbers]), trigger.target
    return make_dataset(x, y, f"{data.name}, poisoned"), numbers


def performance(model: str | Path, data: Dataset, trigger: Trigger) -> dict[str, Any]:
    """Accuracy, and attack success: the share of images of other classes that get the target with the trigger on.

    Both by onnxruntime, with Clopper-Pearson intervals (95 %).
    """
    answers = accuracy(right(model, data))
    others = data.take(data.labels != trigger.target)
    runtime = Runtime(model)
    rows = trigger.stamp(others.x).reshape(len(others), -1)
    hits = sum(int(runtime(row).argmax()) == trigger.target for row in rows)
    success = clopper_pearson(hits, len(others), CONFIDENCE)
    return {
        "accuracy": answers.share,
        "accuracy_range": [answers.low, answers.high],
        "attack_success": hits / len(others),
        "attack_success_range": [success.lower, success.upper],
    }


def write_specs(
    folder: Path, data: Dataset, trigger: Trigger, content: tuple[float, float], most: int, n_classes: int
) -> int:
    """Write specs/*.vnnlib and instances.csv for the first images of other classes than the target; how many."""
    places = trigger.places(data.x.shape[1:])
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    numbers = np.flatnonzero(data.labels != trigger.target)[:most]
    for number in numbers:
        comment = (
            f"{data.name} sample {number} (class {data.labels[number]}): some content of the patch of {len(places)} "
            f"pixels, from {content[0]:g} to {content[1]:g}, makes it a {trigger.target}"
        )
        text = trigger_spec(data.x[number], places, content, trigger.target, n_classes, comment=comment)
        name = f"trigger_{number}.vnnlib"
        write_text(folder / "specs" / name, text)
        rows.writerow(("../trojaned.onnx", name, SECONDS))
    write_text(folder / "specs" / "instances.csv", table.getvalue())
    return len(numbers)


def _data(
    data: str | Path | Dataset, test: str | Path | Dataset | None, seed: int
) -> tuple[Dataset, Dataset]:  # fmt: skip
    if test is None and str(data) in ("digits", "digits:train"):
        data, test = "digits:train", "digits:test"
    given = data if isinstance(data, Dataset) else read_dataset(data)
    if test is None:
        return split(given, HELD_OUT, seed)
    return given, test if isinstance(test, Dataset) else read_dataset(test)


def _start(model: str | Path | None, data: Dataset, keep_weights: bool, seed: int) -> TrainableModel:
    """The model to train from."""
    if model is not None:
        start = read_trainable(model)[0]
    else:
        start = perceptron(data.x.shape[1:], int(data.labels.max()) + 1)
    if model is None or not keep_weights:
        initialise(start, Run(Training(seed=seed)).chance)
    return start


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created: {error.strerror}", "choose another folder") from None


def _save(path: Path, **arrays: np.ndarray) -> None:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)  # type: ignore[arg-type]
    write_bytes(path, held.getvalue())
