"""QuantizeLinear and DequantizeLinear: saturation as two Relu, then rounding to the nearest integer, halves to even.

The division is done in exact arithmetic here and in float32 by runtimes: at the jumps themselves the two may differ.
"""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import scale
from certify.ops.extremes import maximum, minimum
from certify.ops.jumps import Round
from certify.ops.logic import apply
from certify.ops.registry import Builder, Example, NodeSpec, Value, register


def _parameters(node: NodeSpec, rank: int) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """(scale, zero point, type of the integers), broadcastable along the node's axis."""
    factor = np.asarray(node.constant(1), dtype=np.float64)
    zero = np.asarray(node.constant(2, default=np.uint8(0)))
    if node.attributes.get("block_size", 0) or node.attributes.get("output_dtype", 0) or zero.dtype.kind not in "iu":
        raise node.unsupported("blocks and types other than integers are not supported")
    if not (factor > 0.0).all():
        raise node.unsupported("a scale is not positive")
    shape = () if factor.size == 1 else tuple(-1 if i == node.axis(rank, 1) else 1 for i in range(rank))
    points = zero.astype(np.float64)
    return factor.reshape(shape), points.reshape(shape) if points.size > 1 else points.reshape(()), zero.dtype


def _scales() -> np.ndarray:
    return np.array([0.1, 0.25, 0.5], np.float32)


@register("QuantizeLinear", gives=lambda node: "quantised", handled="two Relu and a jump per step",
          examples=lambda: [Example([(2, 3), np.float32(0.13), np.uint8(3)], gives="quantised"),
                            Example([(2, 3), _scales(), np.array([3, 0, 200], np.uint8)], gives="quantised"),
                            Example([(2, 3), np.float32(0.013)], gives="quantised")])  # fmt: skip
def quantize_linear(node: NodeSpec, build: Builder) -> Value:
    """Round(x / scale) + zero point, saturated; as the ends are integers, saturation may come first."""
    x = node.variable()
    factor, zero, kind = _parameters(node, len(x.shape))
    limits = np.iinfo(kind)
    y = scale(build, x, 1.0 / factor, zero)
    y = minimum(build, maximum(build, y, np.asarray(float(limits.min))), np.asarray(float(limits.max)))
    if (zero % 2.0 == 0.0).all():
        return apply(build, Round, y)
    # Halves go to the even integer before the zero point is added.
    return scale(build, apply(build, Round, scale(build, y, None, -zero)), None, zero)


@register(
    "DequantizeLinear",
    takes="quantised",
    gives=lambda node: "float",
    handled="linear",
    examples=lambda: [
        Example([(2, 3), np.float32(0.13), np.uint8(3)], kind="quantised"),
        Example([(2, 3), _scales(), np.array([3, 0, 200], np.uint8)], kind="quantised"),
    ],
)
def dequantize_linear(node: NodeSpec, build: Builder) -> Value:
    """(x - zero point) * scale."""
    x = node.variable()
    factor, zero, _ = _parameters(node, len(x.shape))
    return scale(build, x, factor, -zero * factor)
