"""A union of input boxes is not its hull: |x| >= 1 on both boxes, while 0 lies between them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_files import model, node

ABSOLUTE = model(
    [node("MatMul", "x a", "z"), node("Relu", "z", "h"), node("MatMul", "h b", "y")],
    {"x": [1, 1]},
    ["y"],
    {"a": np.array([[1.0, -1.0]], np.float32), "b": np.ones((2, 1), np.float32)},
)
DECLARED = "(declare-const X_0 Real)(declare-const Y_0 Real)"
BOXES = "(assert (or (and (>= X_0 -2) (<= X_0 -1)) (and (>= X_0 1) (<= X_0 2))))"


@pytest.mark.parametrize(("bound", "word"), [("0.5", "unsat"), ("1", "sat"), ("1.5", "sat")])
def test_union(decide, bound: str, word: str) -> None:
    assert decide(ABSOLUTE, f"{DECLARED}{BOXES}(assert (<= Y_0 {bound}))") == word


def test_every_box_counts_not_only_the_last(decide) -> None:
    boxes = "(assert (or (and (>= X_0 -5) (<= X_0 -4)) (and (>= X_0 1) (<= X_0 2))))"
    assert decide(ABSOLUTE, f"{DECLARED}{boxes}(assert (>= Y_0 3))") == "sat"


def test_two_disjunctions_multiply(decide) -> None:
    outputs = "(assert (or (and (<= Y_0 0.5)) (and (>= Y_0 1.75))))"
    assert decide(ABSOLUTE, f"{DECLARED}{BOXES}{outputs}") == "sat"
    assert decide(ABSOLUTE, f"{DECLARED}{BOXES}{outputs}(assert (<= Y_0 1.5))") == "unsat"
