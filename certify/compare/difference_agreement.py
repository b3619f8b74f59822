"""Do two classifiers give the same class on a whole region? Proved, refuted by an input, or open.

Proved is the strongest reading: whichever of tied classes f prefers, g scores it strictly above every other one.
Refuted is the strongest too: an input on which onnxruntime gives f one top class, and g a strictly larger score to
another. With delta, only inputs count where the softmax of f's scores is delta or more (delta-top-1; Teuber et al.
2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.methods import crown
from certify.compare.difference_maxima import Maxima
from certify.compare.difference_query import Two, lead
from certify.errors import NumericalError
from certify.network.evaluate import evaluate
from certify.network.passes.pair_networks import Paired
from certify.network.read_onnx import load_model
from certify.settings import Budget

# Points of each region that are tried before anything is proved, and boxes bounded together.
TRIED = 64
AT_ONCE = 64

Observe = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Agreement:
    """What holds on a region; witness: the input [n_inputs] that refutes it."""

    status: Literal["proved", "refuted", "open"] = "open"
    witness: np.ndarray | None = None


def agreements(
    paired: Paired,
    maxima: Maxima,
    two: Two,
    observe: Observe,
    budget: Budget,
    *,
    delta: float | None = None,
    seed: int = 0,
) -> list[Agreement]:
    """For every region of `maxima`. observe: what onnxruntime computes, (f [m], g [m]), for an input.

    Cheap bounds of all regions come first, then points, then the engine for what is left, each region in its share of
    the time.
    """
    count = len(maxima.lower)
    tops, agreed = _bounded(paired, maxima, 0.0 if delta is None else lead(delta))
    found = [Agreement("proved") if agreed[n] else _tried(maxima, n, observe, delta, seed) for n in range(count)]
    left = [n for n in range(count) if found[n].status == "open"]
    load = cache(load_model)
    for place, n in enumerate(left):
        if budget.expired():
            break
        question = two.disagrees(maxima.lower[n], maxima.upper[n], tops[n], delta)
        share = budget.share(1.0 / (len(left) - place)).remaining()
        verdict = question.check(timeout=share, load=load)
        if verdict.status.value == "unsat":
            found[n] = Agreement("proved")
        elif verdict.witness is not None:
            x = np.concatenate(list(verdict.witness.inputs.values()))[: maxima.lower.shape[1]]
            if differs(*observe(x), delta):
                found[n] = Agreement("refuted", x)
    return found


def differs(first: np.ndarray, second: np.ndarray, delta: float | None = None) -> bool:
    """Whether scores [m] of f have one top class, confident enough, and those of g are larger for another class."""
    top = int(first.argmax())
    if (first == first[top]).sum() > 1 or not second.max() > second[top]:
        return False
    return delta is None or bool(1.0 / np.exp(first - first[top]).sum() >= delta)


def _bounded(paired: Paired, maxima: Maxima, ahead: float) -> tuple[list[list[int]], np.ndarray]:
    """By CROWN: the classes that f may prefer on each region (by `ahead`), and whether g has the only one too."""
    m, put = paired.n_outputs, paired.network.library.put
    middle = maxima.lower + (maxima.upper - maxima.lower) / 2.0
    guess = evaluate(maxima.f, middle).argmax(axis=1)
    tops: list[list[int]] = []
    agreed = np.zeros(len(guess), dtype=bool)
    for first in range(0, len(guess), AT_ONCE):
        some = np.arange(first, min(len(guess), first + AT_ONCE))
        rows = np.stack([_rows(m, int(top)) for top in guess[some]])
        wanted = Rows({paired.network.output: put(rows)}, put(np.zeros(rows.shape[:2])))
        box = Interval(put(maxima.lower[some]), put(maxima.upper[some]))
        try:
            lower = to_numpy(crown.bound(paired.network, box, wanted, lambda: False)[1]).reshape(len(some), 3, m)
        except NumericalError:
            lower = np.full((len(some), 3, m), -np.inf)
        own = np.arange(m) == guess[some][:, None]
        possible = own | ~(lower[:, 0] > -ahead)
        tops += [np.flatnonzero(row).tolist() for row in possible]
        kept = own | (lower[:, 1:].max(axis=1) > 0.0)
        agreed[some] = (possible.sum(axis=1) == 1) & kept.all(axis=1)
    return tops, agreed


def _rows(m: int, top: int) -> np.ndarray:
    """f_top - f_k, then g_top - g_k, then the same as f's minus the difference's: [3 m, 3 m] over (f, g, f - g)."""
    lead_of_top = np.eye(m)[top] - np.eye(m)
    none = np.zeros((m, m))
    return np.block([[lead_of_top, none, none], [none, lead_of_top, none], [lead_of_top, none, -lead_of_top]])


def _tried(maxima: Maxima, number: int, observe: Observe, delta: float | None, seed: int) -> Agreement:
    """The answer of random points and of those that are furthest apart."""
    rng = np.random.default_rng((seed, number))
    low, high = maxima.lower[number], maxima.upper[number]
    x = np.concatenate([maxima.points[number], maxima.inside(rng.uniform(low, high, size=(TRIED, len(low))), number)])
    first, second = evaluate(maxima.f, x), evaluate(maxima.g, x)
    for point in np.flatnonzero([differs(a, b, delta) for a, b in zip(first, second, strict=True)]):
        if differs(*observe(x[point]), delta):
            return Agreement("refuted", x[point])
    return Agreement()
