"""Small random classifiers as ONNX files, one dense layer after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_files import model, node, save


def dense_file(
    path: Path, layers: list[tuple[np.ndarray, np.ndarray]], *, names: str = "h", inner: str = "Relu"
) -> Path:
    """x -> Gemm -> Relu (h0) -> Gemm -> Relu (h1) -> ... -> Gemm (scores); layers: (weight [out, in], bias [out])."""
    nodes, weights, last = [], {}, "x"
    for number, (weight, bias) in enumerate(layers):
        weights |= {f"W{number}": weight.astype(np.float32), f"b{number}": bias.astype(np.float32)}
        end = number == len(layers) - 1
        out = "scores" if end else f"pre{number}"
        nodes.append(node("Gemm", f"{last} W{number} b{number}", out, transB=1))
        if not end:
            nodes.append(node(inner, out, f"{names}{number}"))
            last = f"{names}{number}"
    return save(path, model(nodes, {"x": [1, layers[0][0].shape[1]]}, ["scores"], weights))


def random_layers(seed: int, sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [
        ((rng.normal(size=(m, n)) * np.sqrt(2.0 / n)).astype(np.float32), (0.3 * rng.normal(size=m)).astype(np.float32))
        for n, m in zip(sizes, sizes[1:], strict=False)
    ]


def run_layers(layers: list[tuple[np.ndarray, np.ndarray]], x: np.ndarray) -> np.ndarray:
    """What the model computes, in float64, [points, classes]."""
    for number, (weight, bias) in enumerate(layers):
        x = x @ weight.astype(np.float64).T + bias.astype(np.float64)
        x = x if number == len(layers) - 1 else np.maximum(x, 0.0)
    return x
