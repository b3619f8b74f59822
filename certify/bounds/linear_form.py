"""Linear lower bounds over an input box, the one layout every bound method ends in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from certify.arrays import Array, namespace
from certify.bounds.interval import Interval
from certify.bounds.rounding import gamma


class LinearForm(NamedTuple):
    """row_s(x) >= coefficient[b, s] . x + offset[b, s] - error[b, s] for every x in box b.

    coefficient: [batch, spec, n_inputs]; offset, error: [batch, spec]. A batch axis of 1 stands for any batch. The
    error is what floating point may have added on the way to coefficient and offset.
    """

    coefficient: Array
    offset: Array
    error: Array

    def lower(self, box: Interval) -> Array:
        """The smallest value on each box, [batch, spec], the rounding of this very sum taken off too."""
        reach = namespace(box.lower).maximum(abs(box.lower), abs(box.upper))
        share = gamma(box.lower, reach.shape[-1])
        spread = box.radius + share * reach
        offset = self.offset - share * abs(self.offset) - self.error
        return _per_box(self.coefficient, box.center) - _per_box(abs(self.coefficient), spread) + offset

    def minimiser(self, box: Interval) -> Array:
        """A point of each box, up to rounding, where it is attained, [batch, spec, n_inputs]."""
        point = namespace(box.lower).copysign(box.radius[:, None, :], self.coefficient)
        point *= -1.0
        point += box.center[:, None, :]
        return point


def _per_box(coefficient: Array, x: Array) -> Array:
    """coefficient . x for each box: [batch or 1, spec, n], [batch, n] -> [batch, spec]."""
    if coefficient.shape[0] == 1:
        return x @ coefficient[0].T
    if isinstance(coefficient, np.ndarray):
        return np.matmul(coefficient, x[:, :, None])[:, :, 0]
    return (coefficient @ x[:, :, None])[:, :, 0]
