"""Maxima and minima, exactly, through Relu: max(a, b) = b + relu(a - b), which search can branch on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from certify.ops.arithmetic import add, scale
from certify.ops.layout import reshape
from certify.ops.reduce import axes_of
from certify.ops.registry import Builder, Example, NodeSpec, Operand, Value, register
from certify.ops.relu import FAR, Relu
from certify.ops.scale import ScaleShift
from certify.ops.select import concat, take


def maximum(build: Builder, a: Value, b: Operand) -> Value:
    """max(a, b) with broadcasting; b may be constant."""
    if isinstance(b, Value):
        difference = add(build, a, b, -1)
        return add(build, b, build.emit(Relu((difference.shape,), difference.shape), difference))
    bound = np.asarray(b, dtype=np.float64)
    if abs(bound).max(initial=0.0) > FAR:
        # The sum of a value and its distance from a bound far away keeps few digits of the value.
        opposite = scale(build, a, np.asarray(-1.0), bound)
        return add(build, a, build.emit(Relu((opposite.shape,), opposite.shape), opposite))
    difference = scale(build, a, None, -bound)
    return scale(build, build.emit(Relu((difference.shape,), difference.shape), difference), None, bound)


def minimum(build: Builder, a: Value, b: Operand) -> Value:
    """min(a, b) = -max(-a, -b)."""
    other = negated(build, b) if isinstance(b, Value) else -np.asarray(b, dtype=np.float64)
    return negated(build, maximum(build, negated(build, a), other))


def negated(build: Builder, x: Value) -> Value:
    """-x."""
    return scale(build, x, np.asarray(-1.0))


def largest(build: Builder, values: Iterable[Value]) -> Value:
    """The maximum of values of one shape, by a balanced tree."""
    values = list(values)
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        rest = values[len(values) // 2 * 2 :]
        values = [maximum(build, a, b) for a, b in pairs] + rest
    return values[0]


def largest_along(build: Builder, x: Value, axis: int) -> Value:
    """The maximum along an axis (from the front), kept with length 1: halves against each other."""
    while (n := x.shape[axis]) > 1:
        half = n // 2
        top = maximum(build, take(build, x, axis, np.arange(half)), take(build, x, axis, np.arange(half, 2 * half)))
        if n % 2:
            first = maximum(build, take(build, top, axis, np.arange(1)), take(build, x, axis, np.arange(n - 1, n)))
            if half == 1:
                return first
            top = concat(build, (first, take(build, top, axis, np.arange(1, half))), axis)
        x = top
    return x


def finite_bound(node: NodeSpec, operand: Operand, largest_says_nothing: bool) -> Operand:
    """The operand; None where it is an infinity that bounds nothing."""
    if operand is None or isinstance(operand, Value):
        return operand
    array = np.asarray(operand, dtype=np.float64)
    top = float(np.finfo(np.float32).max)
    if array.size and (array >= top if largest_says_nothing else array <= -top).all():
        return None
    if not np.isfinite(array).all():
        raise node.unsupported("a constant operand is infinite")
    return array


def _variadic(node: NodeSpec, build: Builder, maximal: bool) -> Value:
    values = [x for x in node.inputs if isinstance(x, Value)]
    result = values[0]
    for value in values[1:]:
        result = (maximum if maximal else minimum)(build, result, value)
    shape = np.broadcast_shapes(*(x.shape for x in node.inputs if x is not None))
    for other in node.inputs:
        if not isinstance(other, Value) and other is not None:
            bound = finite_bound(node, other, not maximal)
            result = result if bound is None else (maximum if maximal else minimum)(build, result, bound)
    return result if result.shape == shape else build.emit(ScaleShift.broadcast(result.shape, shape), result)


def _several() -> list[Example]:
    ramp = np.linspace(-1.0, 1.0, 3, dtype=np.float32)
    return [Example([(2, 3), (3,)]), Example([(2, 1), ramp, (2, 3)]), Example([(2, 3)]), Example([ramp, (2, 1)])]


@register("Max", handled="exactly, as Relu", takes="float int", examples=_several)
def max_node(node: NodeSpec, build: Builder) -> Value:
    """Max of any number of tensors."""
    return _variadic(node, build, True)


@register("Min", handled="exactly, as Relu", takes="float int", examples=_several)
def min_node(node: NodeSpec, build: Builder) -> Value:
    """Min of any number of tensors."""
    return _variadic(node, build, False)


def _reduced(node: NodeSpec, build: Builder, x: Value) -> Value:
    """The maximum over the node's axes."""
    over = axes_of(node, len(x.shape))
    if over is None:
        return x
    for axis in over:
        x = largest_along(build, x, axis)
    if node.attributes.get("keepdims", 1):
        return x
    return reshape(build, x, tuple(n for i, n in enumerate(x.shape) if i not in over))


def _reductions() -> list[Example]:
    return [
        Example([(2, 5)], {"axes": [1]}, opset=13),
        Example([(2, 3)], opset=13),
        Example([(3, 2, 4)], {"axes": [-1, 0], "keepdims": 0}, opset=11),
        Example([(2, 3), np.array([0])], opset=18),
    ]


@register("ReduceMax", handled="exactly, as Relu", takes="float int", examples=_reductions)
def reduce_max(node: NodeSpec, build: Builder) -> Value:
    """ReduceMax."""
    return _reduced(node, build, node.variable())


@register("ReduceMin", handled="exactly, as Relu", takes="float int", examples=_reductions)
def reduce_min(node: NodeSpec, build: Builder) -> Value:
    """ReduceMin, mirrored."""
    return negated(build, _reduced(node, build, negated(build, node.variable())))


@register("GlobalMaxPool", handled="exactly, as Relu", examples=lambda: [Example([(1, 2, 3, 3)]), Example([(2, 2, 5)])])
def global_max_pool(node: NodeSpec, build: Builder) -> Value:
    """The maximum over all spatial axes."""
    x = node.variable()
    y = largest_along(build, reshape(build, x, (*x.shape[:2], int(np.prod(x.shape[2:])))), 2)
    return reshape(build, y, (*x.shape[:2], *(1 for _ in x.shape[2:])))
