"""Branching on signs where subproblems live in the condensed network: it proposes what to close, the network closes.

Ascents, choices of splits and everything a subproblem carries concern open rectifiers only, in float32. What is open
stays unproven there, so nothing is lost; what an ascent claims to close is evaluated on the network itself in float64,
rounding taken off, and only that is believed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from certify.arrays import namespace, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.condense import Condensed, condense
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.bounds.optimise import Ascent, Optimised, optimise
from certify.network.graph import INPUT, Network
from certify.problem import Goal, Problem
from certify.search.domain import Domains, narrow
from certify.search.sign_cuts import Numbering
from certify.search.signs import as_splits, relaxed_under_signs
from certify.search.value_split import ValueSplit


def sign_search(
    problem: Problem, goal: Goal, root: Relaxed, margins: np.ndarray, tree_bytes: int, *, programs: bool, long: bool
) -> ValueSplit:
    """The way to branch on signs that fits. long: whether to expect a search that is worth condensing a network for."""
    brancher = ValueSplit(problem, goal, root, margins, tree_bytes, programs)
    plain = brancher.width == 1 and not (brancher.looks or brancher.clips or brancher.fits or programs)
    condensed = condense(root) if plain and long else None
    return brancher if condensed is None else CondensedSplit(problem, goal, condensed, margins, tree_bytes)


class CondensedSplit(ValueSplit):
    """A `ValueSplit` for conjunctions of one row, nothing to clip or look ahead at; all boxes are the goal's."""

    def __init__(
        self, problem: Problem, goal: Goal, condensed: Condensed, margins: np.ndarray, tree_bytes: int
    ) -> None:
        """As for `ValueSplit`."""
        super().__init__(problem, goal, condensed.whole, margins, tree_bytes, space=condensed.relaxed)
        self.condensed = condensed

    def roots(self) -> Domains:
        """One domain per open conjunction; none has a box of its own."""
        domains = super().roots()
        return replace(domains, lower=domains.lower[:, :0], upper=domains.upper[:, :0])

    def _judged(self, domains: Domains, found: Optimised, record: bool) -> tuple[Domains, np.ndarray]:
        estimate = to_numpy(found.lower).max(axis=1).astype(np.float64)
        margins, closed = domains.margins.copy(), np.zeros(len(domains), dtype=bool)
        index = np.flatnonzero(estimate > 0.0)
        if len(index) and record:
            margins[index] = np.fmax(margins[index], self._evaluated(domains.select(index), found, index))
            closed[index] = margins[index, 0] > 0.0
        bound = np.fmax(domains.bound, margins.max(axis=1))
        return replace(domains, margins=margins, bound=bound, marks=domains.marks | {"estimate": estimate}), closed

    def _evaluated(self, domains: Domains, found: Optimised, index: np.ndarray) -> np.ndarray:
        """Proven margins [k, 1] of domains that are `index` [k] of an ascent; those it refutes are recorded."""
        whole = self._whole(domains)
        relaxed = relaxed_under_signs(self.root, whole)
        every = lambda array: np.broadcast_to(to_numpy(array), (len(domains), *array.shape[1:]))  # noqa: E731
        slopes = {
            name: tuple(
                self.condensed.scatter(name, to_numpy(part)[index], every(start))
                for part, start in zip(parts, relaxed.relaxations[name].start(), strict=True)
            )
            for name, parts in found.slopes.items()
        }
        multipliers = {
            value: self.condensed.scatter(value, to_numpy(part)[index], np.zeros(1))
            for value, part in found.multipliers.items()
        }
        put = self.network.library.put
        proven = optimise(
            relaxed,
            self._rows(domains.task, self.network),
            Ascent(iterations=0),
            slopes={name: tuple(map(put, parts)) for name, parts in slopes.items()},
            splits=as_splits(whole, self.network.library),
            multipliers={value: put(part) for value, part in multipliers.items()},
        )
        margins = to_numpy(proven.lower)
        self._record_leaves(whole, margins[:, 0] > 0.0, margins, proven)
        return margins

    def _whole(self, domains: Domains) -> Domains:
        """The domains with signs and hidden bounds of all elements."""
        hidden = {}
        for value, interval in domains.hidden.items():
            known = narrow(self.root.intervals[value], 1)
            hidden[value] = Interval(
                *(self.condensed.scatter(value, part, old) for part, old in zip(interval, known, strict=True))
            )
        signs = {v: self.condensed.scatter(v, sign, np.zeros(1)) for v, sign in domains.signs.items()}
        return replace(domains, hidden=hidden, signs=signs)

    def _refined_hidden(self, domains: Domains, urgency: dict[str, np.ndarray]) -> dict[str, Interval]:
        lower, upper = (np.repeat(to_numpy(side), len(domains), axis=0) for side in self.root.box)
        whole = replace(self._whole(domains), lower=lower, upper=upper)
        spread = {
            v: self.condensed.scatter(v, part, np.zeros(1)).reshape(len(domains), -1) for v, part in urgency.items()
        }
        hidden = super()._refined_hidden(whole, spread)
        return {v: Interval(*(self.condensed.gather(v, side) for side in interval)) for v, interval in hidden.items()}

    def _rows(self, task: np.ndarray, network: Network) -> Rows:
        rows = super()._rows(task, network)
        if network is not self.space.network or INPUT not in rows.coefficients:
            return rows
        center, radius = (network.library.put(to_numpy(part)) for part in (self.root.box.center, self.root.box.radius))
        inputs = rows.coefficients[INPUT]
        offset = rows.offset + namespace(inputs).sum(inputs * center[:, None], axis=-1)
        return Rows(rows.coefficients | {INPUT: inputs * radius[:, None]}, offset)

    def _inputs(self, points: np.ndarray) -> np.ndarray:
        return self.condensed.inputs(points)

    def _flat(self, number: np.ndarray, element: np.ndarray) -> np.ndarray:
        index = self.condensed.index
        return np.array([index[self.places[n].value][e] for n, e in zip(number, element, strict=True)], dtype=int)

    @property
    def numbering(self) -> Numbering:
        """With what the condensed network has."""
        return Numbering(super().numbering.kept, self.condensed.index)
