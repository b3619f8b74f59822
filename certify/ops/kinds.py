"""The narrow waist: an op is `Linear` or `Nonlinear` (with `Elementwise` as its one-input case that search can split).

Every method (evaluation, interval, CROWN, attack) sees only these kinds. Arrays carry any number of leading axes before
the op's own shape: [*leading, *shape] in, [*leading, *out_shape] out; the ONNX batch axis, where a model has one, is an
ordinary axis of the shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from certify.arrays import Array, Library, to_numpy

Shape = tuple[int, ...]
# A part of a tensor: for each axis of its shape, from where to where.
Window = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Op:
    """A function of one or more tensors with fixed shapes."""

    in_shapes: tuple[Shape, ...]
    out_shape: Shape

    def forward(self, *xs: Array) -> Array:
        """The op's value: [*leading, *in_shape] each -> [*leading, *out_shape]."""
        raise NotImplementedError

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """Gradient with respect to each input at xs, given the gradient at the output."""
        raise NotImplementedError

    def descent(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """What an attack follows in place of `vjp`: something else where that says nothing, as at jumps."""
        return self.vjp(grad, *xs)

    def crop(self, window: Window) -> tuple[Any, tuple[Window, ...]] | None:
        """The op for this window of the output, and the window of each input that it takes; None if it needs all."""
        return None

    def on(self, library: Library) -> Any:
        """The same op with its parameters in another array library or element type."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        arrays = {n: to_numpy(v) for n, v in fields.items() if isinstance(v, np.ndarray) or hasattr(v, "detach")}
        moved = {name: library.put(array) for name, array in arrays.items() if array.dtype.kind == "f"}
        return dataclasses.replace(self, **moved) if moved else self


@dataclass(frozen=True, eq=False)
class Linear(Op):
    """y = sum_i A_i x_i + b. `linear` and `adjoint` satisfy <linear(x), y> = <x, adjoint(y)>."""

    @property
    def bias(self) -> Array | None:
        """b, broadcastable to out_shape; None if zero."""
        return None

    @property
    def terms(self) -> int:
        """Most products or summands that meet in one element of `forward` or `adjoint`; 0 where nothing is computed."""
        return 0

    @property
    def summands(self) -> int:
        """Most summands of one element of `forward`, the bias included, as the user's model adds them up."""
        return self.terms + 1

    @property
    def selects(self) -> bool:
        """Whether every element of y is some element of the one input, as it is."""
        return False

    @property
    def whole(self) -> bool:
        """Whether it only adds and multiplies by whole numbers, so that of whole numbers it makes whole numbers."""
        return False

    def linear(self, *xs: Array) -> Array:
        """sum_i A_i x_i."""
        raise NotImplementedError

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """A_i^T y for each input i: [*leading, *out_shape] -> [*leading, *in_shape] each."""
        raise NotImplementedError

    def absolute(self) -> Linear:
        """The op with |A_i| for A_i and no bias. Ops whose entries are all >= 0 return themselves."""
        return self

    @cached_property
    def magnitude(self) -> Linear:
        """`absolute()`, computed once."""
        return self.absolute()

    def rows(self, index: np.ndarray, library: Library) -> tuple[Array, ...]:
        """The rows A_i[index] for flat output elements `index` [rows]: [rows, *in_shape] each, in `library`."""
        one_hot = np.zeros((len(index), int(np.prod(self.out_shape))))
        one_hot[np.arange(len(index)), index] = 1.0
        return self.adjoint(library.put(one_hot.reshape(len(index), *self.out_shape)))

    def forward(self, *xs: Array) -> Array:
        """`linear(xs)` plus the bias."""
        y = self.linear(*xs)
        return y if self.bias is None else y + self.bias

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """The adjoint: a linear op's gradient does not depend on where."""
        return self.adjoint(grad)


def whole_numbers(array: Array | None) -> bool:
    """Whether an array, if there is one, holds whole numbers only; the first ones tell in most cases."""
    if array is None:
        return True
    flat = array.reshape(-1)
    return bool((flat[:16] == flat[:16].round()).all()) and bool((flat == flat.round()).all())


@dataclass(frozen=True)
class Planes:
    """lower_slopes . xs + lower_bias <= f(xs) <= upper_slopes . xs + upper_bias on the box it was made for.

    Arrays are broadcastable to [batch, spec, *shape]; slopes have one entry per input; a bias of None is zero.
    shift: in place of biases, where both slopes are the same: from weights [batch, spec, *shape], how far the weighted
    sum of all elements is above the weighted sum of their planes, at least, [batch, spec].
    """

    lower_slopes: tuple[Array, ...]
    lower_bias: Array | None
    upper_slopes: tuple[Array, ...]
    upper_bias: Array | None
    shift: Callable[[Array], Array] | None = None


class Relaxation:
    """Linear bounds of a nonlinear op on given input intervals ([batch, *shape] each), free parameters left open.

    Parameters are arrays broadcastable to [batch, spec, *shape] with values in [0, 1]; every value is sound.
    """

    def start(self) -> tuple[Array, ...]:
        """The parameters plain CROWN uses, [batch, 1, *shape] each."""
        raise NotImplementedError

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The planes for these parameters."""
        raise NotImplementedError

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """d/d parameters of  weight+ * lower(xs) + weight- * upper(xs).

        weight, xs: [batch, spec, *shape], weight being the coefficient of this op's output (its sign picks the plane).
        """
        raise NotImplementedError

    def gap(self) -> Array:
        """How far apart the two starting planes are, [batch, *shape]: 0 where the relaxation is exact."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Nonlinear(Op):
    """A function of same-shaped tensors, applied element by element, that methods see through its relaxation."""

    @property
    def drafts(self) -> bool:
        """Whether its parameters may be looked for in single precision: nothing overflows there, planes stay close."""
        return False

    @property
    def factors(self) -> tuple[int, int] | None:
        """The two inputs, by position, that this op is the product of; None if it is no product."""
        return None

    @property
    def steepest(self) -> float:
        """Largest slope of its planes, those aside that carry slack for their own rounding."""
        return 1.0

    def crop(self, window: Window) -> tuple[Any, tuple[Window, ...]] | None:
        """Element by element, unless its parameters are."""
        if any(getattr(getattr(self, f.name), "ndim", 0) for f in dataclasses.fields(self)):
            return None
        shape = shape_of(window)
        count = len(self.in_shapes)
        return dataclasses.replace(self, in_shapes=(shape,) * count, out_shape=shape), (window,) * count

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Bounds of the value for inputs in the given (lower, upper) intervals; tight for one input."""
        raise NotImplementedError

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """The relaxation on the given (lower, upper) intervals, [batch, *shape] each."""
        raise NotImplementedError

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Mask, [batch, *shape]: where tighter input bounds would tighten the relaxation."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Elementwise(Nonlinear):
    """A nonlinear function of one tensor."""

    def derivative(self, x: Array) -> Array:
        """f'(x); at a kink, any one-sided derivative."""
        raise NotImplementedError

    def split_point(self, lower: Array, upper: Array) -> Array:
        """Where to cut [lower, upper] in two when search branches on this input."""
        raise NotImplementedError

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """f'(x) * grad."""
        return (grad * self.derivative(xs[0]),)


def shape_of(window: Window) -> Shape:
    """The shape of such a part."""
    return tuple(part.stop - part.start for part in window)


def with_spec_axis(array: Array) -> Array:
    """[batch, *shape] -> [batch, 1, *shape]."""
    return array[:, None, ...]
