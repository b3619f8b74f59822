"""The network over one box without its stable rectifiers: the same function there, and as good to climb in."""

from __future__ import annotations

import numpy as np
import pytest
from networks import conv_net, random_box, residual_net
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
        small = condense(relaxed)
        if small is not None and any(len(small.index[n.name]) < np.prod(n.op.out_shape) for n in network.nonlinear):
            return relaxed, small
    raise AssertionError("no case found")


def test_it_is_the_same_function_on_the_box(case: tuple[Relaxed, Condensed]) -> None:
    relaxed, small = case
    unit = np.random.default_rng(0).uniform(-1.0, 1.0, size=(50, relaxed.network.n_inputs)).astype(np.float32)
    x = small.inputs(unit)
    assert (x >= relaxed.box.lower[0] - 1e-6).all()
    assert (x <= relaxed.box.upper[0] + 1e-6).all()
    np.testing.assert_allclose(
        evaluate(small.relaxed.network, unit), evaluate(relaxed.network, x), rtol=1e-4, atol=1e-4
    )
    for node in relaxed.network.nonlinear:
        value = node.inputs[0]
        whole = evaluate(relaxed.network.cone(value), x)
        part = evaluate(small.relaxed.network.cone(value), unit)
        np.testing.assert_allclose(part, whole.reshape(len(x), -1)[:, small.index[value]], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(small.gather(value, small.scatter(value, part, np.zeros(1))), part)


def test_an_ascent_in_it_is_as_good(case: tuple[Relaxed, Condensed]) -> None:
    """Also under a fixed sign."""
    relaxed, small = case
    rng = np.random.default_rng(1)
    rows = Rows({relaxed.network.output: rng.normal(size=(1, 2, relaxed.network.n_outputs))}, np.zeros((1, 2)))
    value = relaxed.network.nonlinear[0].inputs[0]
    sign = np.zeros((1, *relaxed.network.shapes[value]))
    sign.reshape(-1)[small.index[value][0]] = 1.0
    whole = optimise(relaxed, rows, Ascent(30), splits={value: Split(sign)})
    single = Rows({name: part.astype(np.float32) for name, part in rows.coefficients.items()}, np.zeros((1, 2), "f4"))
    signs = {value: Split(small.gather(value, sign).astype(np.float32))}
    found = optimise(small.relaxed, single, Ascent(30), splits=signs)
    np.testing.assert_allclose(found.lower, whole.lower, rtol=1e-3, atol=1e-3)


def test_it_is_left_alone_where_nothing_is_saved() -> None:
    rng = np.random.default_rng(0)
    network = relu_network(rng, [4, 12, 12, 3])
    wide = intermediate_bounds(network, random_box(network, rng, radius=100.0))
    assert condense(wide) is None
