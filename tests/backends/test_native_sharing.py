"""Two processes that share the work: what is lost with one counts as open, and nothing is done twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from random_problems import problem, relu_network

from certify.arrays import Array
from certify.backends import native_sharing
from certify.backends.native_sharing import Report, RowSharer, Sharer, _Giver
from certify.backends.second_process import Send
from certify.bounds.backward import Rows
from certify.bounds.intermediate import BoundRows, Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.methods.alpha_crown import optimised
from certify.network.evaluate import evaluate
from certify.problem import Problem
from certify.query.formula import Region
from certify.search.branch_and_bound import Outcome, Progress, branch_and_bound
from certify.search.frontier import Frontier
from certify.search.root import Root
from certify.search.value_split import ValueSplit
from certify.settings import Budget

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork as soon as there is anything to share."""
    for name, value in (("SHARE_AFTER", 0.0), ("FEWEST_SHARED", 4)):
        monkeypatch.setattr(native_sharing, name, value)


def searched(seed: int, margin: float) -> tuple[Problem, ValueSplit, Outcome, Progress, Sharer]:
    """A search with signs whose frontier is shared as soon as it has four domains."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [10, 24, 24, 2])
    row, lower, upper = rng.normal(size=(1, 2)), -np.ones(10), np.ones(10)
    least = (evaluate(network, rng.uniform(-1, 1, size=(50_000, 10))) @ row.T).min()
    posed = problem(network, [Region(lower, upper, 0)], row, np.array([least - margin]))
    root = Root(posed, next(iter(posed.goals())), network, Budget.starting_now(600))
    root.crown()
    brancher, progress = ValueSplit(posed, root.goal, root.relaxed, np.array([-np.inf]), 2**28), Progress()

    def accept(points: np.ndarray) -> np.ndarray | None:
        unsafe = posed.margins(points, evaluate(network, points), root.goal.atoms)[:, 0] <= 0.0
        return points[unsafe][0] if unsafe.any() else None

    budget = Budget.starting_now(600)
    sharer = Sharer(brancher, budget, accept, progress)
    with sharer as (accept_all, helper):
        outcome = branch_and_bound(brancher, budget, accept_all, progress, helper=helper)
    return posed, brancher, outcome, progress, sharer


def test_both_halves_together_close_a_safe_property() -> None:
    _, brancher, outcome, progress, sharer = searched(0, 0.35)
    assert sharer._forks > 0
    assert outcome.closed
    assert outcome.finished
    assert progress.leaves == brancher.tree.n_leaves
    nodes = np.concatenate([step.node for step in brancher.tree.steps])
    assert (nodes >= native_sharing.OTHER_NODES).any()


def test_an_unsafe_property_is_never_closed() -> None:
    for seed in range(3):
        posed, _, outcome, _, _ = searched(seed, -0.05)
        assert not outcome.closed
        assert outcome.witness is not None


def broken(self: Sharer, given: object, send: Send) -> None:
    raise RuntimeError


def silent(self: Sharer, given: object, send: Send) -> None:
    os._exit(1)


@pytest.mark.parametrize("prove", [broken, silent])
def test_what_a_lost_process_was_given_counts_as_open(
    prove: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sharer, "_prove", prove)
    _, _, outcome, progress, sharer = searched(0, 0.35)
    assert sharer._forks > 0
    assert not outcome.closed
    assert outcome.bound <= 0.0
    assert progress.abandoned == 1
    assert any("second process was lost" in note for note in progress.notes)


def test_whoever_has_nothing_left_gets_some_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly everything is given away at first; half of what is open over there comes back when it is asked for."""

    def nearly_all(self: Frontier) -> Frontier:
        one, other = self.pop(1), Frontier()
        other.take(self)
        self._stack, self.count, self.nbytes = [], 0, 0
        self.push(one)
        return other

    def not_before_it_is_asked(self: _Giver, frontier: Frontier) -> None:
        while not waited and not self._send.asked():
            time.sleep(0.001)
        if not waited:
            waited.append(True)
            self._send(frontier.halve())
        give(self, frontier)

    halve, parent, taken, waited = Frontier.halve, os.getpid(), [], []
    give = _Giver.share
    monkeypatch.setattr(_Giver, "share", not_before_it_is_asked)
    monkeypatch.setattr(Frontier, "halve", lambda self: (nearly_all if os.getpid() == parent else halve)(self))
    monkeypatch.setattr(Sharer, "refill", lambda self, f: (refill(self, f), taken.append(len(f)))[0])
    monkeypatch.setattr(native_sharing, "ASK_EVERY", 0.01)
    _, brancher, outcome, progress, _ = searched(0, 0.3)
    assert outcome.closed
    assert max(taken) > 0
    assert progress.leaves == brancher.tree.n_leaves


