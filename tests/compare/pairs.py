"""Pairs of small models as ONNX files, and the checks that a certified difference must stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_files import model, node, save

from certify.network.evaluate import evaluate
from certify.network.graph import Network

Layers = list[tuple[np.ndarray, np.ndarray]]


def layers(rng: np.random.Generator, *sizes: int) -> Layers:
    """Random matrices and biases, as float32."""
    pairs = zip(sizes, sizes[1:], strict=False)
    return [
        ((rng.normal(size=(m, n)) * np.sqrt(2.0 / n)).astype(np.float32), rng.normal(size=m).astype(np.float32) / 2)
        for n, m in pairs
    ]


def pruned(net: Layers, share: float) -> Layers:
    """The smallest weights of each matrix gone."""
    return [(np.where(abs(w) < np.quantile(abs(w), share), np.float32(0.0), w), b) for w, b in net]


def nudged(rng: np.random.Generator, net: Layers, size: float) -> Layers:
    """Every weight moved a little."""
    return [(w + (size * rng.normal(size=w.shape)).astype(np.float32), b) for w, b in net]


def write(path: Path, net: Layers, activation: str = "Relu") -> Path:
    """Gemm, activation, ..., Gemm from x [1, n] to y."""
    nodes, weights, value = [], {}, "x"
    for number, (w, b) in enumerate(net):
        weights |= {f"W{number}": w, f"b{number}": b}
        last = number == len(net) - 1
        nodes.append(node("Gemm", f"{value} W{number} b{number}", "y" if last else f"a{number}", transB=1))
        if not last:
            nodes.append(node(activation, f"a{number}", f"h{number}"))
            value = f"h{number}"
    return save(path, model(nodes, {"x": (1, net[0][0].shape[1])}, ["y"], weights))


def box_spec(path: Path, lower: np.ndarray, upper: np.ndarray, outputs: int) -> Path:
    """A VNN-LIB 1.0 file of this box; what it asserts of outputs does not matter."""
    declared = [f"(declare-const X_{i} Real)" for i in range(len(lower))]
    declared += [f"(declare-const Y_{j} Real)" for j in range(outputs)]
    bounds = [f"(assert (>= X_{i} {a!r}))\n(assert (<= X_{i} {b!r}))" for i, (a, b) in _ends(lower, upper)]
    path.write_text("\n".join([*declared, *bounds, "(assert (<= Y_0 0.0))"]) + "\n")
    return path


def _ends(lower: np.ndarray, upper: np.ndarray) -> list[tuple[int, tuple[float, float]]]:
    return list(enumerate(zip(lower.tolist(), upper.tolist(), strict=True)))


def grid(lower: np.ndarray, upper: np.ndarray, per_axis: int) -> np.ndarray:
    """A dense grid of a box of few inputs, corners among it: [points, n_inputs]."""
    axes = [np.linspace(a, b, per_axis) for a, b in zip(lower, upper, strict=True)]
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, len(lower))


def largest_apart(f: Network, g: Network, x: np.ndarray) -> np.ndarray:
    """max |f_j - g_j| over points, [m]."""
    return abs(evaluate(f, x) - evaluate(g, x)).max(axis=0)
