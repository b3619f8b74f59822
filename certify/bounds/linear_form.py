"""Linear lower bounds over an input box, the one layout every bound method ends in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from certify.arrays import Array, namespace
from certify.bounds.interval import Interval

# Share of the magnitude of a bound's terms by which a margin must exceed zero before anything is concluded from it:
# far above what float64 rounding of the backward pass accumulates. It can only turn a verdict into `unknown`.
ROUNDING = 2.0**-36


class LinearForm(NamedTuple):
    """row_s(x) >= coefficient[b, s] . x + offset[b, s] for every x in box b.

    coefficient: [batch, spec, n_inputs]; offset: [batch, spec]. A batch axis of 1 stands for any batch.
    """

    coefficient: Array
    offset: Array

    def lower(self, box: Interval) -> Array:
        """The smallest value on each box, [batch, spec]."""
        return _per_box(self.coefficient, box.center) - _per_box(abs(self.coefficient), box.radius) + self.offset

    def minimiser(self, box: Interval) -> Array:
        """A point of each box where it is attained, [batch, spec, n_inputs]."""
        return namespace(box.lower).where(self.coefficient >= 0.0, box.lower[:, None, :], box.upper[:, None, :])

    def rounding(self, box: Interval) -> Array:
        """What `lower` must exceed zero by to count as positive, [batch, spec]."""
        xp = namespace(box.lower)
        reach = xp.maximum(abs(box.lower), abs(box.upper))
        return ROUNDING * (_per_box(abs(self.coefficient), reach) + abs(self.offset))


def _per_box(coefficient: Array, x: Array) -> Array:
    """coefficient . x for each box: [batch or 1, spec, n], [batch, n] -> [batch, spec]."""
    if coefficient.shape[0] == 1:
        return x @ coefficient[0].T
    if isinstance(coefficient, np.ndarray):
        return np.matmul(coefficient, x[:, :, None])[:, :, 0]
    return (coefficient @ x[:, :, None])[:, :, 0]
