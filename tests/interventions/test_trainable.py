"""The user's graph in torch: what is trained, what stays, what is refused, and that files agree with onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from bundled import CNN, MODEL
from onnx import numpy_helper
from onnx_files import model, node
from trained_models import blobs, convolutional, normal, perceptron, saved

from certify.errors import InputError, ModelError, ParityError, UnsupportedOp
from certify.interventions.initialise import initialise
from certify.interventions.initialise import perceptron as new_perceptron
from certify.interventions.operators import OPERATORS
from certify.interventions.trainable import TrainableModel, check_parity, read_trainable


@pytest.mark.parametrize("proto", [perceptron(), perceptron(softmax=True), convolutional()])
def test_written_unchanged_the_file_is_the_same(tmp_path, proto) -> None:
    path = saved(tmp_path, proto)
    read, _ = read_trainable(path)
    assert read.to_proto() == proto


@pytest.mark.parametrize("path", [MODEL, CNN])
def test_bundled_models_are_written_as_read(path) -> None:
    read, _ = read_trainable(path)
    assert read.to_proto().SerializeToString() == Path(path).read_bytes()


def test_only_weights_change(tmp_path) -> None:
    proto = convolutional()
    read, _ = read_trainable(saved(tmp_path, proto))
    with torch.no_grad():
        for parameter in read.parameters.values():
            parameter += 0.25
    read.write(tmp_path / "out.onnx")
    check_parity(read, tmp_path / "out.onnx")
    written = onnx.load(tmp_path / "out.onnx")
    assert set(read.parameters) == {"k", "kb", "scale", "shift", "w", "b"}
    for old, new in zip(proto.graph.initializer, written.graph.initializer, strict=True):
        moved = 0.25 if old.name in read.parameters else 0
        np.testing.assert_allclose(numpy_helper.to_array(new), numpy_helper.to_array(old) + moved, rtol=1e-6)
    del proto.graph.initializer[:], written.graph.initializer[:]
    assert written == proto


def test_what_inputs_are_normalised_by_is_no_weight() -> None:
    assert set(TrainableModel(perceptron()).parameters) == {"w1", "b1", "w2", "b2", "w3", "b3"}


def test_weights_behind_a_transpose_and_in_constant_nodes_are_trained(tmp_path) -> None:
    values = onnx.helper.make_attribute("value_floats", [0.5, 0.25, -1.0])
    constant = onnx.helper.make_node("Constant", [], ["b"])
    constant.attribute.append(values)
    nodes = [node("Transpose", "w", "wt", perm=[1, 0]), constant, node("MatMul", "x wt", "m"), node("Add", "m b", "y")]
    read, _ = read_trainable(saved(tmp_path, model(nodes, {"x": [1, 4]}, ["y"], {"w": normal(3, 4)})))
    assert set(read.parameters) == {"w", "b"}
    with torch.no_grad():
        read.parameters["b"] += 1.0
        read.parameters["w"] *= 2.0
    read.write(tmp_path / "out.onnx")
    check_parity(read, tmp_path / "out.onnx")


def test_a_softmax_at_the_end_is_left_out_of_the_loss() -> None:
    read = TrainableModel(perceptron(softmax=True))
    assert (read.output, read.scores) == ("y", "scores")


def test_hidden_tensors_can_be_taken_out_put_in_and_scaled() -> None:
    read = TrainableModel(perceptron())
    assert read.last_hidden == "h2"
    x = read.put(np.random.default_rng(0).uniform(size=(5, 6)))
    found = read.run(x, ("h1", "h2", "scores"))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "h1": (5, 1, 8), "h2": (5, 1, 5), "scores": (5, 1, 3),
    }  # fmt: skip
    torch.testing.assert_close(read.logits(x, given={"h2": found["h2"]}), found["scores"][:, 0])
    zero = read.logits(x, times={"h2": torch.zeros_like(found["h2"])})
    torch.testing.assert_close(zero, read.parameters["b3"].expand(5, 3))
    other = read.logits(x, parameters={"b3": read.parameters["b3"] + 1.0})
    torch.testing.assert_close(other, found["scores"][:, 0] + 1.0)
    with pytest.raises(InputError, match="no node computes a tensor 'nope'.*h1"):
        read.hidden("nope")


def test_an_operator_that_cannot_be_trained_is_named() -> None:
    nodes = [node("Sin", "x", "s", "wave"), node("MatMul", "s w", "y")]
    with pytest.raises(UnsupportedOp, match="Sin at node 'wave'"):
        TrainableModel(model(nodes, {"x": [1, 4]}, ["y"], {"w": normal(4, 3)}))


def test_a_use_that_cannot_be_trained_is_named() -> None:
    nodes = [node("Conv", "x k", "c", "conv", auto_pad="SAME_UPPER"), node("Flatten", "c", "y")]
    with pytest.raises(UnsupportedOp, match="Conv at node 'conv'.*auto_pad"):
        TrainableModel(model(nodes, {"x": [1, 1, 4, 4]}, ["y"], {"k": normal(2, 1, 3, 3)}))


@pytest.mark.parametrize(
    ("nodes", "inputs", "outputs", "message"),
    [
        ([node("Relu", "x", "y")], {"x": [1, 3]}, ["y"], "no weights to train"),
        ([node("MatMul", "x w", "m"), node("Add", "m u", "y")], {"x": [1, 4], "u": [1, 3]}, ["y"], "has 2 inputs"),
        ([node("MatMul", "x w", "m"), node("Relu", "m", "y")], {"x": [1, 4]}, ["m", "y"], "has 2 outputs"),
        ([node("MatMul", "x v", "y")], {"x": [1, 4]}, ["y"], "a single score"),
    ],
)
def test_what_is_no_classifier_is_refused(nodes, inputs, outputs, message) -> None:
    with pytest.raises(InputError, match=message):
        TrainableModel(model(nodes, inputs, outputs, {"w": normal(4, 3), "v": normal(4, 1)}))


def test_a_weight_that_is_not_finite_is_refused() -> None:
    weights = {"w": np.full((4, 3), np.nan, np.float32)}
    with pytest.raises(ModelError, match="'w' holds NaN"):
        TrainableModel(model([node("MatMul", "x w", "y")], {"x": [1, 4]}, ["y"], weights))


def test_an_operator_that_is_read_wrongly_is_noticed(tmp_path, monkeypatch) -> None:
    path = saved(tmp_path, perceptron())
    monkeypatch.setitem(OPERATORS, "Relu", lambda a, x: torch.relu(x) + 0.001)
    with pytest.raises(ParityError, match="differ by"):
        read_trainable(path)


def test_labels_and_sizes_must_fit() -> None:
    read = TrainableModel(perceptron())
    with pytest.raises(InputError, match="label 3"):
        read.samples(blobs(classes=4))
    with pytest.raises(InputError, match="shape"):
        read.samples(blobs(size=5))


def test_a_copy_has_weights_of_its_own() -> None:
    read = TrainableModel(perceptron())
    other = read.copy()
    initialise(other, torch.Generator().manual_seed(0))
    assert all((read.parameters[n] != other.parameters[n]).any() for n in read.parameters if n != "b2")
    assert float(other.parameters["w1"].detach().abs().max()) <= 6**-0.5


def test_a_new_perceptron_has_the_layers_asked_for(tmp_path) -> None:
    made = new_perceptron((1, 8, 8), 10)
    initialise(made, torch.Generator().manual_seed(0))
    made.write(tmp_path / "new.onnx")
    check_parity(made, tmp_path / "new.onnx")
    assert [tuple(p.shape) for p in made.parameters.values()][::2] == [(48, 64), (32, 48), (10, 32)]
    onnx.checker.check_model(onnx.load(tmp_path / "new.onnx"))
