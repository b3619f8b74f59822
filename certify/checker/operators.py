"""Affine maps between flat values, and the rectifier: all that a network is made of here.

Arrays are [rows, size]. `apply` computes A x (or |A| x), `pull` computes w A, which moves coefficients of the output
to coefficients of the input.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from certify.checker.arithmetic import Array

Shape = tuple[int, ...]


@dataclass
class Affine:
    """y = sum_i A_i x_i + bias. inputs: numbers of the values x_i; size: of y; terms: summands of one element
    of A x or of w A, whichever are more; summands: of one element of A x + bias, as the deployed network adds them up.
    """

    inputs: tuple[int, ...]
    size: int
    bias: Array | None = None
    terms: int = 1
    summands: int = 2

    def apply(self, xs: list[Array], magnitude: bool = False) -> Array:
        """sum_i A_i x_i, or with |A_i|; without the bias."""
        raise NotImplementedError

    def pull(self, w: Array) -> list[Array]:
        """w A_i for each i."""
        raise NotImplementedError


@dataclass
class Dense(Affine):
    """x [..., n] -> x W + bias over the last axis. weight: [n, m]."""

    weight: Array = None

    def apply(self, xs: list[Array], magnitude: bool = False) -> Array:
        """One product of matrices over all leading axes."""
        weight = abs(self.weight) if magnitude else self.weight
        return (xs[0].reshape(-1, weight.shape[0]) @ weight).reshape(len(xs[0]), -1)

    def pull(self, w: Array) -> list[Array]:
        """The same with W transposed; columns that are zero in every row are left out."""
        flat = w.reshape(-1, self.weight.shape[1])
        used = np.flatnonzero((flat != 0).any(axis=0))
        if len(used) < 0.75 * flat.shape[1]:
            flat, weight = flat[:, used], self.weight[:, used]
        else:
            weight = self.weight
        return [(flat @ weight.T).reshape(len(w), -1)]


@dataclass
class Scale(Affine):
    """scale * x + bias, element by element. scale: [size]."""

    scale: Array = None

    def apply(self, xs: list[Array], magnitude: bool = False) -> Array:
        """scale * x."""
        return xs[0] * (abs(self.scale) if magnitude else self.scale)

    def pull(self, w: Array) -> list[Array]:
        """scale * w."""
        return [w * self.scale]


@dataclass
class Sum(Affine):
    """x + sign * z."""

    sign: int = 1

    def apply(self, xs: list[Array], magnitude: bool = False) -> Array:
        """x + sign * z."""
        return xs[0] + xs[1] if magnitude else xs[0] + self.sign * xs[1]

    def pull(self, w: Array) -> list[Array]:
        """w and sign * w."""
        return [w, self.sign * w]


@dataclass
class Convolution(Affine):
    """weight: [out, in / groups, *kernel]; shapes: of one image [channels, *space], in and out."""

    weight: Array = None
    in_shape: Shape = ()
    out_shape: Shape = ()
    strides: Shape = ()
    before: Shape = ()
    after: Shape = ()
    dilations: Shape = ()
    groups: int = 1

    def _places(self) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """The weights at each position of the kernel, and the part of the padded images that they meet."""
        found = []
        for at in product(*(range(k) for k in self.weight.shape[2:])):
            window = tuple(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, n, s in zip(at, self.dilations, self.out_shape[1:], self.strides, strict=True)
            )
            found.append(((slice(None), slice(None), *at), (slice(None), slice(None), *window)))
        return found

    def _padded(self, rows: int, like: Array) -> tuple[Array, tuple[Any, ...]]:
        """Zeros of the padded images' shape, and where the images lie in them."""
        space = tuple(b + n + a for b, n, a in zip(self.before, self.in_shape[1:], self.after, strict=True))
        inside = tuple(slice(b, b + n) for b, n in zip(self.before, self.in_shape[1:], strict=True))
        return np.zeros((rows, self.in_shape[0], *space), dtype=like.dtype), (slice(None), slice(None), *inside)

    def apply(self, xs: list[Array], magnitude: bool = False) -> Array:
        """Position by position of the kernel."""
        weight, rows = abs(self.weight) if magnitude else self.weight, len(xs[0])
        image, inside = self._padded(rows, xs[0])
        image[inside] = xs[0].reshape(rows, *self.in_shape)
        found: Any = 0
        for at, window in self._places():
            part = image[window].reshape(rows, self.groups, -1, int(np.prod(self.out_shape[1:])))
            kernel = weight[at].reshape(self.groups, -1, weight.shape[1])
            found = found + kernel @ part
        return found.reshape(rows, -1)

    def pull(self, w: Array) -> list[Array]:
        """The transposed convolution, position by position."""
        rows = len(w)
        image, inside = self._padded(rows, w)
        part = w.reshape(rows, self.groups, -1, int(np.prod(self.out_shape[1:])))
        for at, window in self._places():
            kernel = self.weight[at].reshape(self.groups, -1, self.weight.shape[1])
            image[window] += (kernel.swapaxes(1, 2) @ part).reshape(rows, self.in_shape[0], *self.out_shape[1:])
        return [image[inside].reshape(rows, -1)]


@dataclass
class Rectifier:
    """max(x, 0). name: of the ONNX tensor it computes; number: among the rectifiers, in the order of the file."""

    inputs: tuple[int, ...]
    size: int
    name: str
    number: int


Node = Affine | Rectifier
