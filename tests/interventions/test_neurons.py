"""Which numbers make a neuron, in the forms that exporters write layers in; and what is refused, by node."""

from __future__ import annotations

import numpy as np
import pytest
from methods import value
from onnx_files import model, node
from trained_models import blobs, convolutional, normal, perceptron

from certify.errors import InputError, UnsupportedOp
from certify.interventions.masks import Masks
from certify.interventions.neurons import hidden_layers, layers_of
from certify.interventions.trainable import TrainableModel


def transposed():
    """A left-hand MatMul is not among these: weights behind a Transpose, a bias subtracted, sizes that are equal."""
    nodes = [
        node("Transpose", "w1", "t1", perm=[1, 0]),
        node("MatMul", "x t1", "m1", "first"),
        node("Sub", "m1 b1", "z1", "minus"),
        node("Tanh", "z1", "h1"),
        node("Gemm", "h1 w2", "scores", "last"),
    ]
    weights = {"w1": normal(6, 6), "b1": normal(6), "w2": normal(6, 3)}
    return model(nodes, {"x": [1, 6]}, ["scores"], weights)


@pytest.mark.parametrize("proto", [perceptron(), convolutional(), transposed()])
def test_a_neuron_that_is_dropped_is_zero_and_no_other_changes(proto) -> None:
    trainable = TrainableModel(proto)
    x = np.random.default_rng(0).normal(size=(20, int(np.prod(trainable.input_shape))))
    for layer in hidden_layers(trainable):
        for number in range(layer.size(trainable)):
            changed = TrainableModel(proto)
            before = np.moveaxis(value(changed, layer.output, x), layer.output_axis, 0)
            masks = Masks(changed)
            masks.drop_neuron(layer, number)
            masks.apply(changed)
            after = np.moveaxis(value(changed, layer.output, x), layer.output_axis, 0)
            assert not after[number].any()
            others = np.arange(len(after)) != number
            np.testing.assert_allclose(after[others], before[others], rtol=1e-5, atol=1e-6)


def test_layers_are_read_with_bias_normalisation_and_activation() -> None:
    first, second, last = layers_of(TrainableModel(perceptron()))
    assert (first.node, first.parts, first.output) == ("first", (("w1", 0), ("b1", 0)), "h1")
    assert (second.node, second.parts, second.output) == ("second", (("w2", 1), ("b2", 0)), "h2")
    assert last.output == "scores"
    conv = layers_of(TrainableModel(convolutional()))[0]
    assert conv.normalised and conv.output == "r"
    assert [name for name, _ in conv.parts] == ["k", "kb", "scale", "shift"]


def test_a_layer_before_a_sigmoid_has_no_neurons_to_take_out() -> None:
    nodes = [node("Gemm", "x w1", "z"), node("Sigmoid", "z", "h", "squash"), node("Gemm", "h w2", "y")]
    proto = model(nodes, {"x": [1, 6]}, ["y"], {"w1": normal(6, 4), "w2": normal(4, 3)})
    with pytest.raises(UnsupportedOp, match="Sigmoid at node 'squash'"):
        hidden_layers(TrainableModel(proto))


def test_a_bias_that_neurons_share_is_refused_by_node() -> None:
    nodes = [node("Gemm", "x w1", "z"), node("Add", "z b", "s", "shift"), node("Gemm", "s w2", "y")]
    weights = {"w1": normal(6, 4), "b": normal(1), "w2": normal(4, 3)}
    with pytest.raises(UnsupportedOp, match="Add at node 'shift'"):
        layers_of(TrainableModel(model(nodes, {"x": [1, 6]}, ["y"], weights)))


def test_weights_of_two_nodes_are_refused() -> None:
    nodes = [node("Gemm", "x w", "z", "one"), node("Relu", "z", "h"), node("Gemm", "h w", "y", "two")]
    with pytest.raises(UnsupportedOp, match="shares its weights"):
        layers_of(TrainableModel(model(nodes, {"x": [1, 6]}, ["y"], {"w": normal(6, 6)})))


def test_a_single_layer_has_no_hidden_neurons() -> None:
    proto = model([node("Gemm", "x w", "y")], {"x": [1, 6]}, ["y"], {"w": normal(6, 3)})
    with pytest.raises(InputError, match="single layer"):
        hidden_layers(TrainableModel(proto))
    assert len(blobs()) == 60
