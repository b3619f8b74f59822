"""Operators that Relu expresses exactly: Abs, PRelu, HardSigmoid; HardSwish with a square besides."""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import add, scale
from certify.ops.power import power
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.relu import Relu, leaky
from certify.ops.scale import ScaleShift


def _relu(build: Builder, x: Value, factor: float = 1.0, shift: float | None = None) -> Value:
    """max(factor * x + shift, 0)."""
    moved = x if (factor, shift) == (1.0, None) else build.emit(ScaleShift.scalar(x.shape, factor, shift), x)
    return build.emit(Relu((x.shape,), x.shape), moved)


@register("Abs", handled="exactly, as a Relu", examples=lambda: [Example([(2, 3)])])
def abs_node(node: NodeSpec, build: Builder) -> Value:
    """2 relu(x) - x, in a form whose two slopes are those of one Relu: |x| = leaky_{-1}(x)."""
    return leaky(build, node.variable(), -1.0)


@register(
    "PRelu",
    handled="triangle relaxation, split at 0",
    examples=lambda: [
        Example([(1, 2, 3), np.array([[0.25], [-0.5]], np.float32)]),
        Example([(2, 3), np.array([0.25, 1.5, -2.0], np.float32)]),
        Example([(2, 3), np.array([0.1], np.float32)]),
        Example([(2, 3), np.float32(1.0)], opset=9),
        Example([(2, 2, 3), np.array([[[2.0]], [[3.0]]], np.float32)], opset=7),
    ],
)
def prelu(node: NodeSpec, build: Builder) -> Value:
    """One slope for all is a LeakyRelu; else s x + (1 - s) relu(x), as exact as that."""
    x = node.variable()
    slope = np.asarray(node.constant(1), dtype=np.float64)
    if np.unique(slope).size == 1:
        return leaky(build, x, float(slope.flat[0]))
    return add(build, scale(build, x, slope), scale(build, _relu(build, x), 1.0 - slope))


@register(
    "HardSigmoid",
    handled="exactly, as two Relu",
    examples=lambda: [Example([(2, 3)]), Example([(8,)], {"alpha": 1.5, "beta": 0.25}),
                      Example([(8,)], {"alpha": -1.0, "beta": 2.0})],
)  # fmt: skip
def hard_sigmoid(node: NodeSpec, build: Builder) -> Value:
    """min(max(alpha x + beta, 0), 1) = 1 - relu(1 - relu(alpha x + beta))."""
    # The standard's defaults are float32 numbers.
    alpha = float(node.attributes.get("alpha", np.float32(0.2)))
    low = _relu(build, node.variable(), alpha, float(node.attributes.get("beta", 0.5)))
    high = _relu(build, low, -1.0, 1.0)
    return build.emit(ScaleShift.scalar(high.shape, -1.0, 1.0), high)


@register("HardSwish", handled="two Relu and a square", since=14, examples=lambda: [Example([(2, 3)])])
def hard_swish(node: NodeSpec, build: Builder) -> Value:
    """x clip(x / 6 + 1/2, 0, 1): with c = clip(x, -3, 3) = left - right - 3 this is (c^2 + 3 c) / 6 + right."""
    x = node.variable()
    left, right = _relu(build, x, 1.0, 3.0), _relu(build, x, 1.0, -3.0)
    clipped = build.emit(ScaleShift.scalar(x.shape, 1.0, -3.0), add(build, left, right, -1))
    square = scale(build, power(build, clipped, 2.0), np.asarray(1.0 / 6.0))
    rest = build.emit(ScaleShift.scalar(x.shape, 0.5, -1.5), add(build, left, right))
    return add(build, square, rest)
