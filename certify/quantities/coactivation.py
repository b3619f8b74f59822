"""Neurons that fire together: a > 0 exactly where b > 0, on a region of inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify import spec
from certify.bounds.interval import Interval
from certify.errors import InputError
from certify.network.read_onnx import load_model
from certify.quantities.classifier import Classifier
from certify.quantities.ranges import value_ranges
from certify.settings import Budget


@dataclass(frozen=True)
class Together:
    """Elements `first` and `second` (flat, from 0) of the tensor with this ONNX name; they fire where they are > 0."""

    tensor: str
    first: int
    second: int

    def __str__(self) -> str:
        return f"{self.tensor}:{self.first},{self.second}"


def decide_together(model: Classifier, pair: Together, box: Interval, budget: Budget) -> list[str]:
    """For each box of inputs [boxes, n_inputs]: "proven", "refuted" by a replayed input, or "open".

    Ranges first; what they leave open is a property of hidden values, for branch and bound.
    Raises InputError for elements that the tensor does not have.
    """
    network = load_model(model.path, (pair.tensor,)).network
    size = network.outputs[0].size
    if not (0 <= pair.first < size and 0 <= pair.second < size):
        raise InputError(f"{pair}: the tensor has {size} elements", "they count from 0")
    ranges = value_ranges(network, network.output, box)
    low, high = (side[:, [pair.first, pair.second]] for side in ranges)
    known = (low > 0.0).all(axis=1) | (high <= 0.0).all(axis=1)
    words = np.where(known, "proven", "open").tolist()
    open_ = [number for number, word in enumerate(words) if word == "open"]
    f = spec.network(model.path)
    x, h = f.input.ravel(), f.hidden(pair.tensor).ravel()
    a, b = h[pair.first], h[pair.second]
    for place, number in enumerate(open_):
        if budget.expired():
            break
        inside = spec.all_of(x >= box.lower[number], x <= box.upper[number])
        apart = spec.any_of(spec.all_of(a > 0.0, b <= 0.0), spec.all_of(a <= 0.0, b > 0.0))
        seconds = budget.share(min(1.0, 2.0 / (len(open_) - place))).remaining()
        status = spec.violation(inside, apart).check(timeout=seconds).status.value
        words[number] = {"unsat": "proven", "sat": "refuted"}.get(status, "open")
    return words
