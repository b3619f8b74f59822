"""What splits gained so far, by element and sign, corrects what a rule expects of them (pseudocosts).

In integer programming the gain of a branch per unit of what was expected is remembered for every variable, and the
product of both children's gains decides (Benichou et al. 1971; Achterberg, Koch and Martin 2005). Here a unit is the
score of `relaxation_gap`, so that what is learned in one place of the tree holds in others. It costs no walk.
"""

from __future__ import annotations

import numpy as np

from certify.network.graph import Network
from certify.search.signs import places

# The mean over all elements counts as so many splits of an element.
PRIOR = 2.0
# A child's gain counts at least as much as this share of what is missing: one good child is worth more than two poor.
LEAST_GAIN = 1e-3
# Gains above so many times the score are taken for accidents.
MOST_RATIO = 10.0


class Pseudocosts:
    """Mean gain per unit of score, [2, elements of all places (`signs.places`)]: of the upper child, then the lower."""

    def __init__(self, network: Network) -> None:
        sizes = [int(np.prod(network.shapes[place.value])) for place in places(network)]
        self._ends = np.concatenate([[0], np.cumsum(sizes)])
        self._gain, self._count = (np.zeros((2, int(self._ends[-1]))) for _ in range(2))

    def place(self, number: np.ndarray, element: np.ndarray) -> np.ndarray:
        """One number for flat `element` of place `number`."""
        return self._ends[number] + element

    def learn(self, place: np.ndarray, side: np.ndarray, score: np.ndarray, gain: np.ndarray) -> None:
        """Take note of children [k]: of which split (`place`), which one (`side`, 0 or 1), its score, their gain."""
        ratio = np.minimum(gain / np.maximum(score, 1e-300), MOST_RATIO)
        np.add.at(self._gain, (side, place), ratio)
        np.add.at(self._count, (side, place), 1.0)

    def scores(self, place: np.ndarray, score: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Products of both children's expected gains, [batch, k]: none more than is `missing` [batch]."""
        total = self._count.sum(axis=1)
        mean = np.where(total > 0.0, self._gain.sum(axis=1) / np.maximum(total, 1.0), 1.0)[:, None, None]
        ratio = (self._gain[:, place] + PRIOR * mean) / (self._count[:, place] + PRIOR)
        missing = missing[:, None]
        return np.clip(ratio * score, LEAST_GAIN * missing, missing).prod(axis=0)
