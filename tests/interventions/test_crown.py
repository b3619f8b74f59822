"""CROWN-IBP: the margins' backward walk is sound, is what the verifier's is, and can be trained with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from methods import apply, written
from onnx_files import model, node
from trained_models import blobs, convolutional, normal, perceptron, saved

import certify
from certify.arrays import NUMPY
from certify.bounds.backward import Rows
from certify.bounds.intermediate import crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.errors import InputError, UnsupportedOp
from certify.interventions.crown import crown_margins
from certify.interventions.trainable import TrainableModel
from certify.network.read_onnx import load_model


def shallow() -> onnx.ModelProto:
    """[1, 6] -> 9 -> 3 classes, with one layer of rectifiers."""
    nodes = [
        node("Gemm", "x w1 b1", "z1", transB=1),
        node("Relu", "z1", "h1"),
        node("Gemm", "h1 w2 b2", "scores", alpha=0.7, beta=1.5),
    ]
    weights = {"w1": normal(9, 6), "b1": normal(9), "w2": normal(9, 3), "b2": normal(3)}
    return model(nodes, {"x": [1, 6]}, ["scores"], weights)


def branching(last: str = "Relu") -> onnx.ModelProto:
    """[1, 1, 4, 4] -> two branches, one of them skipping, that are added, joined and sliced -> 3 classes."""
    nodes = [
        node("Conv", "x k kb", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c scale shift mean var", "n"),
        node("Relu", "n", "r"),
        node("Conv", "r k2", "d", pads=[1, 1, 1, 1]),
        node("Add", "d r", "sum"),
        node("Relu", "sum", "s"),
        node("AveragePool", "s", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", "p shape", "flat"),
        node("Flatten", "x", "pixels"),
        node("Concat", "flat pixels", "both", axis=1),
        node("Transpose", "w", "turned", perm=[1, 0]),
        node("MatMul", "both turned", "m"),
        node(last, "m", "bent", "bend"),
        node("Sub", "b bent", "scores"),
    ]
    weights = {
        "k": normal(2, 1, 3, 3), "kb": normal(2), "scale": np.array([1.5, -0.5], np.float32), "shift": normal(2),
        "mean": normal(2), "var": np.array([0.5, 2.0], np.float32), "k2": normal(2, 2, 3, 3),
        "shape": np.array([1, 8]), "w": normal(3, 24), "b": normal(3),
    }  # fmt: skip
    return model(nodes, {"x": [1, 1, 4, 4]}, ["scores"], weights)


def boxes(trained: TrainableModel, eps: float, count: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(low, high, classes) around random samples."""
    x = trained.put(np.random.default_rng(0).uniform(size=(count, int(np.prod(trained.input_shape)))))
    return x - eps, x + eps, torch.arange(count) % 3


def in_float64(trained: TrainableModel) -> TrainableModel:
    """The same model in double precision: a slope that is chosen jumps, so that steps must be tiny."""
    trained.dtype = torch.float64
    trained.parameters = {name: t.detach().double().requires_grad_() for name, t in trained.parameters.items()}
    trained.constants = {n: t.double() if t.is_floating_point() else t for n, t in trained.constants.items()}
    return trained


