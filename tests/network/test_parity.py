"""The parity check: silent on what we read right, loud on anything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, run, save

from certify.errors import ParityError
from certify.network.graph import Network
from certify.network.parity import check_parity
from certify.network.read_onnx import load_model

RNG = np.random.default_rng(0)
LOWER, UPPER = -np.ones(16), np.ones(16)


def weight(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


WEIGHTS = {"K": weight(3, 1, 3, 3), "k": weight(3), "W": weight(12, 4), "w": weight(4)}
NODES = [
    node("Reshape", "x image", "i"),
    node("Conv", "i K k", "c", pads=[1, 1, 1, 1]),
    node("Relu", "c", "r"),
    node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
    node("Flatten", "p", "f"),
    node("Gemm", "f W w", "g"),
    node("Sigmoid", "g", "y"),
]
PROTO = model(NODES, {"x": [1, 16]}, ["y"], WEIGHTS | {"image": np.array([1, 1, 4, 4])})


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return load_model(save(tmp_path / "model.onnx", PROTO)).network


def runtime(x: np.ndarray) -> np.ndarray:
    return run(PROTO, x[None])[0]


def test_passes(network: Network) -> None:
    assert 0.0 < check_parity(network, runtime, LOWER, UPPER) < 1e-6


def test_a_box_may_be_a_point(network: Network) -> None:
    assert check_parity(network, runtime, LOWER, LOWER) < 1e-6


def tampered(network: Network, field: str, change: Callable[[np.ndarray], np.ndarray]) -> Network:
    """The network with one parameter changed, in the last op that has it."""
    last = [n for n in network.nodes if getattr(n.op, field, None) is not None][-1]
    op = replace(last.op, **{field: change(getattr(last.op, field))})
    return replace(network, nodes=tuple(replace(n, op=op) if n is last else n for n in network.nodes))


def test_unchanged_copy_passes(network: Network) -> None:
    check_parity(tampered(network, "weight", lambda w: w + 0.0), runtime, LOWER, UPPER)


@pytest.mark.parametrize("field", ["weight", "shift"])
def test_one_tampered_number(network: Network, field: str) -> None:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.reshape(-1)[1] += 0.05
        return array

    with pytest.raises(ParityError, match="on our graph and .* in onnxruntime") as caught:
        check_parity(tampered(network, field, change), runtime, LOWER, UPPER)
    assert caught.value.hint


def test_transposed_kernel(network: Network) -> None:
    first = next(n for n in network.nodes if type(n.op).__name__ == "Conv")
    op = replace(first.op, weight=np.ascontiguousarray(first.op.weight.swapaxes(-1, -2)))
    wrong = replace(network, nodes=tuple(replace(n, op=op) if n is first else n for n in network.nodes))
    with pytest.raises(ParityError):
        check_parity(wrong, runtime, LOWER, UPPER)


def test_outputs_in_another_order(network: Network) -> None:
    with pytest.raises(ParityError):
        check_parity(network, lambda x: runtime(x)[::-1], LOWER, UPPER)


def test_another_number_of_outputs(network: Network) -> None:
    with pytest.raises(ParityError, match="our graph has 4 outputs, onnxruntime 3"):
        check_parity(network, lambda x: runtime(x)[:3], LOWER, UPPER)


def test_nan_in_onnxruntime(network: Network) -> None:
    def run_nan(x: np.ndarray) -> np.ndarray:
        return np.where(np.arange(4) == 2, np.nan, runtime(x))

    with pytest.raises(ParityError, match="output 2 is .* nan in onnxruntime"):
        check_parity(network, run_nan, LOWER, UPPER)


def test_nan_on_our_side(network: Network) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(ParityError, match="nan on our graph"):
        check_parity(tampered(network, "shift", lambda b: b * np.nan), runtime, LOWER, UPPER)


def test_only_an_extreme_corner_differs(network: Network) -> None:
    """The upper corner is among the points compared."""

    def clipped(x: np.ndarray) -> np.ndarray:
        return runtime(x) + 0.01 * (x == UPPER).all()

    with pytest.raises(ParityError):
        check_parity(network, clipped, LOWER, UPPER)
