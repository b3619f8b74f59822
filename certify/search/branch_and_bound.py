"""Branch and bound over batches of subproblems; what one is, and how it is bounded and cut, is the brancher's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from certify.errors import NumericalError
from certify.search.domain import Domains
from certify.search.frontier import Frontier
from certify.search.trace import Trace
from certify.search.tree import SearchTree
from certify.settings import Budget


@dataclass
class Bounded:
    """Domains after bounding. domains: with new bounds; closed: [batch] mask of those refuted; points: [k, n_inputs]
    inputs worth a try; detail: whatever the brancher needs to cut the open ones.
    """

    domains: Domains
    closed: np.ndarray
    points: np.ndarray
    detail: Any = None


class Brancher(Protocol):
    """One way to divide the problem."""

    @property
    def tree(self) -> SearchTree:
        """What was done, as it is done."""

    @property
    def clipped(self) -> bool:
        """Whether parts were left out because they cannot break the property."""

    def roots(self) -> Domains:
        """The domains to start from; together they cover everything that is to be refuted."""

    def bound(self, domains: Domains, budget: Budget) -> Bounded:
        """Bound a batch and record its closed leaves in the tree."""

    def cut(self, bounded: Bounded) -> tuple[Domains, np.ndarray]:
        """Children of the open domains (recorded in the tree), and a mask of open domains that cannot be cut."""

    def batch_size(self, limit: int | None) -> int:
        """How many domains to bound at once."""


@dataclass
class Progress:
    """Where a search stands; read by whoever watches (progress line, signal handlers).

    covered: the share of the search tree that is closed, if both halves of every split were alike (Knuth 1975).
    """

    stage: str = ""
    domains: int = 0
    open: int = 0
    leaves: int = 0
    bound: float = float("-inf")
    abandoned: int = 0
    covered: float = 0.0
    notes: list[str] = field(default_factory=list)
    trace: Trace = field(default_factory=Trace)

    def reach(self, bound: float) -> None:
        """The bound of what is being searched is now this."""
        self.bound = bound
        if math.isfinite(bound):
            self.trace.add(float(bound), self.domains)

    def count(self, domains: int, leaves: int, abandoned: int, open_now: int) -> None:
        """Add a batch: how many domains were bounded, closed, given up, and are open after it."""
        self.domains += domains
        self.leaves += leaves
        self.abandoned += abandoned
        self.open = open_now


@dataclass(frozen=True)
class Outcome:
    """closed: everything was refuted. bound: lower bound of the formula's margin over what was not (or was) refuted.

    `finished` is False where the budget ended the search. witness: whatever `accept` returned.
    """

    closed: bool
    finished: bool
    bound: float
    witness: Any = None


Accept = Callable[[np.ndarray], Any]


class Helper(Protocol):
    """Somebody who takes open domains over."""

    def share(self, frontier: Frontier) -> None:
        """Take domains out of the frontier, or leave it as it is."""

    def refill(self, frontier: Frontier) -> Any:
        """Put domains back into the frontier, which is empty, as long as there are any; a witness, if one was found."""

    def settle(self, outcome: Outcome) -> Outcome:
        """The outcome of the whole, given that of the part that was kept."""


def branch_and_bound(
    brancher: Brancher,
    budget: Budget,
    accept: Accept,
    progress: Progress,
    *,
    helper: Helper | None = None,
    start: Frontier | None = None,
    hopeless: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Search until everything is refuted, `accept` takes one of the points proposed, or the budget ends.

    start: the domains to begin with (default: the brancher's roots). helper: may take over some of the open ones.
    hopeless: whether to end as if the time were up.
    """
    frontier = Frontier()
    if start is None:
        frontier.push(brancher.roots())
    progress.covered = 0.0
    outcome = _search(brancher, budget, accept, progress, frontier if start is None else start, helper, hopeless)
    return outcome if helper is None else helper.settle(outcome)


def _search(
    brancher: Brancher,
    budget: Budget,
    accept: Accept,
    progress: Progress,
    frontier: Frontier,
    helper: Helper | None,
    hopeless: Callable[[], bool],
) -> Outcome:
    """The loop.

    accept(points) returns a witness or None. A batch that runs out of memory is halved and tried again; a domain
    whose bounds break down numerically is set aside, which leaves the answer open.
    """
    size = brancher.batch_size(budget.memory)
    roots = max(1, len(brancher.tree.roots))
    abandoned_bound = best_closed = float("inf")
    suspects = 0  # domains on top of the frontier that are bounded one by one, because one of them broke its batch
    while True:
        if helper is not None and not len(frontier):
            witness = helper.refill(frontier)
            if witness is not None:
                return Outcome(False, True, float("-inf"), witness)
        if not len(frontier):
            break
        if budget.expired() or hopeless():
            return Outcome(False, False, min(frontier.bound(), abandoned_bound))
        if helper is not None:
            helper.share(frontier)
        batch = frontier.pop(1 if suspects else size)
        suspects = max(0, suspects - 1)
        progress.reach(min(frontier.bound(), float(batch.bound.min()), abandoned_bound))
        try:
            bounded = brancher.bound(batch, budget)
            witness = accept(bounded.points) if len(bounded.points) else None
            if witness is not None:
                return Outcome(False, True, float("-inf"), witness)
            children, stuck = _nothing_open(bounded) if bounded.closed.all() else brancher.cut(bounded)
        except MemoryError:
            if len(batch) == 1:
                raise
            size = max(1, len(batch) // 2)
            progress.notes.append(f"out of memory: batches halved to {size}")
            frontier.push(batch)
            continue
        except (NumericalError, FloatingPointError) as error:
            if len(batch) > 1:
                suspects = len(batch)
                frontier.push(batch)
                continue
            progress.abandoned += len(batch)
            progress.notes.append(str(error))
            abandoned_bound = min(abandoned_bound, float(batch.bound.min()))
            continue
        frontier.push(children)
        progress.count(len(batch), int(bounded.closed.sum()), int(stuck.sum()), len(frontier))
        progress.covered += float((0.5 ** bounded.domains.depth[bounded.closed]).sum()) / roots
        best_closed = min(best_closed, float(bounded.domains.bound[bounded.closed].min(initial=np.inf)))
        abandoned_bound = min(abandoned_bound, float(bounded.domains.bound[stuck].min(initial=np.inf)))
    closed = progress.abandoned == 0
    # Of parts that were clipped away no more is known than that their margin is positive.
    progress.reach(abandoned_bound if not closed else min(best_closed, 0.0) if brancher.clipped else best_closed)
    return Outcome(closed, True, progress.bound)


def _nothing_open(bounded: Bounded) -> tuple[Domains, np.ndarray]:
    return bounded.domains.select(np.zeros(0, dtype=int)), np.zeros(len(bounded.closed), dtype=bool)
