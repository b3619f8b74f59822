"""Evaluation and gradients of networks, in both libraries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import KINDS, networks

from certify.arrays import Library, to_numpy
from certify.network.evaluate import evaluate, gradient, values
from certify.network.graph import INPUT, Network
from certify.network.passes import simplify

TORCH = Library("torch")


@given(network=networks(), seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_gradient(network: Network, seed: int) -> None:
    """Against central differences; a step across a kink is told by the two sides' difference."""
    rng = np.random.default_rng(seed)
    points, n, step = 3, network.n_inputs, 1e-6
    x, weight = rng.normal(size=(points, n)), rng.normal(size=(points, network.n_outputs))
    found = gradient(network, values(network, x), weight)
    assert found.shape == x.shape

    def score(x: np.ndarray) -> np.ndarray:
        return (evaluate(network, x.reshape(-1, n)).reshape(n, points, -1) * weight).sum(axis=-1).T

    moves = step * np.eye(n)[:, None, :]
    here = score(np.repeat(x[None], n, axis=0))
    right, left = (score(x + moves) - here) / step, (here - score(x - moves)) / step
    smooth = abs(right - left) <= 1e-3 * (1.0 + abs(right))
    scale = 1.0 + abs(found).max()
    assert smooth.mean() > 0.5
    assert (abs(found - (right + left) / 2.0)[smooth] <= 1e-3 * scale).all()
    assert (np.minimum(abs(found - right), abs(found - left))[~smooth] <= 1e-2 * scale).all()


@pytest.mark.parametrize("kind", KINDS)
def test_libraries_agree(kind: str) -> None:
    rng = np.random.default_rng(1)
    network = simplify(KINDS[kind](rng))
    moved = network.on(TORCH)
    x, weight = rng.normal(size=(4, network.n_inputs)), rng.normal(size=(4, network.n_outputs))
    ours, theirs = values(network, x), values(moved, TORCH.put(x))
    assert ours.keys() == theirs.keys() == network.shapes.keys()
    for name, value in ours.items():
        assert value.shape == (4, *network.shapes[name])
        np.testing.assert_allclose(to_numpy(theirs[name]), value, rtol=1e-10, atol=1e-10)
    there = gradient(moved, theirs, TORCH.put(weight))
    np.testing.assert_allclose(to_numpy(there), gradient(network, ours, weight), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_is_the_last_of_the_values(kind: str) -> None:
    network = KINDS[kind](np.random.default_rng(2))
    x = np.random.default_rng(3).normal(size=(5, network.n_inputs))
    found = values(network, x)
    np.testing.assert_array_equal(evaluate(network, x), found[network.output])
    np.testing.assert_array_equal(found[INPUT], x)
    for number in range(5):
        np.testing.assert_allclose(evaluate(network, x[number][None])[0], found[network.output][number], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_cones(kind: str) -> None:
    """A cone computes its value from no more nodes than it needs."""
    network = KINDS[kind](np.random.default_rng(4))
    x = np.random.default_rng(5).normal(size=(3, network.n_inputs))
    found = values(network, x)
    for name in network.shapes:
        cone = network.cone(name)
        np.testing.assert_array_equal(values(cone, x)[name], found[name])
        assert cone.output == name
        assert all(node.name == name or cone.consumers[node.name] for node in cone.nodes)
