"""The nearest input that another class wins: descent in a ball whose radius follows what was found.

The radius shrinks below every success and grows after a failure, while the steps get shorter (fast minimum-norm
attacks, Pintor et al. 2021). Every sample chases several classes at once. It guesses; who wants to claim that a point
is misclassified replays it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.network.evaluate import gradient, values
from certify.network.graph import Network
from certify.settings import Norm

DUAL: dict[Norm, float] = {"inf": 1.0, "2": 2.0, "1": np.inf}


@dataclass(frozen=True)
class Plan:
    """steps: of the descent; classes: most that a sample chases; decay: of the step length over all steps; flex: how
    much the radius changes per step, at first and at last; floats: that a layer of one batch may take.
    """

    steps: int = 60
    classes: int = 9
    decay: float = 0.01
    flex: tuple[float, float] = (0.1, 0.001)
    floats: int = 2**21


PLAN = Plan()


def nearest(
    network: Network,
    center: np.ndarray,
    label: np.ndarray,
    norm: Norm,
    low: np.ndarray,
    high: np.ndarray,
    rng: np.random.Generator,
    plan: Plan = PLAN,
) -> np.ndarray:
    """Inputs near centers [samples, n] that some class other than `label` [samples] wins on our graph.

    low, high: [n], the range of inputs, which may be infinite. Returns [samples, classes chased, n], the nearest found
    per class; NaN where none was.
    """
    scores = values(network, center)[network.output]
    scores[np.arange(len(center)), label] = -np.inf
    chased = np.argsort(-scores, axis=1)[:, : min(plan.classes, scores.shape[1] - 1)]
    widest = max(int(np.prod(shape)) for shape in network.shapes.values())
    step = max(1, plan.floats // (widest * chased.shape[1]))
    found = [
        _descend(network, center[part], label[part], chased[part], norm, low, high, rng, plan)
        for part in (slice(first, first + step) for first in range(0, len(center), step))
    ]
    return np.concatenate(found)


def _descend(
    network: Network, center: np.ndarray, label: np.ndarray, chased: np.ndarray, norm: Norm,
    low: np.ndarray, high: np.ndarray, rng: np.random.Generator, plan: Plan,
) -> np.ndarray:  # fmt: skip
    count = chased.shape[1]
    start, own = np.repeat(center, count, axis=0), np.repeat(label, count)
    points = np.arange(len(start))
    weight = np.zeros((len(start), network.n_outputs))
    weight[points, own], weight[points, chased.ravel()] = 1.0, -1.0
    move, best = np.zeros_like(start), np.full_like(start, np.nan)
    nearest_yet, radius, pace = np.full(len(start), np.inf), np.full(len(start), np.inf), None
    for step in range(plan.steps + 1):
        found = values(network, start + move)
        scores = found[network.output].copy()
        mine = scores[points, own].copy()
        margin = (scores * weight).sum(axis=1)
        scores[points, own] = -np.inf
        won, reach = scores.max(axis=1) >= mine, _length(move, norm)
        better = won & (reach < nearest_yet)
        best[better], nearest_yet = (start + move)[better], np.where(better, reach, nearest_yet)
        if step == plan.steps:
            break
        grad = gradient(network, found, weight, surrogate=True)
        # Where a saturated function has no slope, some direction is better than none.
        flat = abs(grad).max(axis=1) < 1e-30
        grad[flat] = rng.normal(size=(int(flat.sum()), grad.shape[1]))
        size = np.linalg.norm(grad, ord=DUAL[norm], axis=1)
        if pace is None:
            pace = abs(margin) / (size if norm == "inf" else np.linalg.norm(grad, axis=1))
        fade = 0.5 * (1.0 + np.cos(np.pi * step / plan.steps))
        flex = plan.flex[1] + (plan.flex[0] - plan.flex[1]) * fade
        seen = np.isfinite(nearest_yet)
        wider = np.where(seen, radius * (1.0 + flex), reach + abs(margin) / size)
        radius = np.where(won, np.minimum(np.minimum(radius, nearest_yet) * (1.0 - flex), nearest_yet), wider)
        direction = np.sign(grad) if norm == "inf" else grad / np.linalg.norm(grad, axis=1, keepdims=True)
        length = pace * (plan.decay + (1.0 - plan.decay) * fade)
        # Until a class has won, the radius is a guess that must not hold the point back.
        limit = np.where(seen | won, radius, 2.0 * radius)
        move = project(move - length[:, None] * direction, limit, norm)
        move = np.clip(start + move, low, high) - start
    return best.reshape(len(center), count, -1)


def project(move: np.ndarray, radius: np.ndarray, norm: Norm) -> np.ndarray:
    """The nearest points [points, n] to these in balls around zero of radius [points]; for "1", of equal signs."""
    limit = radius[:, None]
    if norm == "inf":
        return np.clip(move, -limit, limit)
    if norm == "2":
        size = np.linalg.norm(move, axis=1, keepdims=True)
        return move * np.minimum(1.0, limit / np.maximum(size, 1e-100))
    # Soft thresholding; the threshold makes the sum of what is left equal to the radius (Duchi et al. 2008).
    size = -np.sort(-abs(move), axis=1)
    total = size.cumsum(axis=1)
    cut = (total - limit) / np.arange(1, move.shape[1] + 1)
    last = (size > cut).sum(axis=1, keepdims=True) - 1
    threshold = np.maximum(np.take_along_axis(cut, np.maximum(last, 0), 1), 0.0)
    return np.sign(move) * np.maximum(abs(move) - threshold, 0.0)


def _length(move: np.ndarray, norm: Norm) -> np.ndarray:
    return np.linalg.norm(move, ord=float(norm), axis=1)
