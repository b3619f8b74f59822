"""Folding fixed inputs keeps what is computed, for dense and convolutional networks, and says where it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from networks import apply, dense_net, finish, layer, residual_net, start

from certify.network.evaluate import evaluate, values
from certify.network.graph import Network
from certify.network.passes.fold_fixed_inputs import first_computed, fold_fixed_inputs
from certify.ops.conv import Conv
from certify.ops.layout import reshape


def folded_values(network: Network, x: np.ndarray, free: np.ndarray) -> np.ndarray:
    """What the folded network says of the samples x, their free inputs given by themselves."""
    folded, name = fold_fixed_inputs(network, free), first_computed(network)
    assert folded is not None and name is not None
    emptied = x.copy()
    emptied[:, free] = 0.0
    constants = values(network, emptied)[name].reshape(len(x), -1)
    return evaluate(folded, np.concatenate([x[:, free], constants], axis=1))


def strided_net(rng: np.random.Generator) -> Network:
    """[1, 1, 8, 8] -> convolution, kernel and stride 4 -> rectifier -> matrix."""
    build, x = start(64)
    kernel = rng.normal(size=(2, 1, 4, 4))
    image = reshape(build, x, (1, 1, 8, 8))
    found = build.emit(
        Conv((image.shape,), (1, 2, 2, 2), kernel, rng.normal(size=2), (4, 4), (0, 0), (0, 0), (1, 1)), image
    )
    found = reshape(build, apply(build, "Relu", found), (8,))
    return finish(build, layer(build, rng, found, 3), 64)


@pytest.mark.parametrize("make", [lambda rng: dense_net(rng, 12, 5, 2), strided_net])
def test_the_folded_network_computes_the_same(make: object) -> None:
    rng = np.random.default_rng(0)
    network = make(rng)  # type: ignore[operator]
    x = rng.normal(size=(20, network.n_inputs))
    free = np.array([7, 1, 4])
    assert np.allclose(folded_values(network, x, free), evaluate(network, x), atol=1e-12)


def test_the_number_of_inputs_does_not_grow_with_the_image() -> None:
    rng = np.random.default_rng(0)
    sizes = {n: fold_fixed_inputs(dense_net(rng, n, 5, 2), np.arange(3)) for n in (10, 200)}
    assert {network.n_inputs for network in sizes.values() if network is not None} == {3 + 5}


def test_a_value_that_branches_off_before_is_not_folded() -> None:
    rng = np.random.default_rng(0)
    assert fold_fixed_inputs(residual_net(rng, 4, 4), np.arange(2)) is None
    build, x = start(4)
    network = finish(build, layer(build, rng, apply(build, "Relu", x), 2), 4)
    assert first_computed(network) is None
