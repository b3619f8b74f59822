"""Networks that were verified as something else: a skip branch, an input shift, a repeated index, a self-product."""

from __future__ import annotations

import numpy as np
from onnx_files import model, node

HEAD = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
UNIT = "(assert (>= X_0 0))(assert (<= X_0 1))(assert (>= X_1 0))(assert (<= X_1 1))"


def test_skip_branch(decide) -> None:
    """y = relu(x_0 - x_1) + (x_0 + x_1), the sum taken from a slice and a concat around the rectifier."""
    proto = model(
        [
            node("MatMul", "x w", "z"),
            node("Relu", "z", "h"),
            node("Slice", "x zero one axis", "a"),
            node("Slice", "x one two axis", "b"),
            node("Concat", "h a b", "c", axis=1),
            node("ReduceSum", "c axis", "y"),
        ],
        {"x": [1, 2]},
        ["y"],
        {
            "w": np.array([[1.0], [-1.0]], np.float32),
            **{name: np.array([value]) for name, value in (("zero", 0), ("one", 1), ("two", 2), ("axis", 1))},
        },
    )
    assert decide(proto, HEAD + UNIT + "(assert (>= Y_0 2.01))") == "unsat"
    assert decide(proto, HEAD + UNIT + "(assert (>= Y_0 1.99))") == "sat"


def test_input_shift_and_scale(decide) -> None:
    """y = relu((x_0 - 10) * 2) + 0 x_1."""
    proto = model(
        [node("Sub", "x m", "s"), node("Mul", "s f", "n"), node("MatMul", "n w", "z"), node("Relu", "z", "y")],
        {"x": [1, 2]},
        ["y"],
        {"m": np.array([10, 0], np.float32), "f": np.array([2], np.float32), "w": np.array([[1], [0]], np.float32)},
    )
    box = "(assert (>= X_0 9))(assert (<= X_0 11))(assert (>= X_1 0))(assert (<= X_1 1))"
    assert decide(proto, HEAD + box + "(assert (>= Y_0 2.01))") == "unsat"
    assert decide(proto, HEAD + box + "(assert (>= Y_0 1.99))") == "sat"


def test_repeated_index(decide) -> None:
    """y = 3 x_0 through a gather that takes x_0 three times: its adjoint must add, not overwrite."""
    proto = model(
        [node("Gather", "x i", "g", axis=1), node("Relu", "g", "h"), node("ReduceSum", "h axis", "y")],
        {"x": [1, 2]},
        ["y"],
        {"i": np.array([0, 0, 0]), "axis": np.array([1])},
    )
    assert decide(proto, HEAD + UNIT + "(assert (>= Y_0 2.5))") == "sat"
    assert decide(proto, HEAD + UNIT + "(assert (>= Y_0 3.01))") == "unsat"


def test_self_product(decide) -> None:
    """y = x_0^2 as a product of a tensor with itself: the coefficient counts twice."""
    proto = model(
        [node("MatMul", "x w", "a"), node("Mul", "a a", "y")],
        {"x": [1, 2]},
        ["y"],
        {"w": np.array([[1.0], [0.0]], np.float32)},
    )
    assert decide(proto, HEAD + UNIT + "(assert (>= Y_0 0.99))") == "sat"
    assert decide(proto, HEAD + UNIT + "(assert (>= Y_0 1.01))") == "unsat"
