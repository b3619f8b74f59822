"""Two networks as one that carries their difference: it computes what it says, and bounds of it hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import conv_net, dense_net

from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.methods import alpha_crown, crown, ibp
from certify.errors import InputError
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.network.passes.pair_networks import pair_networks
from certify.ops.conv import Conv
from certify.ops.dense import Dense


def changed(network: Network, rng: np.random.Generator, first: int = 0) -> Network:
    """The network with weights a little different, from layer `first` on."""
    nodes, seen = [], 0
    for node in network.nodes:
        if isinstance(node.op, Dense | Conv):
            if seen >= first:
                weight = node.op.weight + 0.02 * rng.normal(size=node.op.weight.shape)
                node = replace(node, op=replace(node.op, weight=weight))
            seen += 1
        nodes.append(node)
    return network.with_nodes(nodes)


def pairs() -> dict[str, tuple[Network, Network, bool]]:
    rng = np.random.default_rng(0)
    dense, leaky, smooth = (dense_net(rng, 4, 12, 2, kind) for kind in ("Relu", "LeakyRelu", "Sigmoid"))
    conv = conv_net(rng)
    return {
        "dense": (dense, changed(dense, rng), True),
        "the last layer only": (dense, changed(dense, rng, 2), True),
        "leaky": (leaky, changed(leaky, rng), True),
        "smooth": (smooth, changed(smooth, rng), True),
        "convolution": (conv, changed(conv, rng), True),
        "another structure": (dense, dense_net(rng, 4, 5, 1), False),
        "another activation": (dense, leaky, True),
    }


PAIRS = pairs()


@pytest.mark.parametrize("name", PAIRS)
def test_it_computes_both_networks_and_their_difference(name: str) -> None:
    f, g, layered = PAIRS[name]
    paired = pair_networks(f, g)
    x = np.random.default_rng(1).normal(size=(50, f.n_inputs))
    first, second = evaluate(f, x), evaluate(g, x)
    assert np.allclose(evaluate(paired.network, x), np.hstack([first, second, first - second]), atol=1e-12)
    assert paired.paired == layered or name == "another activation"


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("method", [ibp, crown, alpha_crown])
def test_bounds_of_the_difference_hold(name: str, method: object) -> None:
    f, g, _ = PAIRS[name]
    paired = pair_networks(f, g)
    rng = np.random.default_rng(2)
    middle = rng.normal(size=(3, f.n_inputs))
    box, rows = Interval(middle - 0.2, middle + 0.2), np.eye(3 * f.n_outputs)[None, 2 * f.n_outputs :]
    wanted = Rows({paired.network.output: rows}, np.zeros(rows.shape[:2]))
    _, lower = method.bound(paired.network, box, wanted, lambda: False)  # type: ignore[attr-defined]
    for number, low in enumerate(lower):
        x = rng.uniform(box.lower[number], box.upper[number], size=(2000, f.n_inputs))
        assert (evaluate(f, x) - evaluate(g, x) >= low - 1e-12).all()


def test_of_close_networks_the_differential_bound_is_the_tighter_one() -> None:
    f, g, _ = PAIRS["dense"]
    paired, m = pair_networks(f, g), f.n_outputs
    unit = np.eye(3 * m)
    rows = np.concatenate([unit[2 * m :], unit[:m] - unit[m : 2 * m]])[None]
    wanted = Rows({paired.network.output: rows}, np.zeros(rows.shape[:2]))
    box = Interval(np.full((1, 4), -0.5), np.full((1, 4), 0.5))
    _, lower = crown.bound(paired.network, box, wanted, lambda: False)
    assert (lower[0, :m] > lower[0, m:]).all()


def test_identical_networks_have_no_difference_at_all() -> None:
    f = PAIRS["dense"][0]
    paired = pair_networks(f, replace(f))
    rows = np.concatenate([np.eye(3 * f.n_outputs)[2 * f.n_outputs :]] * 2)[None] * np.array([1, 1, -1, -1])[:, None]
    wanted = Rows({paired.network.output: rows}, np.zeros(rows.shape[:2]))
    _, lower = crown.bound(paired.network, Interval(np.full((1, 4), -5.0), np.full((1, 4), 5.0)), wanted, lambda: False)
    assert (lower == 0.0).all()


def test_networks_of_other_sizes_are_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(InputError, match="4 inputs, the second 3"):
        pair_networks(dense_net(rng, 4, 5, 1), dense_net(rng, 3, 5, 1))
