"""A disjunction and one more assertion behind it: both must hold."""

from __future__ import annotations

import numpy as np
from onnx_files import model, node

TWICE = model([node("MatMul", "x w", "y")], {"x": [1, 2]}, ["y"], {"w": np.array([[1, 1], [1, -1]], np.float32)})
HEAD = """(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)
(assert (>= X_0 0))(assert (<= X_0 1))(assert (>= X_1 0))(assert (<= X_1 1))
(assert (or (and (>= Y_0 1.9)) (and (<= Y_0 0.1))))
"""


def test_without_it(decide) -> None:
    assert decide(TWICE, HEAD) == "sat"


def test_with_it(decide) -> None:
    assert decide(TWICE, HEAD + "(assert (>= Y_1 0.5))") == "unsat"
    assert decide(TWICE, HEAD + "(assert (>= Y_1 0.05))") == "sat"
