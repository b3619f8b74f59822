"""How far an input can move before the model may answer otherwise: certified and attacked radii.

The radius of a sample is the distance to the nearest input that some other class wins (or ties). From below it is
certified by linear bounds on balls (Zhang et al. 2018; dual norms as in Weng et al. 2018), from above attained by an
input that onnxruntime replays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from certify.attack.nearest import nearest
from certify.bounds.ball import ball, length
from certify.dataset import Dataset
from certify.errors import InputError
from certify.quantities.classifier import Classifier, samples_of
from certify.quantities.enclosure import Enclosure
from certify.quantities.margins import Leads, largest
from certify.settings import Budget, Norm
from certify.threads import one_blas_thread

# A bisection ends when what is left is this share of the radius.
PRECISION = 0.01
# How much nearer than a certified radius, relative to it, the rounding of a model may change its answer.
ROUNDING = 1e-4
# Attacked inputs that are replayed per sample, and how far one is pushed on where float32 rounding undoes it.
REPLAYED, PUSHES = 4, (0.0, 1e-6, 1e-5, 1e-4, 1e-3)
# Seconds that a question to branch and bound has at least: some answers are better than none.
SLICE = 0.5
Range = tuple[float, float]


@dataclass(frozen=True)
class Radii:
    """The radius of every sample, in order, in units of the inputs.

    samples: enclosures; their detail names the sample, its label, the model's answer, and what certified the lower end.
    norm: of the distances; seconds: wall time of the whole.
    """

    samples: tuple[Enclosure, ...]
    norm: Norm
    seconds: float

    @property
    def certified(self) -> np.ndarray:
        """No input nearer than this changes the answer, [samples]; 0 where it is wrong to begin with."""
        return np.array([found.lower for found in self.samples])

    @property
    def attacked(self) -> np.ndarray:
        """Some input at this distance changes it, [samples]; infinite where none was found."""
        return np.array([found.upper for found in self.samples])

    def certified_share(self, radius: np.ndarray) -> np.ndarray:
        """Certified accuracy: the share of samples right on the whole ball of each radius, from below."""
        correct = np.array([found.detail["correct"] for found in self.samples])
        return ((self.certified[:, None] >= radius) & correct[:, None]).mean(axis=0)

    def unbroken_share(self, radius: np.ndarray) -> np.ndarray:
        """The same from above: the share of samples that no attack within each radius broke."""
        return (self.attacked[:, None] > radius).mean(axis=0)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        samples = [found.as_dict() for found in self.samples]
        return {"quantity": "radius", "norm": self.norm, "seconds": self.seconds, "samples": samples}


def radius(
    model: str | Path,
    data: str | Path | Dataset,
    *,
    norm: Norm = "inf",
    clip: Range | None = None,
    count: int | None = None,
    timeout: float = 0.2,
    seed: int = 0,
) -> Radii:
    """The largest certified and the smallest attacked radius around each sample.

    model: an ONNX classifier; data: what `read_dataset` reads, or a `Dataset`; samples without labels have the model's
    own answers. norm: "inf", "2" or "1"; clip: the range of valid inputs, outside of which no input counts; count: the
    first so many samples. timeout: seconds per sample, on average, for what comes after the attack and plain bounds.
    Raises InputError for input that cannot be used, such as a sample outside of `clip`.
    """
    if norm not in ("inf", "2", "1"):
        raise InputError(f"there is no norm '{norm}' here", "choose inf, 2 or 1")
    classifier, samples = Classifier(model), samples_of(data, count)
    center = classifier.rows(samples)
    low, high = input_range(clip, center)
    with one_blas_thread():
        return radii(classifier, center, samples.y, norm, low, high, timeout=timeout, seed=seed)


def radii(
    classifier: Classifier, center: np.ndarray, labels: np.ndarray | None, norm: Norm, low: np.ndarray,
    high: np.ndarray, *, timeout: float, seed: int = 0, precision: float = PRECISION,
) -> Radii:  # fmt: skip
    """The same around rows [samples, n_inputs] that the model's input type holds; low, high: [n_inputs], the range."""
    started = time.monotonic()
    scores = classifier.scores(center)
    if scores.shape[1] < 2:
        raise InputError(f"{classifier.path}: a radius is about two classes or more, this model has a single score")
    answers = scores.argmax(axis=1)
    truth = answers if labels is None else labels
    right = np.flatnonzero(answers == truth)
    found = _Search(classifier, center[right], answers[right], norm, low, high)
    found.attack(seed)
    found.compare()
    found.certify(Budget.starting_now(timeout * max(1, len(right))), precision)
    seconds = time.monotonic() - started
    each = seconds / len(center)
    over = f"inputs {_DISTANCE[norm]} distance, {_said(low, high)}"
    enclosures = []
    place = {int(number): k for k, number in enumerate(right)}
    for number, (label, answer) in enumerate(zip(truth, answers, strict=True)):
        detail = {"sample": number, "label": int(label), "answer": int(answer), "correct": number in place, "by": ""}
        if number in place:
            enclosures.append(replace(found.enclosure(place[number], over, detail), seconds=each))
        else:
            enclosures.append(
                Enclosure(0.0, 0.0, over, _UNIT, "trivial", "attained", each, center[number], detail)
            )  # fmt: skip
    return Radii(tuple(enclosures), norm, seconds)


