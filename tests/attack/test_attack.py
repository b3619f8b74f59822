"""Attacks find what is there, and nothing they propose counts before it has been snapped, evaluated and replayed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certify.attack.candidate import ORDER, Target, attack_goal, snap
from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.ops.dense import dense
from certify.ops.jumps import Sign
from certify.ops.registry import Value
from certify.ops.relu import Relu
from certify.ops.softmax_nodes import softmax
from certify.problem import Problem
from certify.query.formula import TRUE, AllOf, AnyOf, Atoms, Formula, Region
from certify.query.normal_form import UnsafeSet
from certify.settings import Budget

METHODS = sorted(
    path.stem
    for path in (Path(__file__).resolve().parents[2] / "certify" / "attack" / "methods").glob("*.py")
    if path.stem != "__init__"
)


def test_every_attack_is_tried() -> None:
    """Evolution by the second process, beside the search; the others before it."""
    assert sorted([*ORDER, "evolution"]) == METHODS


def absolute_value_network(n: int) -> Network:
    """y_i = |x_i|."""
    build = GraphBuilder()
    both = dense(build, Value(INPUT, (n,)), np.vstack([np.eye(n), -np.eye(n)]))
    bent = build.emit(Relu((both.shape,), both.shape), both)
    y = dense(build, bent, np.hstack([np.eye(n), np.eye(n)]))
    spec = TensorSpec("x", (n,), "float32"), TensorSpec("y", (n,), "float32")
    return Network(tuple(build.nodes), y.name, spec[:1], spec[1:])


def target(formula: Formula, outputs: np.ndarray, rhs: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Target:
    network = absolute_value_network(len(lower))
    n = len(rhs)
    atoms = Atoms(outputs, None, rhs, np.zeros(n, bool), np.ones(n, int))
    unsafe = UnsafeSet(len(lower), len(lower), atoms, [Region(lower, upper, formula)])
    problem = Problem(network, unsafe)
    return Target(problem, next(iter(problem.goals())), network)


def run(t: Target, names: tuple[str, ...], seed: int = 0) -> np.ndarray | None:
    return attack_goal(t, names, np.random.default_rng(seed), Budget.starting_now(60), lambda x: x)


def test_random_starts_at_the_centre() -> None:
    t = target(0, np.eye(3)[:1], np.array([0.0]), -np.ones(3), np.ones(3))
    found = run(t, ("random",))
    assert found is not None
    assert found.tolist() == [0.0, 0.0, 0.0]


def test_corners_find_what_holds_only_there() -> None:
    t = target(0, -np.ones((1, 4)), np.array([-4.0]), -np.ones(4), np.ones(4))
    assert run(t, ("random",)) is None
    found = run(t, ("corners",))
    assert found is not None
    assert (abs(found) == 1.0).all()


def test_pgd_walks_where_sampling_does_not_reach() -> None:
    """All of 40 absolute values below 0.2: a share of 1e-32 of the box."""
    n = 40
    t = target(AllOf(tuple(range(n))), np.eye(n), np.full(n, 0.2), -np.ones(n), np.full(n, 1.5))
    assert run(t, ("random", "corners")) is None
    assert run(t, ("pgd",)) is not None


def test_pgd_descends_through_jumps() -> None:
    """All of 60 signs -1 at once, of values of any scale, seen through a saturated softmax: no derivative says how."""
    n, rng = 60, np.random.default_rng(1)
    build = GraphBuilder()
    mixed = dense(build, Value(INPUT, (n,)), 1e4 * (np.eye(n) + 0.05 * rng.normal(size=(n, n))))
    signs = build.emit(Sign((mixed.shape,), mixed.shape), mixed)
    logits = dense(build, signs, 20.0 * np.vstack([np.ones((1, n)), np.zeros((2, n))]), np.array([1100.0, 0.0, -9.0]))
    y = softmax(build, logits, 0)
    spec = TensorSpec("x", (n,), "float32"), TensorSpec("y", (3,), "float32")
    network = Network(tuple(build.nodes), y.name, spec[:1], spec[1:])
    atoms = Atoms(np.array([[1.0, -1.0, 0.0]]), None, np.zeros(1), np.zeros(1, bool), np.ones(1, int))
    unsafe = UnsafeSet(n, 3, atoms, [Region(-np.ones(n), np.ones(n), 0)])
    problem = Problem(network, unsafe)
    t = Target(problem, next(iter(problem.goals())), network)
    assert run(t, ("random", "corners")) is None
    assert run(t, ("pgd",)) is not None


def test_pgd_gives_every_disjunct_its_own_restarts() -> None:
    """The first disjunct is impossible but attractive, the second one possible."""
    n = 10
    outputs = np.vstack([np.eye(n)[0], -np.ones(n)])
    t = target(AnyOf((0, 1)), outputs, np.array([-1e-3, -9.9]), -np.ones(n), np.ones(n))
    assert run(t, ("pgd",)) is not None


def test_nothing_is_found_where_nothing_is() -> None:
    t = target(0, np.eye(3)[:1], np.array([-1e-9]), -np.ones(3), np.ones(3))
    assert run(t, ORDER) is None


def test_a_specification_without_atoms_is_attacked_like_any_other() -> None:
    """All of a box may be unsafe, and yet the replay refuses each point: its bounds were strict."""
    none = target(TRUE, np.zeros((0, 2)), np.zeros(0), -np.ones(2), np.ones(2))
    for name in METHODS:
        assert attack_goal(none, (name,), np.random.default_rng(0), Budget.starting_now(1), lambda x: None) is None


def test_what_the_replay_refuses_is_not_found() -> None:
    t = target(0, np.eye(3)[:1], np.array([0.5]), -np.ones(3), np.ones(3))
    refused: list[np.ndarray] = []
    budget = Budget.starting_now(60)
    assert attack_goal(t, ORDER, np.random.default_rng(0), budget, lambda x: refused.append(x)) is None
    assert refused


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-12, 1e-7, 1.0]))
def test_snapped_points_lie_in_the_exact_box(seed: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    lower = rng.normal(size=20)
    upper = lower + width * rng.random(20)
    x = snap(rng.normal(size=(5, 20)) * 2, lower, upper)
    assert ((x >= lower) & (x <= upper)).all()
    if width == 1.0:
        assert (x == x.astype(np.float32)).mean() > 0.9


def test_the_same_seed_gives_the_same_point() -> None:
    n = 12
    t = target(AllOf(tuple(range(n))), np.eye(n), np.full(n, 0.1), -np.ones(n), np.full(n, 1.5))
    first, second = run(t, ("pgd",), seed=3), run(t, ("pgd",), seed=3)
    assert first is not None
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", METHODS)
def test_proposals_lie_near_the_box(name: str) -> None:
    from importlib import import_module

    t = target(0, np.eye(3)[:1], np.array([0.5]), np.array([-1.0, 2.0, 0.0]), np.array([1.0, 2.0, 0.0]))
    propose = import_module(f"certify.attack.methods.{name}").propose
    for points in propose(t, np.random.default_rng(0), Budget.starting_now(60)):
        assert points.shape[1] == 3
        assert np.isfinite(points).all()
        np.testing.assert_allclose(points[:, 1:], [[2.0, 0.0]] * len(points))
