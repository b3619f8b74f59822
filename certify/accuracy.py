"""Clean accuracy with an interval, and the price of an intervention in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from certify.dataset import Dataset
from certify.proportion import clopper_pearson
from certify.witness.runtime import Runtime

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Accuracy:
    """correct: of `total` samples; low, high: the interval of Clopper and Pearson (1934) at CONFIDENCE, for samples
    drawn independently.
    """

    correct: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """correct / total."""
        return self.correct / self.total


@dataclass(frozen=True)
class Tax:
    """points: accuracy before minus after, in percentage points; low, high: an interval for it at CONFIDENCE. lost,
    gained: samples that only the first, only the second model has right; p_value: two-sided exact test of McNemar
    (1947) that they are as likely.

    The interval is that of the shares lost minus gained, each with half of the error: never too narrow.
    """

    points: float
    low: float
    high: float
    lost: int
    gained: int
    p_value: float


def right(model: str | Path, data: Dataset) -> np.ndarray:
    """Which samples [samples] the model, in onnxruntime, puts into their class: the first largest output is it."""
    runtime, labels = Runtime(model), data.labels
    scores = np.stack([runtime(row) for row in data.flat(runtime.n_inputs, model)])
    data.check_labels(scores.shape[1], model)
    return scores.argmax(axis=1) == labels


def accuracy(hits: np.ndarray) -> Accuracy:
    """The accuracy of a model with these samples right, [samples] of bool."""
    found = clopper_pearson(int(hits.sum()), len(hits), CONFIDENCE)
    return Accuracy(found.hits, found.count, found.lower, found.upper)


def tax(before: np.ndarray, after: np.ndarray) -> Tax:
    """The price of going from one model to the other, on the same samples [samples] of bool."""
    from scipy.stats import binomtest

    lost, gained, n = int((before & ~after).sum()), int((after & ~before).sum()), len(before)
    half = 1.0 - (1.0 - CONFIDENCE) / 2.0
    lose, win = clopper_pearson(lost, n, half), clopper_pearson(gained, n, half)
    p_value = float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0
    low, high = 100.0 * (lose.lower - win.upper), 100.0 * (lose.upper - win.lower)
    return Tax(100.0 * (lost - gained) / n, low, high, lost, gained, p_value)