_UNIT = "units of the input"
_DISTANCE = {"inf": "by maximum", "2": "by Euclidean", "1": "by taxicab"}


class _Search:
    """Radii of samples that are classified correctly: center [samples, n], label [samples]."""

    def __init__(
        self,
        classifier: Classifier,
        center: np.ndarray,
        label: np.ndarray,
        norm: Norm,
        low: np.ndarray,
        high: np.ndarray,
    ) -> None:
        self.classifier, self.center, self.label, self.norm = classifier, center, label, norm
        self.low, self.high = low, high
        self.leads = Leads(classifier.network, center, label, norm, low, high)
        self.lower, self.upper = np.zeros(len(center)), np.full(len(center), np.inf)
        self.witness = np.full_like(center, np.nan)
        self.by = np.full(len(center), "", dtype=object)

    def attack(self, seed: int) -> None:
        """Upper ends: the nearest inputs found that onnxruntime classifies otherwise."""
        if not len(self.center):
            return
        rng = np.random.default_rng(seed)
        points = nearest(
            self.classifier.network, self.center, self.label, self.norm, self.low, self.high, rng
        )  # fmt: skip
        for number, candidates in enumerate(points):
            move = candidates - self.center[number]
            far = np.nan_to_num(length(move, self.norm), nan=np.inf)
            for place in np.argsort(far)[:REPLAYED]:
                if not far[place] < self.upper[number]:
                    break
                for push in PUSHES:
                    if self.offer(number, self.center[number] + (1.0 + push) * move[place]):
                        break

    def offer(self, number: int, x: np.ndarray) -> bool:
        """Whether an input [n], as the model is given it, is misclassified in range; if so it may become upper end."""
        x = x.astype(self.classifier.dtype).astype(np.float64)
        x = np.where(x < self.low, _up(self.low, self.classifier.dtype), x)
        x = np.where(x > self.high, -_up(-self.high, self.classifier.dtype), x)
        scores = self.classifier.scores(x[None])[0]
        own = scores[self.label[number]]
        if not (np.isfinite(scores).all() and (np.delete(scores, self.label[number]) >= own).any()):
            return False
        far = float(length(x - self.center[number], self.norm))
        if far < self.upper[number]:
            self.upper[number], self.witness[number] = far, x
        return True

    def compare(self) -> None:
        """Our graph with onnxruntime on the hull of all balls."""
        if len(self.center):
            reach = np.where(np.isfinite(self.upper), self.upper, 1.0)
            box = ball(self.center, reach, "inf", self.low, self.high).box
            self.classifier.compare(box.lower.min(axis=0), box.upper.max(axis=0))

    def certify(self, budget: Budget, precision: float) -> None:
        """Lower ends: plain CROWN, then what there is time for: branch and bound on boxes, else optimised slopes.

        Measured on a digits network: optimised slopes move the median from 0.79 to 0.80 of the attacked radius, branch
        and bound to 0.99, at 0.1 and 0.2 s of one core per sample.
        """
        if not self.classifier.network.nonlinear:
            self._raise("linear", largest(self._proves(), self.lower, self.upper, 1e-9))
            self._push_over()
            return
        self._raise("CROWN", largest(self._proves(), self.lower, self.upper, precision))
        if self.norm == "inf":
            self._search(budget, precision)
        else:
            ascending = self._proves(ascend=True, expired=budget.expired)
            self._raise("alpha-CROWN", largest(ascending, self.lower, self.upper, precision, budget.expired))

    def _push_over(self) -> None:
        """Of a linear network: upper ends just beyond the lower ones, where the nearest other class wins."""
        for number in np.flatnonzero(np.isfinite(self.upper)).tolist():
            for push in PUSHES[1:]:
                if self.offer(number, self.leads.lowest(number, (1.0 + push) * self.lower[number])):
                    break

    def _proves(self, **how: object) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        return lambda samples, radius: self.leads.lower(samples, radius, **how) > 0.0  # type: ignore[arg-type]

    def _raise(self, by: str, lower: np.ndarray) -> None:
        self.by[lower > self.lower] = by
        self.lower = np.maximum(self.lower, lower)

    def _search(self, budget: Budget, precision: float) -> None:
        """Branch and bound, each sample with its share of time.

        Attacks are mostly right, so the first question is about a radius just below the attacked one, of the samples
        with the smallest gap first, as these are decided soonest; then about the middle of the widest gap.
        """
        from certify.quantities.region import Regions

        regions = Regions(self.classifier)
        ends = np.where(np.isfinite(self.upper), self.upper, self.lower)
        asked = np.zeros(len(ends), dtype=bool)
        while not budget.expired():
            open_ = np.flatnonzero(ends - self.lower > precision * ends)
            if not len(open_):
                return
            gap = (ends[open_] - self.lower[open_]) / ends[open_]
            fresh = ~asked[open_]
            number = open_[np.where(fresh, gap, np.inf).argmin() if fresh.any() else gap.argmax()]
            middle = 0.5 * (self.lower[number] + ends[number])
            if not asked[number]:
                asked[number], middle = True, max(middle, (1.0 - 0.9 * precision) * ends[number])
            box = ball(self.center[[number]], np.array([middle]), "inf", self.low, self.high).box
            seconds = min(max(budget.share(min(1.0, 2.0 / len(open_))).remaining(), SLICE), budget.remaining())
            verdict = regions.wins(int(self.label[number]), box.lower[0], box.upper[0], seconds)
            if verdict.status.value == "unsat":
                self.lower[number], self.by[number] = middle, "branch and bound"
            else:
                ends[number] = middle
                if verdict.witness is not None:
                    self.offer(number, np.concatenate(list(verdict.witness.inputs.values())))
                    ends[number] = min(middle, self.upper[number])

    def enclosure(self, number: int, over: str, detail: dict[str, object]) -> Enclosure:
        """What is known of a sample.

        The lower end holds in exact arithmetic. Where onnxruntime, by its own rounding, answers otherwise a little
        nearer, that input is both ends; a distance that rounding does not explain is an error.
        """
        detail = {**detail, "by": self.by[number]}
        attacked = np.isfinite(self.upper[number])
        lower, upper = float(self.lower[number]), float(self.upper[number])
        if upper < lower <= (1.0 + ROUNDING) * upper:
            lower = upper
        return Enclosure(
            lower, upper, over, _UNIT,
            "proven" if self.lower[number] > 0.0 else "trivial", "attained" if attacked else "trivial",
            witness=self.witness[number] if attacked else None, detail=detail,
        )  # fmt: skip


def input_range(clip: Range | None, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range of each input, [n_inputs] each. Raises InputError where a row of center [samples, n] is outside."""
    low, high = (-np.inf, np.inf) if clip is None else clip
    if not low < high:
        raise InputError(f"the range from {low} to {high} holds no inputs", "--clip LO HI, LO being the smaller one")
    outside = (center < low) | (center > high)
    if outside.any():
        sample, place = np.argwhere(outside)[0]
        message = f"element {place} of sample {sample} is {center[sample, place]:.9g}, outside of {low:g} to {high:g}"
        raise InputError(message, "is the data scaled as in training? --clip is the range of valid inputs")
    size = center.shape[1]
    return np.full(size, float(low)), np.full(size, float(high))


def _up(value: np.ndarray, dtype: str) -> np.ndarray:
    """The smallest value of the type from here on."""
    rounded = value.astype(dtype)
    return np.where(rounded < value, np.nextafter(rounded, np.asarray(np.inf, dtype)), rounded).astype(np.float64)


def _said(low: np.ndarray, high: np.ndarray) -> str:
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        return "of any value"
    return f"with values from {low.min():g} to {high.max():g}"
