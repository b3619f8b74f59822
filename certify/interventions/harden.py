"""The corridor: read model and data, intervene, write the model, look at what it costs, write the record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from certify.accuracy import Tax, right, tax
from certify.clock import Clock
from certify.dataset import Dataset, read_dataset
from certify.errors import InputError
from certify.files import write_text
from certify.interventions.base import Intervention, Run, Training, find_method
from certify.interventions.record import accuracy_entry, data_entry, file_entry, record_of
from certify.interventions.settings import make
from certify.interventions.trainable import TrainableModel, check_parity, read_trainable
from certify.threads import threads_wanted

# Without test data, the share of the data that is kept from the training to measure accuracy on.
HELD_OUT = 0.2
# Weights up to which one thread is faster than several, which wait for each other at every step.
SMALL = 1_000_000


@dataclass(frozen=True)
class Hardened:
    """What came of it. model: the ONNX file written; record: as in the JSON file; tax: on the test data."""

    model: Path
    record: dict[str, Any]
    tax: Tax


def harden(
    method: str,
    model: str | Path,
    data: str | Path | Dataset,
    out: str | Path,
    *,
    test: str | Path | Dataset | None = None,
    settings: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    record: str | Path | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda epoch: None,
) -> Hardened:
    """Change a trained classifier by one of the methods of `certify harden --list`, and measure what it costs.

    model: ONNX file of one input and one output of scores; data: labelled samples in the model's own units (a file, as
    `read_dataset` takes it, or a Dataset); out: the ONNX file to write, with the graph, names, shapes and operator set
    of `model` unless the method makes a smaller graph. test: samples that accuracy is measured on, a fifth of the data,
    kept from the training, if None. settings: of the method; training: epochs, lr, batch, seed, where they are not to
    be the method's own. record: the JSON file, beside `out` if None. progress: told of each epoch.
    Raises InputError (UnsupportedOp, naming the node, for what cannot be trained; ParityError where a file computes
    something else in onnxruntime than what was trained).
    """
    chosen = find_method(method)
    intervention = make(chosen, method, settings or {})
    run = Run(_training(chosen, training or {}), progress)
    train, tested, entries = _data(data, test, run.training.seed)
    clock = Clock()
    trainable, sha256 = read_trainable(model)
    trainable.samples(tested)
    before = right(model, tested)
    with clock.measure("train"), torch_threads(trainable):
        done = intervention.apply(trainable, train, run)
    done.write(out)
    check_parity(done, out)
    after = right(out, tested)
    written = record_of(method, intervention, run) | {
        "model": file_entry(model, sha256),
        "out": file_entry(out),
        **entries,
        "accuracy": accuracy_entry(before, after),
        "seconds": clock.seconds["train"],
    }
    write_text(record or record_path(out), json.dumps(written, indent=2, allow_nan=False) + "\n")
    return Hardened(Path(out), written, tax(before, after))


def record_path(out: str | Path) -> Path:
    """Where the record of a written model lies: model.onnx -> model.json."""
    return Path(out).with_suffix(".json")


@contextmanager
def torch_threads(model: TrainableModel) -> Iterator[None]:
    """One thread for small models, what the user wants for others."""
    before = torch.get_num_threads()
    weights = sum(tensor.numel() for tensor in model.parameters.values())
    torch.set_num_threads(1 if weights <= SMALL else threads_wanted())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def split(data: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """A random part of the data and the rest; `share` of it is in the rest, one sample at least in both."""
    if len(data) < 2:
        raise InputError(f"{data.name}: has a single sample", "give more, or samples to test on with --test")
    order = np.random.default_rng(seed).permutation(len(data))
    rest = min(len(data) - 1, max(1, round(share * len(data))))
    return data.take(order[rest:]), data.take(order[:rest])


def _training(method: type[Intervention], wanted: Mapping[str, Any]) -> Training:
    unknown = set(wanted) - set(Training.__dataclass_fields__)
    if unknown:
        raise InputError(f"there is no training option '{min(unknown)}'", "epochs, lr, batch and seed are")
    return replace(method.training, **{key: value for key, value in wanted.items() if value is not None})


def _data(
    data: str | Path | Dataset, test: str | Path | Dataset | None, seed: int
) -> tuple[Dataset, Dataset, dict[str, Any]]:
    """(samples to train on, samples to test on, their entries in the record)."""
    given = data if isinstance(data, Dataset) else read_dataset(data)
    if test is None:
        train, tested = split(given, HELD_OUT, seed)
        part = f"a random {HELD_OUT:.0%}, by the seed"
        entries = {"data": data_entry(train, f"all but {part}"), "test": data_entry(tested, part)}
    else:
        train, tested = given, test if isinstance(test, Dataset) else read_dataset(test)
        entries = {"data": data_entry(train), "test": data_entry(tested)}
    return train, tested, entries
