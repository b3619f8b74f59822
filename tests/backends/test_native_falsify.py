"""Best point first: it finds what is hard to hit."""

from __future__ import annotations

import numpy as np
import pytest
from random_problems import problem, relu_network

from certify.backends.native_falsify import falsify
from certify.network.evaluate import evaluate
from certify.query.formula import AnyOf, Region
from certify.settings import Budget


@pytest.mark.parametrize("seed", range(5))
def test_a_small_unsafe_region_is_found(seed: int) -> None:
    """The region is a few millionths of the box; every point reported is inside it."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [3, 10, 10, 2])
    lower, upper, row = -np.ones(3), np.ones(3), rng.normal(size=(1, 2))
    values = np.sort((evaluate(network, rng.uniform(-1, 1, size=(200_000, 3))) @ row.T)[:, 0])
    posed = problem(network, [Region(lower, upper, 0)], row, values[:1])
    goals = list(posed.goals())
    found = next(p for p in falsify(posed, goals, network, seed, Budget.starting_now(60)) if len(p))
    assert ((found >= lower) & (found <= upper)).all()
    assert (evaluate(network, found) @ row.T <= values[0]).all()


def test_a_safe_region_ends_without_points() -> None:
    rng = np.random.default_rng(0)
    network = relu_network(rng, [2, 6, 2])
    row = rng.normal(size=(1, 2))
    least = (evaluate(network, rng.uniform(-1, 1, size=(20_000, 2))) @ row.T).min()
    posed = problem(network, [Region(-np.ones(2), np.ones(2), AnyOf((0,)))], row, np.array([least - 0.5]))
    assert not any(len(p) for p in falsify(posed, list(posed.goals()), network, 0, Budget.starting_now(60)))
