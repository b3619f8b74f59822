"""Multiplication and addition of constants element by element, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certify.arrays import Array, namespace
from certify.ops.kinds import Linear, Shape, Window, shape_of, whole_numbers


def sum_to(array: Array, out_shape: Shape, in_shape: Shape) -> Array:
    """Adjoint of broadcasting: [*leading, *out_shape] -> [*leading, *in_shape]."""
    if out_shape == in_shape:
        return array
    extra = len(out_shape) - len(in_shape)
    padded = (1,) * extra + in_shape
    first = array.ndim - len(out_shape)
    axes = tuple(first + i for i, (n, m) in enumerate(zip(out_shape, padded, strict=True)) if m == 1 and n != 1)
    if axes:
        array = namespace(array).sum(array, axis=axes, keepdims=True)
    return array.reshape(tuple(array.shape[:first]) + in_shape)


def expand_to(array: Array, in_shape: Shape, out_shape: Shape) -> Array:
    """Broadcasting: [*leading, *in_shape] -> [*leading, *out_shape]."""
    if out_shape == in_shape:
        return array
    leading = tuple(array.shape[: array.ndim - len(in_shape)])
    array = array.reshape(leading + (1,) * (len(out_shape) - len(in_shape)) + in_shape)
    return namespace(array).broadcast_to(array, leading + out_shape)


@dataclass(frozen=True, eq=False)
class ScaleShift(Linear):
    """y = scale * x + shift; scale and shift are broadcastable to out_shape, and so is x."""

    scale: Array
    shift: Array | None = None

    @classmethod
    def scalar(cls, shape: Shape, scale: float, shift: float | None = None) -> ScaleShift:
        """The same scale and shift for every element."""
        return cls((shape,), shape, np.asarray([scale]), None if shift is None else np.asarray([shift]))

    @classmethod
    def broadcast(cls, shape: Shape, out_shape: Shape) -> ScaleShift:
        """x repeated along the axes where out_shape is larger."""
        return cls((shape,), out_shape, np.ones(1))

    @property
    def bias(self) -> Array | None:
        """The shift."""
        return self.shift

    @property
    def terms(self) -> int:
        """One product; the adjoint sums over broadcast axes."""
        return 1 + int(np.prod(self.out_shape)) // max(1, int(np.prod(self.in_shapes[0])))

    @property
    def summands(self) -> int:
        """A product and the shift."""
        return 2

    @property
    def selects(self) -> bool:
        """Where it only repeats."""
        return self.shift is None and bool((self.scale == 1.0).all())

    @cached_property
    def whole(self) -> bool:
        """Where scale and shift are."""
        return whole_numbers(self.scale) and whole_numbers(self.shift)

    def linear(self, *xs: Array) -> Array:
        """scale * x."""
        return expand_to(xs[0], self.in_shapes[0], self.out_shape) * self.scale

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """scale * y, summed over broadcast axes."""
        return (sum_to(y * self.scale, self.out_shape, self.in_shapes[0]),)

    def crop(self, window: Window) -> tuple[ScaleShift, tuple[Window, ...]] | None:
        """The same window, if x is not broadcast."""
        if self.in_shapes[0] != self.out_shape:
            return None
        shape = shape_of(window)
        shift = None if self.shift is None else _part(self.shift, window)
        return ScaleShift((shape,), shape, _part(self.scale, window), shift), (window,)

    def absolute(self) -> ScaleShift:
        """|scale|, no shift."""
        return ScaleShift(self.in_shapes, self.out_shape, abs(self.scale))


def _part(array: Array, window: Window) -> Array:
    """The window of an array that is broadcastable to the whole."""
    last = window[max(0, len(window) - array.ndim) :]
    extra = array.ndim - len(last)
    places = (slice(None) if n == 1 else part for part, n in zip(last, array.shape[extra:], strict=True))
    return array[(slice(None),) * extra + tuple(places)]
