"""What is left of classes that were to be removed from a model, on regions of inputs.

Confidence: the softmax of the scores, conf_c = 1 / (1 + sum over j != c of exp(f_j - f_c)), so that lower bounds of
the leads f_j - f_c cap it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from certify.attack.ascent import Objective, ascend
from certify.attack.candidate import snap
from certify.bounds.ball import ball, length
from certify.bounds.interval import Interval
from certify.dataset import Dataset
from certify.errors import InputError
from certify.network.evaluate import values
from certify.quantities.classifier import Classifier, samples_of
from certify.quantities.difference import leads
from certify.quantities.enclosure import Enclosure
from certify.quantities.radius import Range, input_range
from certify.quantities.ranges import value_ranges
from certify.quantities.region import Regions
from certify.quantities.relearning import SLACK, distance, last_features
from certify.settings import Budget
from certify.threads import one_blas_thread

# Larger leads make a confidence that is zero for every purpose, and numbers that overflow.
MOST_LEAD = 700.0


@dataclass(frozen=True)
class Removal:
    """One region. never: "proven" that no removed class is answered, "refuted" by `witness`, or "open"; removed, any:
    the largest confidence in a removed class, and in any class; relearning: the smallest change of the last layer
    (Frobenius norm of weights and biases) that makes it answer with a removed class somewhere on the region, None where
    the model does not end in such a layer; equal: whether it is proven to be the original here, None without one.
    """

    sample: int
    never: str
    witness: np.ndarray | None
    removed: Enclosure
    any: Enclosure
    relearning: Enclosure | None
    equal: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "sample": self.sample, "never_outputs_removed": self.never,
            "witness": None if self.witness is None else self.witness.tolist(),
            "confidence_removed": self.removed.as_dict(), "confidence_any": self.any.as_dict(),
            "relearning": None if self.relearning is None else self.relearning.as_dict(), "equals_original": self.equal,
        }  # fmt: skip


@dataclass(frozen=True)
class Capability:
    """All regions: within eps of each sample by maximum norm. classes: the removed ones."""

    regions: tuple[Removal, ...]
    classes: tuple[int, ...]
    eps: float
    seconds: float

    def share(self, never: str) -> float:
        """Of the regions: "proven", "refuted" or "open"."""
        return float(np.mean([region.never == never for region in self.regions]))

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "quantity": "capability removal", "removed": list(self.classes), "eps": self.eps, "seconds": self.seconds,
            "shares": {word: self.share(word) for word in ("proven", "refuted", "open")},
            "regions": [region.as_dict() for region in self.regions],
        }  # fmt: skip


def capability(
    model: str | Path,
    data: str | Path | Dataset,
    *,
    removed: tuple[int, ...],
    eps: float = 0.0,
    clip: Range | None = None,
    count: int | None = None,
    timeout: float = 0.2,
    seed: int = 0,
    original: str | Path | None = None,
) -> Capability:
    """How certain it is that classes were removed, on the region around each sample.

    removed: class numbers; eps: the regions are all inputs within it of a sample by maximum norm, in units of the
    inputs, and in the range `clip`. timeout: seconds per region, on average, for branch and bound where bounds leave
    "never outputs a removed class" open. original: the model before the edit, to say where nothing has changed.
    Raises InputError for input that cannot be used.
    """
    started = time.monotonic()
    classifier, samples = Classifier(model), samples_of(data, count)
    if (
        not removed
        or len(set(removed)) >= classifier.n_classes
        or not all(0 <= c < classifier.n_classes for c in removed)
    ):
        message = f"removed classes {list(removed)}: the model has the classes 0 to {classifier.n_classes - 1}"
        raise InputError(message, "name some of them, not all")
    if not (eps >= 0.0 and np.isfinite(eps)):
        raise InputError(f"the radius {eps} is not a finite number of at least 0")
    x = classifier.rows(samples)
    box = ball(x, np.full(len(x), eps), "inf", *input_range(clip, x)).box
    with one_blas_thread():
        classifier.compare(box.lower.min(axis=0), box.upper.max(axis=0))
        study = _Study(classifier, x, box, np.array(sorted(set(removed))), seed)
        never, witness = study.never(Budget.starting_now(timeout * len(x)))
        every = np.arange(classifier.n_classes)
        caps = [study.confidence(classes) for classes in (study.removed, every)]
        relearning = study.relearning()
        equal: list[bool | None] = [None] * len(x)
        if original is not None:
            from certify.quantities.locality import equal_on

            equal = [bool(e) for e in equal_on(Classifier(original).network, classifier.network, box)]
    rows = zip(never, witness, *caps, relearning, equal, strict=True)
    regions = tuple(Removal(number, *row) for number, row in enumerate(rows))
    return Capability(regions, tuple(int(c) for c in study.removed), eps, time.monotonic() - started)


class _Study:
    """Regions of one model: x [regions, n_inputs], the samples; box [regions, n_inputs] around them."""

    def __init__(self, classifier: Classifier, x: np.ndarray, box: Interval, removed: np.ndarray, seed: int) -> None:
        self.classifier, self.x, self.box, self.removed = classifier, x, box, removed
        self.kept = np.setdiff1d(np.arange(classifier.n_classes), removed)
        self.seed = seed

    @cached_property
    def leads(self) -> np.ndarray:
        """Lower bounds [regions, i, j] of f_i - f_j."""
        return leads(self.classifier.network, self.box)

    def never(self, budget: Budget) -> tuple[list[str], list[np.ndarray | None]]:
        """For each region what is known of "never answers with a removed class", and the input that refutes it."""
        points = self._climb(_beats(self.removed, self.kept))
        # Some class beats all removed ones everywhere on the region.
        proven = (self.leads[:, self.kept][:, :, self.removed].min(axis=2) > 0.0).any(axis=1)
        words = ["open"] * len(self.x)
        found: list[np.ndarray | None] = [None] * len(self.x)
        for number, point in enumerate(points):
            if proven[number]:
                words[number] = "proven"
            elif self._answers(point):
                words[number], found[number] = "refuted", point
        regions = Regions(self.classifier)
        open_ = [number for number, word in enumerate(words) if word == "open"]
        for place, number in enumerate(open_):
            if budget.expired():
                break
            seconds = budget.share(min(1.0, 2.0 / (len(open_) - place))).remaining()
            verdict = regions.never(self.removed.tolist(), self.box.lower[number], self.box.upper[number], seconds)
            if verdict.witness is not None:
                found[number] = np.concatenate(list(verdict.witness.inputs.values()))
            words[number] = {"unsat": "proven", "sat": "refuted"}.get(verdict.status.value, "open")
        return words, found

    def _answers(self, x: np.ndarray) -> bool:
        """Whether onnxruntime scores a removed class at least as high as all others."""
        scores = self.classifier.scores(x[None])[0]
        return bool(np.isfinite(scores).all() and scores[self.removed].max() >= scores[self.kept].max())

    def confidence(self, classes: np.ndarray) -> list[Enclosure]:
        """The largest confidence in one of the classes on each region."""
        capped = np.minimum(self.leads[:, :, classes], MOST_LEAD)
        others = np.ones((self.classifier.n_classes, len(classes)))
        others[classes, np.arange(len(classes))] = 0.0
        least = (np.exp(capped) * others).sum(axis=1) * (1.0 - SLACK)
        upper = np.minimum((1.0 / (1.0 + least)).max(axis=1) * (1.0 + SLACK), 1.0)
        points = self._climb(_confident(classes))
        scores = np.stack([self.classifier.scores(points), values(self.classifier.network, points)[self._output]])
        # Float32 may be a little surer than the real model: both must be.
        shifted = np.exp(scores - scores.max(axis=2, keepdims=True))
        sure = (shifted / shifted.sum(axis=2, keepdims=True))[:, :, classes].max(axis=2).min(axis=0) * (1.0 - SLACK)
        over = f"confidence in classes {classes.tolist()} on a box of inputs"
        return [
            Enclosure(float(low), float(high), over, "", "attained", "proven", 0.0, point)
            for low, high, point in zip(sure, upper, points, strict=True)
        ]

    def relearning(self) -> list[Enclosure | None]:
        """The relearning distance of each region: at the sample from above, over all its inputs from below."""
        network = self.classifier.network
        name = last_features(network)
        if name is None:
            return [None] * len(self.x)
        found = values(network, self.x)
        scores, features = found[network.output], found[name].reshape(len(self.x), -1)
        ranges = value_ranges(network, name, self.box)
        reach = np.maximum(abs(ranges.lower), abs(ranges.upper)).reshape(len(self.x), -1)
        largest = length(np.concatenate([reach, np.ones((len(reach), 1))], axis=1), "2")
        results: list[Enclosure | None] = []
        for number in range(len(self.x)):
            ends = []
            for gaps, size in (
                (self.leads[number], largest[number]),
                (scores[number][:, None] - scores[number][None, :], np.linalg.norm(np.append(features[number], 1.0))),
            ):
                ends.append(min(distance(np.delete(gaps[:, c], c), float(size)) for c in self.removed))
            lower, upper = ends[0] * (1.0 - SLACK), ends[1] * (1.0 + SLACK)
            over = "changes of the last layer that make it answer with a removed class somewhere on the region"
            results.append(
                Enclosure(min(lower, upper), upper, over, "Frobenius norm", "proven", "attained", 0.0, self.x[number])
            )
        return results

    def _climb(self, objective: Objective) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        points = ascend(self.classifier.network, *self.box, objective, rng)
        return snap(points, *self.box)

    @property
    def _output(self) -> str:
        return self.classifier.network.output


def _beats(removed: np.ndarray, kept: np.ndarray) -> Objective:
    """The lead of the best removed class over the best of the others."""

    def objective(outputs: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.arange(len(outputs))
        best, other = removed[outputs[:, removed].argmax(axis=1)], kept[outputs[:, kept].argmax(axis=1)]
        weight = np.zeros_like(outputs)
        weight[points, best], weight[points, other] = 1.0, -1.0
        return (outputs * weight).sum(axis=1), weight

    return objective


def _confident(classes: np.ndarray) -> Objective:
    """The log odds of the most confident of the classes: the larger they are, the larger its confidence."""

    def objective(outputs: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.arange(len(outputs))
        best = classes[outputs[:, classes].argmax(axis=1)]
        others = outputs.copy()
        others[points, best] = -np.inf
        top = others.max(axis=1, keepdims=True)
        share = np.exp(others - top)
        total = share.sum(axis=1, keepdims=True)
        weight = -share / total
        weight[points, best] = 1.0
        return outputs[points, best] - (top + np.log(total))[:, 0], weight

    return objective
