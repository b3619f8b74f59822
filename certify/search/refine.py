"""Bound hidden values again inside a subproblem: alpha-CROWN under the signs that are fixed in it (beta-CROWN's duals).

A sign fixed in a layer says something about its neighbours and about every layer behind it. Walks that carry the signs'
multipliers see that; cached forms over the input do not, since they relax each value on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from certify.arrays import Array
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.optimise import Ascent, Record, Split, optimise
from certify.search.domain import Domains

# It costs about as much as thirty splits, and pays after some splits have told what the signs are worth: once so many
# were made since the last time while at least so many more lie ahead at their pace, or twice as many were made.
LEVELS_BETWEEN = 3
LEVELS_AHEAD = 2
# It goes on as long as it gains this many levels of splits, and is else tried on a few domains every so many batches.
LEAST_GAIN, MOST_GAIN = 2.0, 8.0
PROBES = 8
PATIENCE = 40
ASCENT = Ascent(iterations=6, slope_rate=0.25, multiplier_rate=0.1, decay=0.96)
# How many elements of a subproblem, over all layers, are worth the walks.
MOST_ELEMENTS = 32


def refine(
    relaxed: Relaxed, splits: Mapping[str, Split], urgency: Mapping[str, np.ndarray], record: Record | None = None
) -> dict[str, Interval]:
    """Intervals of all hidden values of a batch, with the most urgent elements of each subproblem bounded anew.

    urgency: by value, [batch, elements], how much depends on each. What is known is only ever intersected with.
    record: told of every ascent.
    """

    def bound_rows(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm]:
        inside = {value: split for value, split in splits.items() if value in relaxed.network.by_name}
        found = optimise(relaxed, rows, ASCENT, splits=inside)
        if record is not None:
            record(relaxed, rows, found)
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


def mark(domains: Domains, depth: np.ndarray) -> Domains:
    """The domains, remembering that their hidden values were last bounded at `depth` [batch]."""
    return replace(domains, marks=domains.marks | {"depth": depth, "bound": np.full(len(domains), -np.inf)})


def first_bound(domains: Domains) -> Domains:
    """The domains, remembering their bound if it is the first under their present hidden bounds."""
    before = domains.marks["bound"]
    return replace(
        domains, marks=domains.marks | {"bound": np.where(np.isneginf(before), domains.marks["estimate"], before)}
    )


def pace(domains: Domains) -> np.ndarray:
    """How far a level of splits has moved each bound since the hidden values were last bounded, [batch]."""
    gained = domains.marks["estimate"] - domains.marks["bound"]
    return np.maximum(gained / np.maximum(domains.depth - domains.marks["depth"], 1), 1e-300)


class Worth:
    """Learns from how much refining gained so far which domains it is worth for."""

    def __init__(self) -> None:
        self._gain = 0.0
        self._patience = 0

    def wanted(self, domains: Domains) -> np.ndarray:
        """Domains to refine before they are split further, [batch] mask."""
        levels = domains.depth - domains.marks["depth"]
        ahead = -domains.marks["estimate"] > LEVELS_AHEAD * pace(domains)
        mask = (levels >= LEVELS_BETWEEN) & (ahead | (levels >= 2 * LEVELS_BETWEEN)) & ~(domains.bound > 0.0)
        if self._gain < LEAST_GAIN:
            self._patience -= 1
            if self._patience > 0:
                return np.zeros(len(domains), dtype=bool)
            mask[np.flatnonzero(mask)[PROBES:]] = False
        return mask

    def learn(self, before: Domains, after: Domains) -> None:
        """Take note of by how many levels of splits these domains came forward; a closed one came far enough."""
        levels = (np.minimum(after.marks["estimate"], 0.0) - before.marks["estimate"]) / pace(before)
        levels = np.where(after.bound > 0.0, np.maximum(levels, LEAST_GAIN), levels)
        found = float(np.minimum(levels, MOST_GAIN).mean())
        self._gain = found if self._patience <= 0 else (self._gain + found) / 2.0
        self._patience = PATIENCE
