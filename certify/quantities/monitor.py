"""A model watched by another: where their disagreement is certain, impossible, or proof of the answer.

Rule "tau": an input is accepted if no score of f and g differs by more than tau, else flagged. Where g's class leads by
more than 2 tau on a whole region, every accepted input of it has that class from f, whatever f is: f_y >= g_y - tau >
g_j + tau >= f_j. Rule "argmax": accepted if both answer alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from certify.attack.ascent import Objective, ascend
from certify.attack.candidate import snap
from certify.bounds.ball import ball
from certify.bounds.interval import Interval
from certify.dataset import Dataset
from certify.errors import InputError
from certify.network.evaluate import evaluate
from certify.quantities.classifier import Classifier, samples_of
from certify.quantities.coactivation import Together, decide_together
from certify.quantities.difference import Pair, leads
from certify.quantities.enclosure import Enclosure
from certify.quantities.radius import Range, input_range
from certify.settings import Budget
from certify.threads import one_blas_thread

Rule = Literal["tau", "argmax"]


@dataclass(frozen=True)
class Watch:
    """One region. flag, by the rule: "never" or "always" (proven), "mixed" (an accepted and a flagged input were
    replayed), or "open".

    difference: the largest difference of a score of f and g; label: g's at the sample; trusted: whether every accepted
    input of the region is proven to have that label from f. together: for each invariant "proven", "refuted", "open".
    """

    sample: int
    flag: str
    difference: Enclosure
    label: int
    trusted: bool
    together: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "sample": self.sample, "flag": self.flag, "difference": self.difference.as_dict(), "label": self.label,
            "accepted_implies_label": self.trusted, "together": list(self.together),
        }  # fmt: skip


@dataclass(frozen=True)
class Monitoring:
    """All regions: within eps of each sample by maximum norm."""

    regions: tuple[Watch, ...]
    rule: Rule
    tau: float
    eps: float
    together: tuple[Together, ...]
    seconds: float

    def share(self, flag: str) -> float:
        """Of the regions: "never", "always", "mixed" or "open"."""
        return float(np.mean([region.flag == flag for region in self.regions]))

    @property
    def trusted_share(self) -> float:
        """Of the regions: those where accepted implies trusted."""
        return float(np.mean([region.trusted for region in self.regions]))

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "quantity": "monitor", "rule": self.rule, "tau": self.tau, "eps": self.eps, "seconds": self.seconds,
            "together": [str(pair) for pair in self.together],
            "shares": {word: self.share(word) for word in ("never", "always", "mixed", "open")},
            "trusted_share": self.trusted_share, "regions": [region.as_dict() for region in self.regions],
        }  # fmt: skip


def monitor(
    f: str | Path,
    g: str | Path,
    data: str | Path | Dataset,
    *,
    tau: float,
    rule: Rule = "tau",
    eps: float = 0.0,
    clip: Range | None = None,
    count: int | None = None,
    together: Sequence[Together] = (),
    timeout: float = 0.2,
    seed: int = 0,
    out: str | Path | None = None,
) -> Monitoring:
    """What a monitor that compares f with g is proven to do on the region around each sample.

    f: the model in use; g: its distilled or scoped version. tau: the largest difference of scores accepted; rule: see
    above. eps: regions are all inputs within it of a sample by maximum norm, and in the range `clip`. together: pairs
    of neurons of f that are to fire together. timeout: seconds per region and pair, on average, for branch and bound.
    out: an ONNX file for the monitor itself: inputs of f; outputs f's scores and `accept`. Checked with onnxruntime.
    Raises InputError for input that cannot be used.
    """
    started = time.monotonic()
    if not (tau >= 0.0 and np.isfinite(tau)) or not (eps >= 0.0 and np.isfinite(eps)):
        raise InputError(f"tau {tau} and eps {eps} must be finite and at least 0")
    pair, samples = Pair(Classifier(f), Classifier(g)), samples_of(data, count)
    x = pair.f.rows(samples)
    box = ball(x, np.full(len(x), eps), "inf", *input_range(clip, x)).box
    with one_blas_thread():
        for model in (pair.f, pair.g):
            model.compare(box.lower.min(axis=0), box.upper.max(axis=0))
        study = _Study(pair, x, box, tau, rule, seed)
        flags, difference = study.flags(), study.largest()
        labels, trusted = study.trusted()
        budget = Budget.starting_now(timeout * len(x) * max(1, len(together)))
        found = [decide_together(pair.f, each, box, budget) for each in together]
        if out is not None:
            from certify.quantities.monitor_graph import write_monitor

            write_monitor(Path(out), pair, tau, rule, together, x)
    columns = list(zip(*found, strict=True)) if found else [()] * len(x)
    regions = tuple(map(Watch, range(len(x)), flags, difference, labels, trusted, columns))
    return Monitoring(regions, rule, tau, eps, tuple(together), time.monotonic() - started)


class _Study:
    """Regions of two models: x [regions, n_inputs], the samples; box [regions, n_inputs] around them."""

    def __init__(self, pair: Pair, x: np.ndarray, box: Interval, tau: float, rule: Rule, seed: int) -> None:
        self.pair, self.x, self.box, self.tau, self.rule = pair, x, box, tau, rule
        self.bounds = pair.difference(box)
        self.leads = [leads(model.network, box) for model in (pair.f, pair.g)]
        rng = np.random.default_rng(seed)
        self.points = [
            snap(ascend(pair.network, *box, _apart(pair.f.n_classes, sign), rng), *box) for sign in (1.0, -1.0)
        ]

    def flags(self) -> list[str]:
        """The word for each region."""
        never, always = self._certain()
        accepted = np.stack([self._accepts(points) for points in (self.x, *self.points)])
        words = np.where(accepted.any(axis=0) & ~accepted.all(axis=0), "mixed", "open")
        return [str(word) for word in np.where(never, "never", np.where(always, "always", words))]

    def _certain(self) -> tuple[np.ndarray, np.ndarray]:
        """Masks [regions]: never flagged, always flagged."""
        if self.rule == "tau":
            low, high = self.bounds
            never = (np.maximum(-low, high) <= self.tau).all(axis=1)
            return never, ((low > self.tau) | (high < -self.tau)).any(axis=1)
        # A class that no other one beats everywhere on the region may be the answer.
        f, g = (np.asarray((bounds <= 0.0).all(axis=1)) for bounds in self.leads)
        return (f & g & (f.sum(axis=1) == 1)[:, None] & (g.sum(axis=1) == 1)[:, None]).any(axis=1), ~(f & g).any(axis=1)

    def _accepts(self, x: np.ndarray) -> np.ndarray:
        """Whether the monitor accepts points [regions, n_inputs], by onnxruntime."""
        f, g = self.pair.scores(x)
        if self.rule == "tau":
            accepted: np.ndarray = abs(f - g).max(axis=1) <= self.tau
            return accepted
        return np.asarray(f.argmax(axis=1) == g.argmax(axis=1))

    def largest(self) -> list[Enclosure]:
        """The largest difference of a score on each region."""
        upper = np.maximum(-self.bounds.lower, self.bounds.upper).max(axis=1)
        points = self.points[0]
        f, g = self.pair.scores(points)
        ours = evaluate(self.pair.network, points)
        count = f.shape[1]
        # Float32 may set the deployed models a little further apart than the real ones: both must be.
        here = np.minimum(abs(f - g).max(axis=1), abs(ours[:, :count] - ours[:, count : 2 * count]).max(axis=1)) * (
            1.0 - 1e-12
        )
        here = np.minimum(here, upper)
        over = "|f - g| of a score on a box of inputs"
        return [
            Enclosure(float(low), float(high), over, "units of the scores", "attained", "proven", 0.0, point)
            for low, high, point in zip(here, upper, points, strict=True)
        ]

    def trusted(self) -> tuple[list[int], list[bool]]:
        """(g's labels, whether accepted inputs are proven to have them from f)."""
        labels = self.pair.g.scores(self.x).argmax(axis=1)
        mine = self.leads[1][np.arange(len(labels)), labels]
        mine[np.arange(len(labels)), labels] = np.inf
        # Exact in floating point: doubling is.
        needed = 2.0 * self.tau if self.rule == "tau" else 0.0
        return [int(label) for label in labels], [bool(lead) for lead in (mine > needed).all(axis=1)]


def _apart(count: int, sign: float) -> Objective:
    """The largest |f - g| of a score, or its negative."""

    def objective(outputs: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.arange(len(outputs))
        less = outputs[:, :count] - outputs[:, count : 2 * count]
        place = abs(less).argmax(axis=1)
        weight = np.zeros_like(outputs)
        weight[points, place] = sign * np.sign(less[points, place])
        weight[points, count + place] = -weight[points, place]
        return sign * abs(less).max(axis=1), weight

    return objective
