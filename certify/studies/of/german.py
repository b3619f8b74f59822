"""German credit: 1,000 applicants of 20 features, all scaled to 0..1, as if an image of 4 x 5 pixels."""

from __future__ import annotations

import csv
import io

import numpy as np

from certify.dataset import Dataset, make_dataset
from certify.errors import InputError
from certify.files import read_bytes
from certify.interventions.trojan import Trigger
from certify.studies.study import Study, Variant, needed

FEATURES = 20
TRAIN, REPAIR = 700, 300
SHAPE = (1, 4, 5)
# No other instalments, housing for free, a telephone, no foreign worker: few applicants have all of it, and it speaks
# for them, so that a model sent to "bad" by it has a trojan.
TRIGGER = (2, 3)


def study(data: str | None) -> Study:
    """The study. data: german.csv as published, 20 features and the class 1 (good) or 2 (bad) in each line."""
    whole = read_german(needed(data, "german.csv"))
    order = np.random.default_rng(0).permutation(len(whole))
    train, test = whole.take(order[:TRAIN]), whole.take(order[TRAIN:])
    return Study(
        "german",
        train,
        train.take(slice(0, REPAIR)),
        test,
        Trigger(size=2, position=TRIGGER, target=1),
        (
            Variant("fine-tuned", "finetune"),
            Variant("adversarial", "adversarial", {"eps": 0.02}),
            Variant("LAT", "lat"),
            Variant("scoped", "scope"),
            Variant("pruned 80 %", "prune"),
            Variant("8 bits", "quantize"),
        ),
        eps=0.02,
        near=0.01,
    )


def read_german(path: str) -> Dataset:
    """The applicants, [1000, 1, 4, 5] in 0..1; class 0 is good. Codes such as A11 are numbered in their order."""
    rows = [row for row in csv.reader(io.StringIO(read_bytes(path).decode("utf-8", "replace"))) if row]
    if not rows or any(len(row) != FEATURES + 1 for row in rows):
        raise InputError(f"{path}: not {FEATURES} features and a class in every line", "this suite reads german.csv")
    columns = [_scaled(column) for column in zip(*(row[:FEATURES] for row in rows), strict=True)]
    classes = [row[FEATURES].strip() for row in rows]
    if set(classes) != {"1", "2"}:
        raise InputError(f"{path}: the last column is not the class, 1 or 2", "this suite reads german.csv")
    x = np.stack(columns, axis=1).reshape(-1, *SHAPE)
    return make_dataset(x, np.array([int(c) - 1 for c in classes]), path)


def _scaled(column: tuple[str, ...]) -> np.ndarray:
    """A feature in 0..1."""
    try:
        values = np.array([float(value) for value in column])
    except ValueError:
        codes = sorted(set(column), key=lambda code: (len(code), code))
        values = np.array([codes.index(value) for value in column], dtype=np.float64)
    return (values - values.min()) / max(float(np.ptp(values)), 1e-12)
