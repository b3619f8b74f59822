"""Models y = relu(x + 1) + shift of one input, and specifications about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_files import model, node, save

# What comes of "at x = 0 never y < 0": proved with margin 1, refuted, and left open, for there y is 0
# in exact arithmetic, but a rounding error less in what can be proved.
SAFE, UNSAFE, OPEN = 0.0, -2.0, -1.0


def shifted(path: Path, shift: float) -> Path:
    """The model file."""
    weights = {"w": [[1.0]], "b": [1.0], "c": [shift]}
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Add", "r c", "y")]
    arrays = {name: np.array(values, dtype=np.float32) for name, values in weights.items()}
    return save(path, model(nodes, {"x": [1, 1]}, ["y"], arrays))


def asks(path: Path, upper: float = 0.0, below: float = 0.0) -> Path:
    """The specification file: x in [0, upper], never y < below."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(
        "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
        f"(assert (>= X_0 0.0))\n(assert (<= X_0 {upper}))\n(assert (< Y_0 {below}))\n"
    )
    return path
