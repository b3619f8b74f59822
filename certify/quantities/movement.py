"""How far a tensor can move from where it is over a region of inputs: proven from above, attained from below."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from certify.attack.ascent import Objective, ascend
from certify.attack.candidate import snap
from certify.bounds.ball import length
from certify.bounds.interval import Interval
from certify.bounds.rounding import gamma
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.quantities.enclosure import Enclosure
from certify.quantities.ranges import output_ranges
from certify.settings import Norm


def movements(
    head: Network,
    run: Callable[[np.ndarray], np.ndarray],
    box: Interval,
    start: np.ndarray,
    norm: Norm,
    seed: int = 0,
) -> list[Enclosure]:
    """sup ||h(x) - start|| over each box of inputs, h being the head of a model.

    run: the head in onnxruntime, for one input; box: [boxes, n_inputs]; start: [boxes, size of the tensor]. The upper
    end follows from a range for every element; the lower one is attained by an input that was replayed.
    """
    ranges = output_ranges(head, box)
    farthest = np.maximum(np.maximum(ranges.upper - start, start - ranges.lower), 0.0)
    proven = length(farthest * (1.0 + gamma(farthest, 1)), norm)
    points = ascend(head, *box, _farther(start, norm), np.random.default_rng(seed))
    over = f"a box of inputs, {norm} norm"
    found = []
    for point, lower, upper, origin, top in zip(points, *box, start, proven, strict=True):
        point = snap(point[None], lower, upper)[0]
        # Float32 may carry the deployed tensor a little further than the real one: both must get there.
        both = run(point), evaluate(head, point[None])[0]
        share = 1.0 - 4.0 * gamma(origin, len(origin))
        reached = min(share * float(length(value - origin, norm)) for value in both)
        found.append(Enclosure(reached, float(top), over, "units of the tensor", "attained", "proven", 0.0, point))
    return found


def _farther(start: np.ndarray, norm: Norm) -> Objective:
    """How far the tensor is from its start, and the way that it gets farther."""

    def objective(outputs: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        move = outputs - start[number]
        far = np.linalg.norm(move, ord=float(norm), axis=1)
        if norm == "inf":
            move = np.where(abs(move) == abs(move).max(axis=1, keepdims=True), np.sign(move), 0.0)
        return far, move

    return objective