PROTOS = [shallow(), perceptron(), perceptron(softmax=True), branching()]


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("eps", [0.0, 0.05, 0.4])
def test_the_walk_is_below_sampled_margins_and_exact_at_a_point(proto: onnx.ModelProto, eps: float) -> None:
    trained = TrainableModel(proto)
    low, high, y = boxes(trained, eps)
    found = crown_margins(trained, low, high, y)
    assert (found.gather(1, y[:, None]) == 0.0).all()
    for seed in range(40):
        share = torch.rand(low.shape, generator=torch.Generator().manual_seed(seed))
        scores = trained.logits(low + (high - low) * (share.round() if seed % 2 else share))
        sampled = scores.gather(1, y[:, None]) - scores
        assert (found <= sampled + 1e-5).all()
        if eps == 0.0:
            torch.testing.assert_close(found, sampled, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("proto", [shallow(), perceptron(), branching()])
@pytest.mark.parametrize("eps", [0.05, 0.4])
def test_the_walk_is_the_verifiers_from_the_same_intervals(proto: onnx.ModelProto, eps: float, tmp_path: Path) -> None:
    trained = TrainableModel(proto)
    low, high, y = boxes(trained, eps)
    network = load_model(saved(tmp_path, proto)).network.on(NUMPY)
    box = Interval(*(side.double().numpy().reshape(len(y), -1) for side in (low, high)))
    rows = np.eye(3)[y][:, None] - np.eye(3)
    relaxed = intermediate_bounds(network, box, bound_rows=None)
    expected = crown_rows(relaxed, Rows({network.output: rows}, np.zeros((len(y), 3))))[0]
    found = crown_margins(trained, low, high, y).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_with_one_hidden_layer_the_walk_is_the_crown_of_the_verifier(tmp_path: Path) -> None:
    trained = TrainableModel(shallow())
    low, high, _ = boxes(trained, 0.3, 1)
    names = [*(f"X_{i}" for i in range(6)), "Y_0", "Y_1", "Y_2"]
    declared = "\n".join(f"(declare-const {name} Real)" for name in names)
    sides = zip(low[0].flatten().tolist(), high[0].flatten().tolist(), strict=True)
    limits = "\n".join(f"(assert (>= X_{i} {a:.17f}))\n(assert (<= X_{i} {b:.17f}))" for i, (a, b) in enumerate(sides))
    spec = tmp_path / "spec.vnnlib"
    spec.write_text(f"{declared}\n{limits}\n(assert (or (and (<= Y_0 Y_1)) (and (<= Y_0 Y_2))))\n")
    (region,) = certify.bound(saved(tmp_path, shallow()), spec, method="crown")
    assert region.unstable and all(region.unstable.values())
    found = crown_margins(trained, low, high, torch.tensor([0]))[0, 1:].detach().numpy()
    np.testing.assert_allclose(found, region.margins, atol=1e-5)


@pytest.mark.parametrize("proto", [shallow(), branching()])
def test_gradients_reach_every_parameter_and_are_right(proto: onnx.ModelProto) -> None:
    trained = in_float64(TrainableModel(proto))
    low, high, y = boxes(trained, 0.2)
    weights = torch.arange(27.0).reshape(9, 3)
    (weights * crown_margins(trained, low, high, y)).sum().backward()
    for parameter in trained.parameters.values():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0.0
        sums = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                parameter += sign * 1e-7
                sums.append(float((weights * crown_margins(trained, low, high, y)).sum()))
                parameter -= sign * 1e-7
        assert (sums[0] - sums[1]) / 2e-7 == pytest.approx(float(parameter.grad.sum()), rel=1e-4, abs=1e-3)


def test_other_nonlinear_nodes_are_refused_by_name() -> None:
    for proto, name in ((branching("Tanh"), "bend"), (convolutional(), "MaxPool")):
        trained = TrainableModel(proto)
        with pytest.raises(UnsupportedOp, match=name):
            crown_margins(trained, *boxes(trained, 0.1))


@pytest.mark.parametrize("proto", [perceptron(), branching()])
def test_training_with_the_walk_raises_the_margins(proto: onnx.ModelProto, tmp_path: Path) -> None:
    trained = TrainableModel(proto)
    data = blobs(int(np.prod(trained.input_shape)))
    x, y = trained.samples(data)

    def loss() -> float:
        with torch.no_grad():
            margins = crown_margins(trained, x - 0.05, x + 0.05, y)
        return float(torch.nn.functional.cross_entropy(-margins, y))

    before = loss()
    trained, _ = apply("certified", trained, 12, data, bounds="crown-ibp", clean=0.0)
    assert loss() < 0.9 * before
    written(trained, tmp_path)


def test_the_walk_is_used_during_the_ramp_only_and_needs_one() -> None:
    def weights(**settings: object) -> torch.Tensor:
        return apply("certified", TrainableModel(perceptron()), 2, **settings)[0].parameters["w1"].detach()

    assert not torch.equal(weights(bounds="ibp"), weights(bounds="crown-ibp"))
    assert torch.equal(weights(), weights(bounds="ibp"))
    with pytest.raises(InputError, match="there is none"):
        weights(bounds="crown-ibp", ramp=0.0)
