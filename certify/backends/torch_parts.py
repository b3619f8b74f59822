"""Torch modules to build a network from, in the shapes and calls that auto_LiRPA traces and bounds well. Imports torch.

A value of shape s is a tensor [batch, *s], where a leading axis of length 1 (the ONNX batch) is left out of s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from certify.arrays import NUMPY
from certify.ops.kinds import Linear, Shape

# Entries up to which a linear op without an expression of its own becomes a matrix (128 MiB of float64).
MATRIX_ENTRIES = 2**24


class InexpressibleError(ValueError):
    """An op that has no translation with these shapes; says why."""


def stripped(shape: Shape) -> Shape:
    """The shape without its leading axis of length 1; a scalar counts as a vector of length 1."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape or (1,)


def constant(array: np.ndarray) -> nn.Parameter:
    """A weight without gradient, which optimised bounds would otherwise compute too."""
    return nn.Parameter(torch.from_numpy(np.array(array, dtype=np.float64, order="C")), requires_grad=False)


def layer(weight: np.ndarray, shift: np.ndarray | None = None) -> nn.Linear:
    """W x + b over the last axis. (Without b it would be traced as a product, of which auto_LiRPA can do less.)"""
    made = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    made.weight = constant(weight)
    made.bias = constant(np.broadcast_to(0.0 if shift is None else shift, weight.shape[:1]))
    return made


class Call(nn.Module):
    """A function without parameters."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *xs: Tensor) -> Tensor:
        """Call it."""
        return self.function(*xs)


class Affine(nn.Module):
    """x * scale + shift, both of x's shape, or None. (auto_LiRPA wants constants without a batch axis.)"""

    def __init__(self, scale: np.ndarray | None, shift: np.ndarray | None) -> None:
        super().__init__()
        self.scale = None if scale is None else constant(scale)
        self.shift = None if shift is None else constant(shift)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply and add."""
        x = x if self.scale is None else x * self.scale
        return x if self.shift is None else x + self.shift


class Convolution(nn.Module):
    """A two-dimensional convolution: weight [c_out, c_in, height, width], shift [c_out] or None."""

    def __init__(
        self, weight: np.ndarray, shift: np.ndarray | None, strides: tuple[int, ...], padding: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.weight = constant(weight)
        self.shift = None if shift is None else constant(shift)
        self.strides, self.padding = strides, padding

    def forward(self, x: Tensor) -> Tensor:
        """[batch, c_in, height, width] -> [batch, c_out, *space]."""
        return functional.conv2d(x, self.weight, self.shift, self.strides, self.padding)


class Sum(nn.Module):
    """The signed sum of one module per input."""

    def __init__(self, parts: list[nn.Module], signs: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.signs = signs or (1,) * len(parts)

    def forward(self, *xs: Tensor) -> Tensor:
        """Add up from the left."""
        total = None
        for part, sign, x in zip(self.parts, self.signs, xs, strict=True):
            y = part(x)
            if total is None:
                total = y if sign > 0 else -y
            else:
                total = total + y if sign > 0 else total - y
        assert total is not None
        return total


class Then(nn.Module):
    """Modules one after the other; the first may take several tensors."""

    def __init__(self, first: nn.Module, *rest: nn.Module) -> None:
        super().__init__()
        self.first, self.rest = first, nn.ModuleList(rest)

    def forward(self, *xs: Tensor) -> Tensor:
        """The last one's value."""
        y = self.first(*xs)
        for module in self.rest:
            y = module(y)
        return y


def to_shape(shape: Shape) -> nn.Module:
    """To [batch, *shape]; nothing is traced where it has that shape."""
    return Call(lambda x: x if tuple(x.shape[1:]) == shape else x.reshape(-1, *shape))


def flat(shape: Shape) -> Shape:
    """One axis with as many elements."""
    return (int(np.prod(shape, dtype=np.int64)),)


def as_matrix(op: Linear) -> nn.Module:
    """Any linear op: flatten, one matrix per input, add."""
    (size,) = flat(op.out_shape)
    entries = size * sum(flat(shape)[0] for shape in op.in_shapes)
    if entries > MATRIX_ENTRIES:
        raise InexpressibleError(f"it would have to become a matrix of {entries} entries, more than {MATRIX_ENTRIES}")
    parts: list[nn.Module] = [
        Then(to_shape(flat(shape)), layer(rows.reshape(size, -1)))
        for shape, rows in zip(op.in_shapes, op.rows(np.arange(size), NUMPY), strict=True)
    ]
    bias = None if op.bias is None else np.broadcast_to(op.bias, op.out_shape).reshape(-1)
    return Then(Sum(parts), Affine(None, bias), to_shape(stripped(op.out_shape)))


def on_axis(shape: Shape, axis: int, weight: np.ndarray, shift: np.ndarray | None = None) -> nn.Module:
    """A matrix [n_out, n_in] applied along one axis (< 0) of a value of this shape.

    A product with more than two axes is flattened at once: auto_LiRPA bounds such a value wrongly as input of a ReLU.
    """
    if axis == -1 and len(stripped(shape)) == 1:
        return layer(weight, shift)
    rank = len(shape)
    order = [i for i in range(rank) if i != rank + axis] + [rank + axis]
    out = (*shape[: rank + axis], weight.shape[0], *shape[rank + axis + 1 :])
    if axis == -1:
        return Then(to_shape(shape), layer(weight, shift), to_shape(flat(out)), to_shape(stripped(out)))
    there, back = [0, *(i + 1 for i in order)], [0, *(int(i) + 1 for i in np.argsort(order))]
    return Then(
        to_shape(shape),
        Call(lambda x: x.permute(*there)),
        layer(weight, shift),
        Call(lambda x: x.permute(*back)),
        to_shape(flat(out)),
        to_shape(stripped(out)),
    )
