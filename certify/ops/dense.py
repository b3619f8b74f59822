"""Gemm and MatMul; products with constant weights are linear, those of two values are in `bilinear`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from certify.arrays import Array, Library
from certify.ops.kinds import Linear, whole_numbers
from certify.ops.layout import permute, reshape
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.scale import ScaleShift


@dataclass(frozen=True, eq=False)
class Dense(Linear):
    """y = W x + b over the last axis: weight [n_out, n_in], shift [n_out] or None.

    summed: how many products the user's model adds up, where that is more than n_in.
    """

    weight: Array
    shift: Array | None = None
    summed: int = 0

    @property
    def bias(self) -> Array | None:
        """b."""
        return self.shift

    @property
    def terms(self) -> int:
        """Row or column length."""
        return max(self.weight.shape)

    @property
    def summands(self) -> int:
        """Of a row."""
        return max(self.summed, self.weight.shape[1]) + 1

    @cached_property
    def whole(self) -> bool:
        """Where W and b are."""
        return whole_numbers(self.weight) and whole_numbers(self.shift)

    def linear(self, *xs: Array) -> Array:
        """W x as one matrix product over all leading axes."""
        return product(xs[0], self.weight.T)

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """W^T y."""
        return (product(y, self.weight),)

    def absolute(self) -> Dense:
        """|W|."""
        return Dense(self.in_shapes, self.out_shape, abs(self.weight))

    def rows(self, index: np.ndarray, library: Library) -> tuple[Array, ...]:
        """Rows of W; for several positions per feature, the general way."""
        if int(np.prod(self.out_shape)) != self.out_shape[-1]:
            return super().rows(index, library)
        return (self.weight[index].reshape(len(index), *self.in_shapes[0]),)


def product(x: Array, matrix: Array) -> Array:
    """x . matrix over the last axis of x, one product of matrices over all leading axes."""
    flat = x.reshape(-1, matrix.shape[0]) @ matrix
    return flat.reshape(tuple(x.shape[:-1]) + (matrix.shape[1],))


def dense(build: Builder, x: Value, weight: np.ndarray, shift: np.ndarray | None = None) -> Value:
    """W x + b over the last axis of x."""
    out_shape = (*x.shape[:-1], weight.shape[0])
    weight = np.ascontiguousarray(weight, dtype=np.float64)
    shift = None if shift is None else np.asarray(shift, dtype=np.float64)
    return build.emit(Dense((x.shape,), out_shape, weight, shift), x)


@dataclass(frozen=True, eq=False)
class StackedDense(Linear):
    """y[..., i, :] = W_i x[..., i, :]: one matrix per slice, weight [*stack, n_out, n_in]."""

    weight: Array

    @property
    def terms(self) -> int:
        """Row or column length."""
        return max(self.weight.shape[-2:])

    def linear(self, *xs: Array) -> Array:
        """W_i x_i."""
        return (self.weight @ xs[0][..., None])[..., 0]

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """W_i^T y_i."""
        return ((self.weight.swapaxes(-1, -2) @ y[..., None])[..., 0],)

    def absolute(self) -> StackedDense:
        """|W_i|."""
        return replace(self, weight=abs(self.weight))


def _vector(size: int) -> np.ndarray:
    return np.linspace(-1.0, 1.5, size, dtype=np.float32)


def _matrix(*shape: int) -> np.ndarray:
    return np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


@register(
    "Gemm",
    handled="linear",
    examples=lambda: [
        Example([(1, 4), _matrix(4, 3), _vector(3)]),
        Example([(2, 4), _matrix(3, 4), _vector(1)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        Example([(4, 1), _matrix(4, 3)], {"transA": 1}),
        Example([_matrix(2, 4), (4, 3), _vector(3)]),
        Example([(2, 3), (4, 3), (1, 4)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ],
)
def gemm(node: NodeSpec, build: Builder) -> Value:
    """alpha A' B' + beta C."""
    alpha, beta = float(node.attributes.get("alpha", 1.0)), float(node.attributes.get("beta", 1.0))
    sides = []
    for position, flag in ((0, "transA"), (1, "transB")):
        side = node.operand(position)
        if node.attributes.get(flag, 0):
            side = permute(build, side, (1, 0)) if isinstance(side, Value) else np.asarray(side).T
        sides.append(side)
    product = matmul(node, build, sides[0], sides[1], alpha)
    addend = node.operand(2)
    if addend is None or beta == 0.0:
        return product
    from certify.ops.arithmetic import add, scale

    if isinstance(addend, Value):
        return add(build, product, addend if beta == 1.0 else scale(build, addend, np.asarray(beta)))
    return scale(build, product, None, beta * np.asarray(addend, dtype=np.float64))


@register(
    "MatMul",
    handled="linear with a constant factor, else McCormick planes per pair",
    examples=lambda: [
        Example([(1, 4), _matrix(4, 3)]),
        Example([(4,), _matrix(4, 3)]),
        Example([(2, 3, 4), _matrix(4, 3)]),
        Example([_matrix(2, 4), (4, 3)]),
        Example([_matrix(2, 4), (4,)]),
        Example([(2, 3, 4), _matrix(2, 4, 5)]),
        Example([(1, 4), _vector(4)]),
        Example([_vector(4), (4, 3)]),
        Example([(3, 4), _matrix(2, 4, 5)]),
        Example([(2, 3), (3, 4)]),
        Example([(2, 1, 2, 3), (3, 3, 2)]),
        Example([(3,), (2, 3, 2)]),
        Example([(2, 2, 3), (3,)]),
    ],
)
def matmul_node(node: NodeSpec, build: Builder) -> Value:
    """MatMul."""
    return matmul(node, build, node.operand(0), node.operand(1))


def matmul(node: NodeSpec, build: Builder, a: object, b: object, factor: float = 1.0) -> Value:
    """factor * a @ b with numpy's rules for vectors and stacks."""
    if isinstance(a, Value) and isinstance(b, Value):
        from certify.ops.arithmetic import scale
        from certify.ops.bilinear import matmul_of_values

        y = matmul_of_values(node, build, a, b)
        return y if factor == 1.0 else scale(build, y, np.asarray(factor))
    if isinstance(b, Value):
        return _constant_first(node, build, np.asarray(a, dtype=np.float64), b, factor)
    assert isinstance(a, Value)
    weight = np.asarray(b, dtype=np.float64) * factor
    if a.shape[-1] != weight.shape[-2 if weight.ndim > 1 else 0]:
        raise node.unsupported(f"shapes {a.shape} and {weight.shape} do not fit", "check the model with onnx.checker")
    if weight.ndim == 1:
        y = dense(build, a, weight[None, :])
        return reshape(build, y, y.shape[:-1])
    if weight.ndim == 2 or all(n == 1 for n in weight.shape[:-2]):
        if len(a.shape) == 1:
            y = dense(build, a, weight.reshape(weight.shape[-2:]).T)
            return reshape(build, y, (*weight.shape[:-2], weight.shape[-1]))
        stacked = (1,) * max(0, weight.ndim - len(a.shape)) + a.shape
        return dense(build, reshape(build, a, stacked), weight.reshape(weight.shape[-2:]).T)
    return _stacked(build, a, weight)


