"""What the sign-split brancher does between an ascent and a cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_problems import problem, relu_network

from certify.bounds.interval import Interval
from certify.network.evaluate import evaluate
from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.ops.dense import dense
from certify.ops.product import Product
from certify.ops.registry import Value
from certify.ops.relu import Relu
from certify.ops.s_shaped import Sigmoid
from certify.query.formula import Region
from certify.search import prove as prove_module
from certify.search.branch_and_bound import Progress, branch_and_bound
from certify.search.domain import narrow, wide
from certify.search.refine import Worth, mark
from certify.search.root import Root
from certify.search.signs import with_signs
from certify.search.value_split import ValueSplit
from certify.settings import Budget


def brancher_for(seed: int, widths: list[int], margin: float) -> tuple[ValueSplit, Network]:
    """The brancher of a random row whose least sampled margin is `margin`."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, widths)
    row, lower, upper = rng.normal(size=(1, 2)), -np.ones(widths[0]), np.ones(widths[0])
    least = (evaluate(network, rng.uniform(-1, 1, size=(4000, widths[0]))) @ row.T).min()
    posed = problem(network, [Region(lower, upper, 0)], row, np.array([least - margin]))
    root = Root(posed, next(iter(posed.goals())), network, Budget.starting_now(60))
    root.crown()
    return ValueSplit(posed, root.goal, root.relaxed, np.array([-np.inf]), 2**28), network


@pytest.mark.parametrize("seed", range(4))
def test_every_unsafe_point_stays_in_some_open_subproblem(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts, clips and refined hidden bounds may only lose points that satisfy the property."""
    monkeypatch.setattr(Worth, "wanted", lambda self, domains: np.arange(len(domains)) % 2 == 0)
    brancher, network = brancher_for(seed, [4, 8, 8, 2], -0.1)
    outputs, _, offset = brancher.problem.margin_rows(brancher.goal.atoms)
    x = np.random.default_rng(seed).uniform(-1, 1, size=(60_000, 4))
    unsafe = x[((evaluate(network, x) @ outputs.T + offset) <= 0.0).all(axis=1)]
    assert len(unsafe)
    hidden = {v: evaluate(network.cone(v), unsafe) for v in brancher.values}
    domains = brancher.roots()
    for _ in range(6):
        bounded = brancher.bound(domains, Budget.starting_now(60))
        domains, stuck = brancher.cut(bounded)
        assert not stuck.any()
        home = np.zeros(len(unsafe), dtype=bool)
        for i in range(len(domains)):
            inside = ((unsafe >= domains.lower[i]) & (unsafe <= domains.upper[i])).all(axis=1)
            for value, found in hidden.items():
                low, high = (side[i].reshape(-1) for side in wide(domains.hidden[value]))
                sign = domains.signs[value][i].reshape(-1)
                inside &= ((found >= low) & (found <= high) & (sign * found >= 0.0)).all(axis=1)
            home |= inside
        assert home.all()


def test_inputs_are_clipped_and_hidden_bounds_refined() -> None:
    """The test above is not vacuous: both do happen."""
    brancher, _ = brancher_for(1, [4, 8, 8, 2], 0.05)
    outcome = branch_and_bound(brancher, Budget.starting_now(60), lambda points: None, Progress())
    assert outcome.closed
    assert brancher.clips
    assert brancher.clipped
    assert outcome.bound == 0.0


def test_nothing_is_refined_without_a_promise() -> None:
    """Refining stops where it gains less than splitting, and is tried again later on a few."""
    worth, brancher = Worth(), brancher_for(0, [3, 4, 2], 0.1)[0]
    one = brancher.roots()
    many = mark(one.select(np.zeros(20, dtype=int)), np.zeros(20, dtype=int))
    many.depth[:] = 6
    many.marks["bound"][:], many.marks["estimate"][:] = -1.3, -1.0
    assert worth.wanted(many).sum() == 8
    worth.learn(many, many)
    assert not any(worth.wanted(many).any() for _ in range(39))
    assert worth.wanted(many).sum() == 8
    worth.learn(many, replace(many, bound=np.ones(20), marks=many.marks | {"estimate": np.ones(20)}))
    assert worth.wanted(many).all()


def test_stored_bounds_contain_the_exact_ones() -> None:
    rng = np.random.default_rng(0)
    lower = rng.normal(size=(5, 40)) * 10.0 ** rng.integers(-30, 30, size=(5, 40))
    exact = Interval(lower, lower + abs(rng.normal(size=lower.shape)))
    stored = wide(narrow(exact, 5))
    assert (stored.lower <= exact.lower).all()
    assert (stored.upper >= exact.upper).all()


def test_signs_that_contradict_the_bounds_leave_no_crossing() -> None:
    bounds = Interval(np.array([[0.5, -2.0, -1.0]]), np.array([[1.0, -0.5, 1.0]]))
    signs = np.array([[-1, 1, 1]], dtype=np.int8)
    low, high = with_signs(bounds, signs, 1)
    assert (low <= high).all()
    assert low[0, 2] == 0.0


def mixed_network(rng: np.random.Generator, square: bool) -> Network:
    """Rectifiers, then sigmoids, then (if asked) products of them."""
    build = GraphBuilder()
    value = dense(build, Value(INPUT, (3,)), rng.normal(size=(4, 3)), rng.normal(size=4))
    value = build.emit(Relu((value.shape,), value.shape), value)
    value = dense(build, value, 2.0 * rng.normal(size=(4, 4)), rng.normal(size=4))
    value = build.emit(Sigmoid((value.shape,), value.shape), value)
    if square:
        other = dense(build, value, rng.normal(size=(4, 4)), rng.normal(size=4))
        value = build.emit(Product((value.shape, other.shape), value.shape), value, other)
    value = dense(build, value, rng.normal(size=(2, 4)), rng.normal(size=2))
    spec = lambda name, n: (TensorSpec(name, (n,), "float64"),)  # noqa: E731
    return Network(tuple(build.nodes), value.name, spec("x", 3), spec("y", 2))


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("safe_by", [0.05, -1e-3])
def test_any_nonlinear_value_is_split(square: bool, seed: int, safe_by: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without splits of inputs, a network of several nonlinear ops is decided, and never wrongly."""
    monkeypatch.setattr(prove_module, "FEW_INPUTS", 0)
    rng = np.random.default_rng(seed)
    network = mixed_network(rng, square)
    row = np.array([[1.0, -1.0]])
    lower, upper = -0.5 * np.ones(3), 0.5 * np.ones(3)
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 41)] * 3), axis=-1).reshape(-1, 3)
    least = (evaluate(network, grid) @ row.T).min()
    posed = problem(network, [Region(lower, upper, 0)], row, np.array([least - safe_by]))
    prover = prove_module.Prover(posed, network.library, Budget.starting_now(300 if safe_by > 0.0 else 1), Progress())
    prover.screen()
    outcome = prover.search(lambda points: None).outcome
    assert outcome.closed is (safe_by > 0.0)


