"""Normalisation by statistics of the input itself: layer, instance and group normalisation, RMS and L2 norms.

y = c / sqrt(mean(c^2) + epsilon) with c = x - mean(x), as centred values, squares, an inverse root and a product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from certify.ops.arithmetic import add, multiply, scale
from certify.ops.layout import reshape
from certify.ops.moments import inverse_root, square
from certify.ops.reduce import SumOver, reduce_axes
from certify.ops.registry import Builder, Example, NodeSpec, Operand, Value, register

HANDLED = "chord and tangent planes of squares and the inverse root, McCormick planes of the quotient"


def total(build: Builder, x: Value, axes: list[int]) -> Value:
    """Sum over axes (from the front), kept with length 1."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return build.emit(SumOver((x.shape,), kept, tuple(a - len(x.shape) for a in axes)), x)


def mean(build: Builder, x: Value, axes: list[int]) -> Value:
    """Mean over axes, kept."""
    count = float(np.prod([x.shape[a] for a in axes]))
    return scale(build, total(build, x, axes), np.asarray(1.0 / count))


def standardised(build: Builder, x: Value, axes: list[int], epsilon: float, centre: bool = True) -> Value:
    """X less its mean (if centred), divided by the root of its mean square plus epsilon."""
    if centre:
        x = add(build, x, mean(build, x, axes), -1)
    power = scale(build, mean(build, square(build, x), axes), None, np.asarray(epsilon))
    return multiply(build, x, inverse_root(build, power))


def affine(node: NodeSpec, build: Builder, y: Value, factor: Operand, shift: Operand, shape: tuple[int, ...]) -> Value:
    """Factor * y + shift, both constant and reshaped; either may be missing."""
    if isinstance(factor, Value) or isinstance(shift, Value):
        raise node.unsupported("scale and bias must be constant")
    parts: list[Any] = [None if p is None else np.asarray(p, np.float64).reshape(shape) for p in (factor, shift)]
    return y if factor is None and shift is None else scale(build, y, *parts)


def _ramp(n: int) -> np.ndarray:
    return np.linspace(0.5, 1.5, n, dtype=np.float32)


@register("LayerNormalization", handled=HANDLED,
          examples=lambda: [Example([(2, 3), _ramp(3), -_ramp(3)]), Example([(2, 4), _ramp(4)], {"epsilon": 0.1}),
                            Example([(2, 2, 3), _ramp(6).reshape(2, 3)], {"axis": 1})])  # fmt: skip
def layer_normalization(node: NodeSpec, build: Builder) -> Value:
    """Over all axes from `axis` on."""
    x = node.variable()
    if node.n_outputs > 1:
        raise node.unsupported("the mean and the inverse deviation are outputs")
    first = node.axis(len(x.shape), -1)
    y = standardised(build, x, list(range(first, len(x.shape))), float(node.attributes.get("epsilon", 1e-5)))
    factor, shift = node.operand(1), node.operand(2)
    rest = x.shape[first:]
    for part in (factor, shift):
        if part is not None and part.shape != rest:
            raise node.unsupported(f"a scale or bias of shape {part.shape} for axes of lengths {rest}")
    return affine(node, build, y, factor, shift, rest)


@register("InstanceNormalization", handled=HANDLED,
          examples=lambda: [Example([(1, 2, 3), _ramp(2), -_ramp(2)]),
                            Example([(2, 2, 2, 2), _ramp(2), _ramp(2)], {"epsilon": 0.1})])  # fmt: skip
def instance_normalization(node: NodeSpec, build: Builder) -> Value:
    """Over the spatial axes of each channel."""
    x = node.variable()
    y = standardised(build, x, list(range(2, len(x.shape))), float(node.attributes.get("epsilon", 1e-5)))
    return affine(node, build, y, node.operand(1), node.operand(2), (-1,) + (1,) * (len(x.shape) - 2))


@register("GroupNormalization", since=21, handled=HANDLED,
          examples=lambda: [Example([(1, 4, 3), _ramp(4), -_ramp(4)], {"num_groups": 2}, opset=21)])  # fmt: skip
def group_normalization(node: NodeSpec, build: Builder) -> Value:
    """Over the spatial axes and the channels of each group; scale and bias per channel (opset 21 on)."""
    x = node.variable()
    groups = int(node.attributes["num_groups"])
    grouped = reshape(build, x, (x.shape[0], groups, int(np.prod(x.shape[1:])) // groups))
    y = reshape(build, standardised(build, grouped, [2], float(node.attributes.get("epsilon", 1e-5))), x.shape)
    return affine(node, build, y, node.operand(1), node.operand(2), (-1,) + (1,) * (len(x.shape) - 2))


@register("RMSNormalization", since=23, handled=HANDLED,
          examples=lambda: [Example([(2, 3), _ramp(3)], opset=23)])  # fmt: skip
def rms_normalization(node: NodeSpec, build: Builder) -> Value:
    """Over all axes from `axis` on, not centred."""
    x = node.variable()
    first = node.axis(len(x.shape), -1)
    axes = list(range(first, len(x.shape)))
    y = standardised(build, x, axes, float(node.attributes.get("epsilon", 1e-5)), centre=False)
    return affine(node, build, y, node.operand(1), None, x.shape[first:])


@register("LpNormalization", handled="p = 2 only, where the norm keeps clear of zero",
          examples=lambda: [Example([(2, 3)]), Example([(2, 3)], {"axis": 0, "p": 2})])  # fmt: skip
def lp_normalization(node: NodeSpec, build: Builder) -> Value:
    """X divided by its Euclidean norm along an axis."""
    x = node.variable()
    if int(node.attributes.get("p", 2)) != 2:
        raise node.unsupported("only p = 2 is supported")
    axis = node.axis(len(x.shape), -1)
    return multiply(build, x, inverse_root(build, total(build, square(build, x), [axis])))


@register("ReduceSumSquare", handled="chord and tangent planes",
          examples=lambda: [Example([(2, 3)], {"axes": [1]}, opset=13), Example([(2, 3), np.array([0])], opset=18),
                            Example([(2, 3)], {"keepdims": 0}, opset=13)])  # fmt: skip
def reduce_sum_square(node: NodeSpec, build: Builder) -> Value:
    """The sum of squares."""
    if node.attributes.get("noop_with_empty_axes", 0):
        raise node.unsupported("noop_with_empty_axes, of which runtimes disagree whether it squares")
    return reduce_axes(node, build, square(build, node.variable()), mean=False)
