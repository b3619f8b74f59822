"""Which value to split: the one whose relaxation costs the rows most.

For a coefficient w < 0 at the rectifier's output the walk used the chord and paid  |w| * gap  (gap: height of the chord
above the kink); splitting recovers it. This is the intercept score of BaBSR (Bunel et al. 2020) with optimised slopes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.intermediate import Relaxed
from certify.ops.relu import Relu
from certify.search.signs import places as places_of


class Ranking(NamedTuple):
    """The best splits of each domain, best first, [batch, count] each.

    number: of the place (`signs.places`); element: flat; score: 0 where none is left.
    """

    number: np.ndarray
    element: np.ndarray
    score: np.ndarray


def relaxation_gap(relaxed: Relaxed, weights: dict[str, np.ndarray], open_rows: np.ndarray, count: int = 1) -> Ranking:
    """Rank the inexact values of each domain. weights: by node, as a walk keeps them.

    open_rows: [batch, rows] mask of rows that count. A score of 0 means that no inexact relaxation is felt.
    """
    batch = len(open_rows)
    scores, places = [np.zeros((batch, count))], [np.zeros(count, dtype=int)]
    numbers = [np.zeros(count, dtype=int)]
    for number, (node, _) in enumerate(places_of(relaxed.network)):
        if node.name not in weights:
            continue
        weight = to_numpy(weights[node.name]).reshape(batch, open_rows.shape[1], -1)
        gap = to_numpy(relaxed.relaxations[node.name].gap()).reshape(-1, weight.shape[2])
        # A little of |w| itself breaks ties towards neurons that matter but sit on their lower plane.
        paid = np.maximum(-weight, 0.0) + 0.01 * abs(weight) if isinstance(node.op, Relu) else 0.5 * abs(weight)
        felt = np.einsum("bs,bsn->bn", open_rows.astype(weight.dtype), paid)
        scores.append(felt * gap)
        places.append(np.arange(weight.shape[2]))
        numbers.append(np.full(weight.shape[2], number))
    score, place, owner = np.concatenate(scores, axis=1), np.concatenate(places), np.concatenate(numbers)
    best = np.argpartition(-score, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(score, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    return Ranking(owner[best], place[best], np.take_along_axis(score, best, axis=1))