def test_cuts_of_a_value_keep_every_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut again and again, each point lies in the bounds and on the right side of the last cut of some subproblem."""
    monkeypatch.setattr(Worth, "wanted", lambda self, domains: np.arange(len(domains)) % 2 == 0)
    rng = np.random.default_rng(0)
    network = mixed_network(rng, True)
    row, lower, upper = np.array([[1.0, -1.0]]), -np.ones(3), np.ones(3)
    x = rng.uniform(-1, 1, size=(2000, 3))
    margin = evaluate(network, x) @ row.T
    posed = problem(network, [Region(lower, upper, 0)], row, np.array([margin.max() + 1.0]))  # every point is unsafe
    root = Root(posed, next(iter(posed.goals())), network, Budget.starting_now(60))
    root.crown()
    brancher = ValueSplit(posed, root.goal, root.relaxed, np.array([-np.inf]), 2**28)
    hidden = {v: evaluate(network.cone(v), x) for v in brancher.values}
    domains = brancher.roots()
    for _ in range(7):
        domains, stuck = brancher.cut(brancher.bound(domains, Budget.starting_now(60)))
        assert not stuck.any()
    home = np.zeros(len(x), dtype=bool)
    for i in range(len(domains)):
        inside = np.ones(len(x), dtype=bool)
        for value, found in hidden.items():
            low, high = (side[i].reshape(-1) for side in wide(domains.hidden[value]))
            point = domains.points[value][i] if value in domains.points else 0.0
            inside &= ((found >= low) & (found <= high) & (domains.signs[value][i] * (found - point) >= 0.0)).all(
                axis=1
            )
        home |= inside
    assert home.all()
    assert any(sign[:, :].any() for value, sign in domains.signs.items() if value in domains.points)
