"""The loop: what it closes, what it refuses to close, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest

from certify.errors import NumericalError
from certify.search.branch_and_bound import Bounded, Progress, branch_and_bound
from certify.search.domain import Domains
from certify.search.frontier import Frontier
from certify.search.tree import SearchTree
from certify.settings import Budget


def interval_domains(lower: list[float], upper: list[float], bound: float = -np.inf) -> Domains:
    n = len(lower)
    return Domains(
        np.array(lower)[:, None], np.array(upper)[:, None], np.zeros(n, int), np.arange(n), np.zeros(n, int),
        np.full((n, 1), bound), np.full(n, bound),
    )  # fmt: skip


class Halving:
    """Refute x^2 + offset <= 0 on [-1, 1] by interval arithmetic on halves; can be told to misbehave."""

    clipped = False

    def __init__(self, offset: float = 0.1, fail: type[Exception] | None = None, most: int = 8) -> None:
        self.offset, self.fail, self.most = offset, fail, most
        self.tree = SearchTree(np.zeros(1, int), 10**6)
        self.sizes: list[int] = []

    def roots(self) -> Domains:
        return interval_domains([-1.0], [1.0])

    def batch_size(self, limit: int | None) -> int:
        return self.most

    def bound(self, domains: Domains, budget: Budget) -> Bounded:
        self.sizes.append(len(domains))
        if self.fail is MemoryError and len(domains) > 1:
            raise MemoryError
        if self.fail is NumericalError and (domains.lower > 0.4).any():
            raise NumericalError("NaN")
        low, high = domains.lower[:, 0], domains.upper[:, 0]
        least = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(low**2, high**2)) - abs(high - low) + self.offset
        closed = least > 0.0
        middle = ((low + high) / 2.0)[~closed, None]
        return Bounded(interval_with(domains, least), closed, middle)

    def cut(self, bounded: Bounded) -> tuple[Domains, np.ndarray]:
        open_ = bounded.domains.select(~bounded.closed)
        middle = (open_.lower + open_.upper)[:, 0] / 2.0
        stuck = ~bounded.closed & ((bounded.domains.upper - bounded.domains.lower)[:, 0] < 1e-3)
        if stuck.any():
            return interval_domains([], []), stuck
        lower = np.stack([open_.lower[:, 0], middle], axis=1).reshape(-1)
        upper = np.stack([middle, open_.upper[:, 0]], axis=1).reshape(-1)
        return interval_domains(lower.tolist(), upper.tolist()), stuck


def interval_with(domains: Domains, bound: np.ndarray) -> Domains:
    n = len(domains)
    return Domains(domains.lower, domains.upper, np.zeros(n, int), domains.node, domains.depth, bound[:, None], bound)


def never(points: np.ndarray) -> None:
    return None


def test_a_refutable_property_is_closed() -> None:
    progress = Progress()
    outcome = branch_and_bound(Halving(), Budget.starting_now(60), never, progress)
    assert outcome.closed
    assert outcome.finished
    assert outcome.bound > 0
    assert progress.leaves == (progress.domains + 1) / 2


def test_a_property_that_fails_is_never_closed() -> None:
    outcome = branch_and_bound(Halving(offset=-0.1), Budget.starting_now(60), never, Progress())
    assert not outcome.closed
    assert outcome.bound <= 0


def test_a_witness_ends_the_search() -> None:
    accept = lambda points: "found" if (points**2 - 0.1 <= 0).any() else None  # noqa: E731
    outcome = branch_and_bound(Halving(offset=-0.1), Budget.starting_now(60), accept, Progress())
    assert outcome.witness == "found"
    assert not outcome.closed


def test_broken_bounds_leave_the_answer_open() -> None:
    progress = Progress()
    outcome = branch_and_bound(Halving(fail=NumericalError), Budget.starting_now(60), never, progress)
    assert not outcome.closed
    assert progress.abandoned > 0
    assert progress.notes


def test_out_of_memory_halves_the_batch_and_goes_on() -> None:
    brancher = Halving(fail=MemoryError)
    outcome = branch_and_bound(brancher, Budget.starting_now(60), never, Progress())
    assert outcome.closed
    assert brancher.sizes[-1] == 1


def test_an_expired_budget_decides_nothing() -> None:
    outcome = branch_and_bound(Halving(), Budget.starting_now(0.0), never, Progress())
    assert not outcome.closed
    assert not outcome.finished


@pytest.mark.parametrize("sizes", [[1], [3, 2, 4], [5, 0, 1]])
def test_the_frontier_gives_back_everything_once(sizes: list[int]) -> None:
    frontier, start = Frontier(), 0.0
    for size in sizes:
        values = [start + i for i in range(size)]
        start += size
        frontier.push(interval_domains(values, values, bound=-1.0))
    assert len(frontier) == sum(sizes)
    popped: list[float] = []
    while len(frontier):
        popped += frontier.pop(2).lower[:, 0].tolist()
    assert sorted(popped) == [float(i) for i in range(sum(sizes))]
    assert frontier.nbytes == 0
