"""Bound hidden values again inside a subproblem: alpha-CROWN under the signs that are fixed in it (beta-CROWN's duals).

A sign fixed in a layer says something about its neighbours and about every layer behind it. Walks that carry the signs'
multipliers see that; cached forms over the input do not, since they relax each value on its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from certify.arrays import Array
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.optimise import Ascent, Split, optimise

ASCENT = Ascent(iterations=6, slope_rate=0.25, multiplier_rate=0.1, decay=0.96)
# How many elements, over all layers, are worth the walks.
MOST_ELEMENTS = 32


def refine(relaxed: Relaxed, splits: Mapping[str, Split], urgency: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    """Intervals of all hidden values of a batch, with the most urgent elements of each subproblem bounded anew.

    urgency: by value, [batch, elements], how much depends on each. What is known is only ever intersected with.
    """

    def bound_rows(part: Relaxed, rows: Rows) -> tuple[Array, LinearForm]:
        inside = {value: split for value, split in splits.items() if value in part.network.by_name}
        found = optimise(part, rows, ASCENT, splits=inside)
        return found.lower, found.form

    return intermediate_bounds(
        relaxed.network, relaxed.box, known=relaxed.intervals, bound_rows=bound_rows, only=_most_urgent(urgency)
    ).intervals


def _most_urgent(urgency: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By value, the elements [batch, k] that are among the most urgent of all values; k is the largest number needed.

    A subproblem that needs fewer of a value gets the next ones too, so that every array stays rectangular.
    """
    every = np.concatenate(list(urgency.values()), axis=1)
    most = min(MOST_ELEMENTS, every.shape[1])
    least = np.partition(every, -most, axis=1)[:, -most, None]
    found = {}
    for value, part in urgency.items():
        count = int(((part >= least) & (part > 0.0)).sum(axis=1).max())
        if count:
            found[value] = np.argpartition(-part, count - 1, axis=1)[:, :count]
    return found