refill = Sharer.refill


def bounds_of(way: BoundRows) -> tuple[Relaxed, Relaxed]:
    network = relu_network(np.random.default_rng(3), [6, 30, 30, 30, 2])
    box = Interval(-np.ones((1, 6)), np.ones((1, 6)))
    known = intermediate_bounds(network, box)
    return known, intermediate_bounds(network, box, known=known.intervals, bound_rows=way)


def test_every_other_row_is_bounded_over_there() -> None:
    """The same numbers, one process or two."""
    plain = optimised(lambda: False)
    (_, alone), (_, together) = bounds_of(plain), bounds_of(RowSharer(plain))
    for name, interval in alone.intervals.items():
        np.testing.assert_allclose(together.intervals[name].lower, interval.lower, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(together.intervals[name].upper, interval.upper, rtol=1e-6, atol=1e-9)


def test_rows_that_are_lost_keep_the_bounds_they_had() -> None:
    parent, plain = os.getpid(), optimised(lambda: False)

    def way(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm | None]:
        if os.getpid() != parent:
            os._exit(1)
        return plain(relaxed, rows)

    known, found = bounds_of(RowSharer(way))
    last = known.network.nonlinear[-1].inputs[0]
    before, after = known.intervals[last], found.intervals[last]
    assert np.isfinite(after.lower).all()
    assert (after.lower >= before.lower).all()
    assert (after.lower > before.lower + 1e-6).any()
    x = np.random.default_rng(0).uniform(-1, 1, size=(5000, 6))
    values = evaluate(known.network.cone(last), x)
    assert ((values >= after.lower) & (values <= after.upper)).all()


class Late:
    """Another process that hands something back unasked, while this one is busy, and then reports that it is done."""

    def __init__(self, frontier: Frontier) -> None:
        done = Outcome(True, True, 1.0)
        self.messages: list[object] = [frontier, Report(done, Progress(), [], 0, True)]
        self.ended = False

    def received(self, wait: float = 0.0) -> Iterator[object]:
        if self.messages:
            yield self.messages.pop(0)

    def end(self) -> None:
        pass


@pytest.mark.parametrize("after", ["refill", "share"])
def test_what_comes_back_late_is_not_forgotten(after: str) -> None:
    """A half that arrives between two batches, and the report after it: the half is still to be proved."""
    _, brancher, _, progress, _ = searched(0, 0.35)
    returned = Frontier()
    returned.push(brancher.roots())
    sharer = Sharer(brancher, Budget.starting_now(600), lambda points: None, progress)
    sharer._other = Late(returned)  # type: ignore[assignment]
    nothing = np.zeros((0, 10))
    assert sharer.accept(nothing) is None
    assert sharer.accept(nothing) is None
    assert sharer._other is None
    assert not sharer.settle(Outcome(True, True, 1.0)).closed
    frontier = Frontier()
    getattr(sharer, after)(frontier)
    assert len(frontier) == 1
    assert sharer.settle(Outcome(True, True, 1.0)).closed


def test_a_part_that_was_not_closed_over_there_leaves_the_whole_open() -> None:
    _, brancher, _, progress, _ = searched(0, 0.35)
    sharer = Sharer(brancher, Budget.starting_now(600), lambda points: None, progress)
    sharer._merge(Report(Outcome(False, True, -1.0), Progress(), [], 0, True))
    assert not sharer.settle(Outcome(True, True, 1.0)).closed
