"""The maximum of |f - g| where few inputs vary: boxes are halved, the one with the largest bound first.

Boxes are bounded and cut by the engine's `InputSplit`; all that is new is the order, and that what a box has to stay
below is no constant but rises with what is reached.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from itertools import count

import numpy as np

from certify.bounds.backward import Rows
from certify.compare.difference_maxima import Maxima
from certify.compare.difference_problem import difference_problem, uppers
from certify.errors import NumericalError
from certify.network.passes.pair_networks import Paired
from certify.problem import Problem
from certify.search.domain import Domains, narrow
from certify.search.input_split import InputSplit
from certify.settings import Budget

# Bytes of open boxes from which on they forget the bounds of their hidden values.
MOST_BYTES = 2**29
# For the two sums that take a margin from one target to the next, as a share of both: outward.
ROUNDINGS = 2.0**-50


class MaximumSplit(InputSplit):
    """Tasks are regions; a row's margin is how far it stays below its target. targets: [regions, rows]."""

    def __init__(self, problem: Problem, targets: np.ndarray) -> None:
        super().__init__(problem, list(problem.goals()), problem.network, tree_bytes=0)
        self.targets = targets

    def _rows(self, task: np.ndarray, needed: np.ndarray) -> Rows:
        rows = super()._rows(task, needed)
        own = task[:1] if (task == task[0]).all() else task
        return Rows(rows.coefficients, rows.offset + self.network.library.put(self.targets[own][:, needed]))


def split_inputs(
    paired: Paired, maxima: Maxima, regions: np.ndarray, gap: float, limit: float | None, budget: Budget
) -> int:
    """Lower `maxima.proven` of these regions [k] until they are within their targets or the time is up.

    Returns the number of boxes bounded. Regions that no bound was had for in that time stay at infinity.
    """
    search = _Search(paired, maxima, regions, gap, limit)
    while search.open and not budget.expired():
        search.step(budget)
    search.conclude()
    return search.boxes


class _Search:
    """Tasks are places in `regions`, by which `maxima` knows them."""

    def __init__(self, paired: Paired, maxima: Maxima, regions: np.ndarray, gap: float, limit: float | None) -> None:
        self.maxima, self.regions, self.gap, self.limit = maxima, regions, gap, limit
        problem = difference_problem(paired, maxima.lower[regions], maxima.upper[regions])
        self.brancher = MaximumSplit(problem, np.zeros((len(regions), len(problem.atoms))))
        self.size = self.brancher.batch_size(None)
        self.done = np.zeros((len(regions), paired.n_outputs))
        self.open: list[tuple[float, int, Domains]] = []
        self.order, self.boxes, self.nbytes = count(), 0, 0
        self._push(self.brancher.roots())

    def step(self, budget: Budget) -> None:
        """Bound the most urgent boxes, learn from points where bounds are attained, and cut what is above target."""
        _, _, batch = heapq.heappop(self.open)
        self.nbytes -= batch.nbytes
        wanted = self._wanted()
        # What was too loose when it was queued may do by now.
        settled = (self._uppers(batch) < wanted[batch.task]).all(axis=1)
        self._retire(batch.select(settled))
        batch = batch.select(~settled)
        if not len(batch):
            return
        targets = np.tile(wanted, (1, self.brancher.atoms.shape[1] // wanted.shape[1]))
        self.brancher.targets = targets
        shift = targets[batch.task]
        batch = replace(batch, margins=batch.margins + shift, bound=np.full(len(batch), -np.inf))
        try:
            bounded = self.brancher.bound(batch, budget)
        except (NumericalError, FloatingPointError):
            self._retire(replace(batch, margins=batch.margins - shift))
            return
        self.boxes += len(batch)
        open_ = ~bounded.closed
        if len(bounded.points):
            owner = np.repeat(bounded.domains.task[open_], len(bounded.points) // int(open_.sum()))
            self.maxima.offer(bounded.points, self.regions[owner])
        self._retire(self._absolute(bounded.domains.select(bounded.closed)))
        if open_.any():
            children, stuck = self.brancher.cut(bounded)
            self._retire(self._absolute(bounded.domains.select(stuck)))
            self._push(self._absolute(children))

    def conclude(self) -> None:
        """What all boxes, closed and open, leave as upper bounds."""
        proven = self.done.copy()
        for _, _, batch in self.open:
            np.maximum.at(proven, batch.task, self._uppers(batch))
        self.maxima.proven[self.regions] = np.fmin(self.maxima.proven[self.regions], proven)

    def _wanted(self) -> np.ndarray:
        """The bounds that are good enough, [tasks, m]."""
        return self.maxima.targets(self.gap, self.limit)[self.regions]

    def _absolute(self, domains: Domains) -> Domains:
        """Margins below zero instead of below the targets."""
        targets = self.brancher.targets[domains.task]
        slack = ROUNDINGS * (abs(domains.margins) + abs(targets))
        return replace(domains, margins=domains.margins - targets - slack)

    def _uppers(self, domains: Domains) -> np.ndarray:
        return uppers(domains.margins, self.done.shape[1])

    def _retire(self, domains: Domains) -> None:
        np.maximum.at(self.done, domains.task, self._uppers(domains))

    def _push(self, domains: Domains) -> None:
        """Queue boxes in batches, most urgent first: by how far their bound is above what is good enough."""
        if not len(domains):
            return
        wanted = self._wanted()[domains.task]
        urgency = (self._uppers(domains) / wanted).max(axis=1)
        hidden = {} if self.nbytes > MOST_BYTES else {v: narrow(i, len(domains)) for v, i in domains.hidden.items()}
        domains = replace(domains, hidden=hidden)
        ranked = np.argsort(-urgency, kind="stable")
        for first in range(0, len(ranked), self.size):
            chosen = ranked[first : first + self.size]
            batch = domains.select(chosen)
            self.nbytes += batch.nbytes
            heapq.heappush(self.open, (-float(urgency[chosen[0]]), next(self.order), batch))
