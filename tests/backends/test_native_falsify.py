"""Evolution and the best boxes first: they find what is hard to hit."""

from __future__ import annotations

import numpy as np
import pytest
from random_problems import problem, relu_network

from certify.attack.candidate import Target
from certify.attack.methods import evolution
from certify.backends.native_falsify import falsify
from certify.network.evaluate import evaluate
from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.ops.dense import dense
from certify.ops.registry import Value
from certify.ops.relu import Relu
from certify.query.formula import AnyOf, Region
from certify.settings import Budget


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_small_unsafe_region_is_found(seed: int, boxes: bool) -> None:
    """The region is a few millionths of the box; every point reported is inside it."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [3, 10, 10, 2])
    lower, upper, row = -np.ones(3), np.ones(3), rng.normal(size=(1, 2))
    values = np.sort((evaluate(network, rng.uniform(-1, 1, size=(200_000, 3))) @ row.T)[:, 0])
    posed = problem(network, [Region(lower, upper, 0)], row, values[:1])
    goals = list(posed.goals())
    found = next(p for p in falsify(posed, goals, network, seed, Budget.starting_now(60), boxes) if len(p))
    assert ((found >= lower) & (found <= upper)).all()
    assert (evaluate(network, found) @ row.T <= values[0]).all()


def test_a_safe_region_ends_without_points() -> None:
    rng = np.random.default_rng(0)
    network = relu_network(rng, [2, 6, 2])
    row = rng.normal(size=(1, 2))
    least = (evaluate(network, rng.uniform(-1, 1, size=(20_000, 2))) @ row.T).min()
    posed = problem(network, [Region(-np.ones(2), np.ones(2), AnyOf((0,)))], row, np.array([least - 0.5]))
    assert not any(len(p) for p in falsify(posed, list(posed.goals()), network, 0, Budget.starting_now(60)))


def test_a_thin_region_at_the_rim_of_a_plateau_is_found_by_evolution() -> None:
    """Unsafe: within 4e-4 of one point in the sum of distances; beyond 0.2 all inputs look the same."""
    build = GraphBuilder()
    x = Value(INPUT, (4,))
    sides = dense(build, x, np.vstack([np.eye(4), -np.eye(4)]), np.repeat([-0.3, 0.3], 4))
    sides = build.emit(Relu((sides.shape,), sides.shape), sides)
    near = dense(build, sides, -np.ones((1, 8)), np.array([0.2]))
    near = build.emit(Relu((near.shape,), near.shape), near)
    specs = [(TensorSpec(name, (n,), "float64"),) for name, n in (("x", 4), ("y", 1))]
    network = Network(tuple(build.nodes), near.name, *specs)
    posed = problem(network, [Region(np.zeros(4), np.ones(4), 0)], -np.ones((1, 1)), np.array([-0.2 + 4e-4]))
    target = Target(posed, next(iter(posed.goals())), network)
    found = [
        points
        for seed in range(5)
        for points in evolution.propose(target, np.random.default_rng(seed), Budget.starting_now(60))
        if len(points)
    ]
    assert found
    assert (abs(np.concatenate(found) - 0.3).sum(axis=1) <= 4e-4 + 1e-12).all()
