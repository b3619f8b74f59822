"""Add, Sub, Mul, Div, Neg, with constants (linear) and between two branches (sum: linear; product: McCormick)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import Array
from certify.ops.kinds import Linear, Window, shape_of
from certify.ops.product import Product
from certify.ops.reciprocal import Reciprocal
from certify.ops.registry import Builder, Example, NodeSpec, Operand, Value, register
from certify.ops.scale import ScaleShift, expand_to, sum_to


@dataclass(frozen=True, eq=False)
class Add(Linear):
    """y = sum_i signs[i] * x_i, each x_i broadcast to out_shape; signs are +1 or -1."""

    signs: tuple[int, ...]

    @property
    def terms(self) -> int:
        """One per input; the adjoint sums over broadcast axes."""
        return len(self.in_shapes) + max(
            int(np.prod(self.out_shape)) // max(1, int(np.prod(s))) for s in self.in_shapes
        )

    @property
    def summands(self) -> int:
        """One per input."""
        return len(self.in_shapes)

    @property
    def whole(self) -> bool:
        """Signs are."""
        return True

    def linear(self, *xs: Array) -> Array:
        """The signed sum."""
        total = None
        for sign, x, shape in zip(self.signs, xs, self.in_shapes, strict=True):
            x = expand_to(x, shape, self.out_shape)
            total = (x if sign > 0 else -x) if total is None else (total + x if sign > 0 else total - x)
        return total

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """The same y for every input, signed, summed over broadcast axes."""
        parts = [sum_to(y, self.out_shape, shape) for shape in self.in_shapes]
        return tuple(part if sign > 0 else -part for sign, part in zip(self.signs, parts, strict=True))

    def crop(self, window: Window) -> tuple[Add, tuple[Window, ...]] | None:
        """The same window of all, if none is broadcast."""
        if any(shape != self.out_shape for shape in self.in_shapes):
            return None
        count, shape = len(self.in_shapes), shape_of(window)
        return Add((shape,) * count, shape, self.signs), (window,) * count

    def absolute(self) -> Add:
        """All signs +1."""
        return Add(self.in_shapes, self.out_shape, (1,) * len(self.signs))


def add(build: Builder, a: Value, b: Value, sign: int = 1) -> Value:
    """A + sign * b."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    return build.emit(Add((a.shape, b.shape), shape, (1, sign)), a, b)


def scale(build: Builder, x: Value, factor: Operand, shift: Operand = None) -> Value:
    """Factor * x + shift for constants."""
    factor = np.ones(()) if factor is None else np.asarray(factor, dtype=np.float64)
    shift = None if shift is None else np.asarray(shift, dtype=np.float64)
    shape = np.broadcast_shapes(x.shape, factor.shape, () if shift is None else shift.shape)
    return build.emit(ScaleShift((x.shape,), shape, factor, shift), x)


def multiply(build: Builder, a: Value, b: Value) -> Value:
    """A * b for two values that both depend on the input."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = (x if x.shape == shape else build.emit(ScaleShift.broadcast(x.shape, shape), x) for x in (a, b))
    return build.emit(Product((shape, shape), shape), a, b)


def _two_examples(low: float = -1.0) -> list[Example]:
    constant = np.linspace(low, 2.0, 3, dtype=np.float32)
    return [Example([(2, 3), (2, 3)]), Example([(2, 3), constant]), Example([constant, (2, 1)])]


@register("Add", takes="float int", handled="linear", examples=lambda: [*_two_examples(), Example([(2, 3), (3,)])])
def add_node(node: NodeSpec, build: Builder) -> Value:
    """Add."""
    a, b = node.operand(0), node.operand(1)
    if isinstance(a, Value) and isinstance(b, Value):
        return add(build, a, b)
    return scale(build, a, None, b) if isinstance(a, Value) else scale(build, node.variable(1), None, a)


@register("Sub", takes="float int", handled="linear", examples=lambda: [*_two_examples(), Example([(3,), (2, 3)])])
def sub_node(node: NodeSpec, build: Builder) -> Value:
    """Sub."""
    a, b = node.operand(0), node.operand(1)
    if isinstance(a, Value) and isinstance(b, Value):
        return add(build, a, b, -1)
    if isinstance(a, Value):
        return scale(build, a, None, -np.asarray(b, dtype=np.float64))
    return scale(build, node.variable(1), -np.ones(()), a)


@register("Mul", takes="float int", handled="linear with a constant, else McCormick planes",
          examples=lambda: [*_two_examples(), Example([(2, 3), (3,)])])  # fmt: skip
def mul_node(node: NodeSpec, build: Builder) -> Value:
    """Mul."""
    a, b = node.operand(0), node.operand(1)
    if isinstance(a, Value) and isinstance(b, Value):
        return multiply(build, a, b)
    return scale(build, a, b) if isinstance(a, Value) else scale(build, node.variable(1), a)


@register("Div", handled="linear with a constant divisor, else product with the reciprocal",
          examples=lambda: [Example([(2, 3), np.array([1.0, -2.0, 4.0], np.float32)])])  # fmt: skip
def div_node(node: NodeSpec, build: Builder) -> Value:
    """Div; the divisor must keep one sign on the input region, or nothing can be bounded."""
    a, b = node.operand(0), node.operand(1)
    if isinstance(a, Value) and not isinstance(b, Value):
        if np.any(np.asarray(b) == 0):
            raise node.unsupported("division by a constant zero")
        return scale(build, a, 1.0 / np.asarray(b, dtype=np.float64))
    divisor = node.variable(1)
    inverse = build.emit(Reciprocal((divisor.shape,), divisor.shape), divisor)
    return multiply(build, a, inverse) if isinstance(a, Value) else scale(build, inverse, a)


@register("Neg", takes="float int", handled="linear", examples=lambda: [Example([(2, 3)])])
def neg_node(node: NodeSpec, build: Builder) -> Value:
    """Neg."""
    return build.emit(ScaleShift.scalar(node.variable().shape, -1.0), node.variable())


def _several() -> list[Example]:
    return [Example([(2, 3), (2, 3), (3,)]), Example([(2, 3)])]


@register("Mean", handled="linear", examples=_several)
def mean_node(node: NodeSpec, build: Builder) -> Value:
    """Mean of any number of tensors."""
    return scale(build, _sum(node, build), np.asarray(1.0 / len(node.inputs)))


@register("Sum", handled="linear", examples=_several)
def sum_node(node: NodeSpec, build: Builder) -> Value:
    """Sum of any number of tensors."""
    return _sum(node, build)


def _sum(node: NodeSpec, build: Builder) -> Value:
    total = node.operand(0)
    for other in node.inputs[1:]:
        if isinstance(total, Value) and isinstance(other, Value):
            total = add(build, total, other)
        elif isinstance(total, Value):
            total = scale(build, total, None, other)
        elif isinstance(other, Value):
            total = scale(build, other, None, total)
        else:
            total = np.add(np.asarray(total), np.asarray(other))
    assert isinstance(total, Value)
    return total
