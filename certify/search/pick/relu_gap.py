"""Which rectifier to split: the one whose relaxation costs the rows most.

For a coefficient w < 0 at the rectifier's output the walk used the chord and paid  |w| * gap  (gap: height of the chord
above the kink); splitting recovers it. This is the intercept score of BaBSR (Bunel et al. 2020) with optimised slopes.
"""

from __future__ import annotations

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.intermediate import Relaxed


def relu_gap(
    relaxed: Relaxed, weights: dict[str, np.ndarray], open_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(node number among the network's nonlinear nodes, flat element, score) of the best split of each domain.

    open_rows: [batch, rows] mask of rows that count. A score of 0 means that no inexact rectifier is left.
    """
    batch = len(open_rows)
    best = np.zeros(batch)
    node_number, element = np.zeros(batch, dtype=int), np.zeros(batch, dtype=int)
    for number, node in enumerate(relaxed.network.nonlinear):
        if node.name not in weights or len(node.inputs) != 1:
            continue
        weight = to_numpy(weights[node.name]).reshape(batch, open_rows.shape[1], -1)
        gap = to_numpy(relaxed.relaxations[node.name].gap()).reshape(-1, weight.shape[2])
        # A little of |w| itself breaks ties towards neurons that matter but sit on their lower plane.
        felt = np.einsum("bs,bsn->bn", open_rows.astype(weight.dtype), np.maximum(-weight, 0.0) + 0.01 * abs(weight))
        scores = felt * gap
        place = scores.argmax(axis=1)
        score = scores[np.arange(batch), place]
        better = score > best
        best = np.where(better, score, best)
        node_number, element = np.where(better, number, node_number), np.where(better, place, element)
    return node_number, element, best