def _constant_first(node: NodeSpec, build: Builder, a: np.ndarray, b: Value, factor: float) -> Value:
    """a @ b as (b^T a^T)^T."""
    if a.shape[-1] != b.shape[-2 if len(b.shape) > 1 else 0]:
        raise node.unsupported(f"shapes {a.shape} and {b.shape} do not fit", "check the model with onnx.checker")
    if len(b.shape) == 1:
        y = dense(build, b, (a * factor).reshape(-1, a.shape[-1]))
        return reshape(build, y, a.shape[:-1])
    last_two = (*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2)
    flipped = permute(build, b, last_two)
    y = matmul(node, build, flipped, a.swapaxes(-1, -2) if a.ndim > 1 else a, factor)
    if a.ndim == 1:
        return y
    return permute(build, y, (*range(len(y.shape) - 2), len(y.shape) - 1, len(y.shape) - 2))


def _stacked(build: Builder, a: Value, weight: np.ndarray) -> Value:
    """One weight matrix per entry of the leading axes."""
    if len(a.shape) == 1:
        y = _stacked(build, reshape(build, a, (1, *a.shape)), weight)
        return reshape(build, y, (*y.shape[:-2], y.shape[-1]))
    stack = np.broadcast_shapes(a.shape[:-2], weight.shape[:-2])
    if a.shape[:-2] != stack:
        a = build.emit(ScaleShift.broadcast(a.shape, (*stack, *a.shape[-2:])), a)
    rows, n_out = a.shape[-2], weight.shape[-1]
    per_row = np.broadcast_to(weight.swapaxes(-1, -2)[..., None, :, :], (*stack, rows, n_out, weight.shape[-2]))
    op = StackedDense((a.shape,), (*stack, rows, n_out), np.ascontiguousarray(per_row))
    return build.emit(op, a)
