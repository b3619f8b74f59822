"""Small classifiers and data for the tests, made in code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx_files import model, node, save

from certify.dataset import Dataset, make_dataset


def normal(*shape: int) -> np.ndarray:
    """Random weights."""
    return (np.random.default_rng(sum(shape)).normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)


def perceptron(softmax: bool = False) -> onnx.ModelProto:
    """[1, 6] -> 8 -> 5 -> 3 classes; the second layer as MatMul and Add, the mean of the input subtracted first."""
    nodes = [
        node("Sub", "x mean", "centred", "centre"),
        node("Gemm", "centred w1 b1", "z1", "first", transB=1),
        node("Relu", "z1", "h1"),
        node("MatMul", "h1 w2", "m2", "second"),
        node("Add", "m2 b2", "z2", "bias"),
        node("Relu", "z2", "h2"),
        node("Gemm", "h2 w3 b3", "scores", "last", transB=1),
    ]
    nodes += [node("Softmax", "scores", "y", axis=-1)] if softmax else []
    weights = {
        "mean": np.full(6, 0.5, np.float32), "w1": normal(8, 6), "b1": normal(8), "w2": normal(8, 5), "b2": normal(5),
        "w3": normal(3, 5), "b3": normal(3),
    }  # fmt: skip
    return model(nodes, {"x": [1, 6]}, ["y" if softmax else "scores"], weights)


def convolutional() -> onnx.ModelProto:
    """[1, 1, 4, 4] -> convolution, normalisation, pooling, a Reshape that fixes the batch to 1 -> 3 classes."""
    nodes = [
        node("Conv", "x k kb", "c", "conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c scale shift mean var", "n", "norm"),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", "p shape", "flat"),
        node("Gemm", "flat w b", "scores", "last"),
    ]
    weights = {
        "k": normal(2, 1, 3, 3), "kb": normal(2), "scale": np.array([1.5, -0.5], np.float32), "shift": normal(2),
        "mean": normal(2), "var": np.array([0.5, 2.0], np.float32), "shape": np.array([1, 8]), "w": normal(8, 3),
        "b": normal(3),
    }  # fmt: skip
    return model(nodes, {"x": [1, 1, 4, 4]}, ["scores"], weights)


def blobs(size: int = 6, count: int = 60, classes: int = 3) -> Dataset:
    """Samples in [0, 1]: each class has a centre of its own."""
    rng = np.random.default_rng(5)
    y = np.arange(count) % classes
    centres = rng.uniform(0.2, 0.8, size=(classes, size))
    return make_dataset(np.clip(centres[y] + 0.1 * rng.normal(size=(count, size)), 0, 1), y, "blobs")


def saved(folder: Path, proto: onnx.ModelProto, name: str = "model.onnx") -> Path:
    """The model as a file."""
    return save(folder / name, proto)
