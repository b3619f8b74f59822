"""A sum of matrices applied to several flat values. No ONNX operator: passes that merge others emit it."""

from __future__ import annotations

from dataclasses import dataclass

from certify.arrays import Array
from certify.ops.kinds import Linear


@dataclass(frozen=True, eq=False)
class Affine(Linear):
    """y = sum_i A_i x_i + b: weights [n_out, n_i] each, shift [n_out]; all values are flat."""

    weights: tuple[Array, ...] = ()
    shift: Array | None = None

    @property
    def bias(self) -> Array | None:
        """b."""
        return self.shift

    @property
    def terms(self) -> int:
        """The longest row or column."""
        return max(self.out_shape[0], sum(weight.shape[1] for weight in self.weights))

    def linear(self, *xs: Array) -> Array:
        """sum_i A_i x_i, one matrix product each over all leading axes."""
        return sum(_product(x, weight.T) for x, weight in zip(xs, self.weights, strict=True))

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """A_i^T y."""
        return tuple(_product(y, weight) for weight in self.weights)

    def absolute(self) -> Affine:
        """|A_i|."""
        return Affine(self.in_shapes, self.out_shape, tuple(abs(weight) for weight in self.weights))


def _product(x: Array, matrix: Array) -> Array:
    flat = x.reshape(-1, matrix.shape[0]) @ matrix
    return flat.reshape((*x.shape[:-1], matrix.shape[1]))
