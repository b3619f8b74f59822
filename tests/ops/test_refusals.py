"""Nodes that cannot be bounded, or make no sense, are refused by name; nothing is guessed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from certify.errors import UnsupportedOp
from certify.network.graph import GraphBuilder
from certify.ops.registry import NodeSpec, Value, all_entries, find

X = Value("x", (2, 3))
IMAGE = Value("image", (1, 2, 4, 4))


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


REFUSED: list[tuple[str, tuple[Any, ...], dict[str, Any], int, str]] = [
    ("MatMul", (X, Value("y", (2, 3))), {}, 1, "do not fit"),
    ("MatMul", (Value("x", (2000, 300)), Value("y", (300, 2000))), {}, 1, "too many pairs"),
    ("MatMul", (X, np.ones((5, 4, 3))), {}, 1, "do not fit"),
    ("Div", (X, np.float32([1.0, 0.0, 2.0])), {}, 1, "constant zero"),
    ("Conv", (IMAGE, np.ones((3, 3, 2, 2))), {}, 1, "2 input channels do not fit"),
    ("Conv", (IMAGE, Value("w", (3, 2, 2, 2))), {}, 1, "input 1 must be constant"),
    ("MaxPool", (IMAGE,), {"kernel_shape": [2, 2]}, 2, "indices"),
    ("MaxPool", (IMAGE,), {"kernel_shape": [1, 1], "pads": [1, 1, 1, 1]}, 1, "wholly in the padding"),
    ("BatchNormalization", (IMAGE, *4 * (np.ones(2),)), {"training_mode": 1}, 1, "training mode"),
    ("Dropout", (X,), {}, 2, "mask"),
    ("Dropout", (X, np.float32(0.5), np.array(True)), {}, 1, "training mode"),
    ("Cast", (X,), {"to": 2}, 1, "neither wide float"),
    ("Cast", (X,), {"to": 10}, 1, "16 bits"),
    ("Where", (np.array([False]), X, np.float32([np.inf])), {}, 1, "infinite or NaN"),
    ("Resize", (X, None, np.float32([1.1, 1.0])), {}, 1, "changes no length"),
    ("Resize", (X, None, np.float32([2.0, 1.0])), {"mode": "cubic"}, 1, "mode 'cubic'"),
    ("Resize", (X, None, np.float32([2.0, 1.0])), {"antialias": 1}, 1, "antialias"),
    ("ConvTranspose", (IMAGE, np.ones((3, 3, 2, 2))), {}, 1, "2 input channels do not fit"),
    ("ConvTranspose", (IMAGE, np.ones((2, 3, 2, 2))), {"output_padding": [1, 1]}, 1, "not smaller than the strides"),
    ("ScatterND", (X, np.array([[0], [0]]), X), {}, 1, "more than once"),
    ("ScatterND", (X, np.array([[0], [1]]), X), {"reduction": "mul"}, 1, "reduction 'mul'"),
    ("GatherElements", (X, np.array([[3]])), {"axis": 1}, 1, "out of range"),
    ("Einsum", (X,), {"equation": "ii->i"}, 1, "diagonal"),
    ("Einsum", (X,), {"equation": "...j->j"}, 1, "ellipsis"),
    ("LpNormalization", (X,), {"p": 1}, 1, "only p = 2"),
    ("LayerNormalization", (X, np.ones(2)), {}, 1, "shape (2,)"),
    ("QuantizeLinear", (X, np.float32(0.0)), {}, 1, "not positive"),
    (
        "LSTM",
        (Value("s", (2, 1, 3)), np.ones((1, 8, 3)), np.ones((1, 8, 2))),
        {"hidden_size": 2, "activations": ["Softsign", "Tanh", "Tanh"]},
        1,
        "activations",
    ),
    ("ArgMax", (Value("long", (300,)),), {}, 1, "too many"),
    ("Hardmax", (Value("long", (300,)),), {}, 1, "too many"),
    ("Mod", (Value("n", (2,), "int"), np.array(0)), {}, 1, "constant zero"),
    ("Mod", (Value("n", (2,), "int"), np.array(3)), {"fmod": 1}, 1, "fmod = 1"),
    ("Mod", (Value("n", (2,), "int"), np.array(2**40)), {}, 1, "a divisor above"),
    ("OneHot", (X, np.array(3), np.array([0.0, 1.0])), {}, 1, "no whole number"),
    ("Gather", (X, Value("i", (2,))), {}, 1, "no whole number"),
    ("Shrink", (X,), {"lambd": -1.0}, 1, "not be negative"),
    ("ReduceL2", (X, np.zeros(0, dtype=np.int64)), {"noop_with_empty_axes": 1}, 1, "no axes"),
    ("Where", (X, X, np.float32([np.inf])), {}, 1, "infinite"),
    ("Greater", (X, np.float32([-np.inf])), {}, 1, "infinite constant"),
    ("Clip", (X, np.zeros(3), None), {}, 1, "scalars"),
    ("Pad", (X, ints(0, 1, 0, 1)), {"mode": "mirror"}, 1, "unknown mode 'mirror'"),
    ("Gather", (X, ints(2)), {}, 1, "out of range"),
    ("Gather", (X, ints(0)), {"axis": 2}, 1, "axis 2 is out of range"),
    ("Concat", (X, X), {"axis": -3}, 1, "axis -3 is out of range"),
    ("Reshape", (X, ints(4, 2)), {}, 1, "cannot reshape (2, 3) to (4, 2)"),
    ("Reshape", (X, ints(4, -1)), {}, 1, "cannot reshape"),
    ("Reshape", (X, ints(-1, -1)), {}, 1, "cannot reshape"),
    ("ReduceSum", (X, ints(2)), {}, 1, "axis 2 is out of range"),
    ("Celu", (X,), {"alpha": -1.0}, 1, "alpha must be positive"),
    ("Pow", (X, Value("y", (2, 3))), {}, 1, "input 1 must be constant"),
    ("Pow", (np.float32(2.0), X), {}, 1, "input 0 must not be constant"),
    ("PRelu", (X, Value("y", (3,))), {}, 1, "input 1 must be constant"),
    ("Relu", (np.ones(3),), {}, 1, "input 0 must not be constant"),
]


@pytest.mark.parametrize(("op_type", "inputs", "attributes", "n_outputs", "message"), REFUSED,
                         ids=[f"{case[0]}: {case[-1]}" for case in REFUSED])  # fmt: skip
def test_refused(op_type: str, inputs: tuple, attributes: dict[str, Any], n_outputs: int, message: str) -> None:
    entry = find(op_type, "", 17)
    assert entry is not None
    with pytest.raises(UnsupportedOp) as caught:
        entry.translate(NodeSpec(op_type, "the_node", 17, inputs, attributes, n_outputs), GraphBuilder())
    assert str(caught.value).startswith(f"operator {op_type} at node 'the_node': ")
    assert message in str(caught.value)
    assert (caught.value.op, caught.value.node) == (op_type, "the_node")


def test_unknown_operators_and_domains_are_not_found() -> None:
    assert find("NoSuchOperator", "", 17) is None
    assert find("Relu", "com.microsoft", 17) is None
    assert find("Relu", "ai.onnx", 17) is find("Relu", "", 7)


def test_the_file_that_registers_an_operator_names_it() -> None:
    """Files are imported for the names in their text."""
    for entry in all_entries():
        text = Path(sys.modules[entry.translate.__module__].__file__ or "").read_text(encoding="utf-8")
        assert f'"{entry.op_type}"' in text, entry.op_type
