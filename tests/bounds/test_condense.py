"""The network over one box without its stable rectifiers: the same function there, and as good to climb in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import conv_net, points_in, random_box, residual_net
from random_problems import relu_network

from certify.bounds import condense as condense_module
from certify.bounds.backward import Rows
from certify.bounds.condense import Condensed, condense
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.optimise import Ascent, Split, optimise
from certify.network.evaluate import evaluate
from certify.network.graph import Network

KINDS = {
    "dense": lambda rng: relu_network(rng, [4, 12, 12, 3]),
    "convolutions": conv_net,
    "residual": lambda rng: residual_net(rng, 4, 8),
}


@pytest.fixture(params=list(KINDS))
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Relaxed, Condensed]:
    """A network with bounds over a box on which some rectifiers are open and some are not."""
    monkeypatch.setattr(condense_module, "_worth", lambda network: np.inf)
    monkeypatch.setattr(condense_module, "CHUNK", 7)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        network: Network = KINDS[request.param](rng)
        relaxed = intermediate_bounds(network, random_box(network, rng, radius=0.3))
        small = condense(network, relaxed.intervals)
        if small is not None and any(len(small.index[n.name]) < np.prod(n.op.out_shape) for n in network.nonlinear):
            return relaxed, small
    raise AssertionError("no case found")


def test_it_is_the_same_function_on_the_box(case: tuple[Relaxed, Condensed]) -> None:
    relaxed, small = case
    x = points_in(relaxed.box, np.random.default_rng(0))[0]
    np.testing.assert_allclose(
        evaluate(small.network, x.astype(np.float32)), evaluate(relaxed.network, x), rtol=1e-4, atol=1e-4
    )
    for node in relaxed.network.nonlinear:
        value = node.inputs[0]
        whole = evaluate(relaxed.network.cone(value), x)
        part = evaluate(small.network.cone(value), x.astype(np.float32))
        np.testing.assert_allclose(part, whole.reshape(len(x), -1)[:, small.index[value]], rtol=1e-4, atol=1e-4)


def test_an_ascent_in_it_is_sound_and_as_good(case: tuple[Relaxed, Condensed]) -> None:
    """Slopes and multipliers found there, evaluated on the network itself."""
    relaxed, small = case
    rng = np.random.default_rng(1)
    rows = Rows({relaxed.network.output: rng.normal(size=(1, 2, relaxed.network.n_outputs))}, np.zeros((1, 2)))
    value = relaxed.network.nonlinear[0].inputs[0]
    sign = np.zeros((1, *relaxed.network.shapes[value]))
    sign.reshape(-1)[small.index[value][0]] = 1.0
    found = [
        optimise(r, rows, Ascent(30), splits={value: Split(sign)}) for r in (relaxed, replace(relaxed, draft=small))
    ]
    np.testing.assert_allclose(found[1].lower, found[0].lower, rtol=1e-3, atol=1e-3)
    for key, parts in found[0].slopes.items():
        assert [p.shape for p in parts] == [p.shape for p in found[1].slopes[key]]
    x = points_in(relaxed.box, rng, 5000)[0]
    x = x[evaluate(relaxed.network.cone(value), x).reshape(len(x), -1)[:, small.index[value][0]] >= 0.0]
    least = (evaluate(relaxed.network, x) @ rows.coefficients[relaxed.network.output][0].T).min(axis=0)
    assert (found[1].lower[0] <= least).all()


def test_a_draft_of_another_network_is_not_used(case: tuple[Relaxed, Condensed]) -> None:
    """Walks that start at a hidden value have a network of their own."""
    relaxed, small = case
    value = relaxed.network.nonlinear[-1].inputs[0]
    cone = replace(relaxed, network=relaxed.network.cone(value), draft=small)
    weight = np.ones((1, 1, *relaxed.network.shapes[value]))
    assert np.isfinite(optimise(cone, Rows({value: weight}, np.zeros((1, 1))), Ascent(2)).lower).all()


def test_it_is_left_alone_where_nothing_is_saved() -> None:
    rng = np.random.default_rng(0)
    network = relu_network(rng, [4, 12, 12, 3])
    wide = intermediate_bounds(network, random_box(network, rng, radius=100.0))
    assert condense(network, wide.intervals) is None
