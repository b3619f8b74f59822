"""Intervals: pairs (lower, upper) of arrays, and boxes of inputs."""

from __future__ import annotations

from typing import NamedTuple

from certify.arrays import Array, namespace
from certify.errors import NumericalError


class Interval(NamedTuple):
    """Elementwise bounds, [batch, *shape] each. It contains every reachable value or it must not exist."""

    lower: Array
    upper: Array

    @property
    def center(self) -> Array:
        """Midpoint."""
        return (self.lower + self.upper) / 2.0

    @property
    def radius(self) -> Array:
        """Half the width."""
        return (self.upper - self.lower) / 2.0

    def checked(self, where: str) -> Interval:
        """Itself; NumericalError if a bound is NaN or the bounds have crossed."""
        if not bool((self.lower <= self.upper).all()):
            raise NumericalError(f"the bounds of {where} are NaN or have crossed; nothing can be concluded from them")
        return self


def intersect(a: Interval, b: Interval) -> Interval:
    """Elementwise intersection.

    Both contain the same values, so they overlap up to rounding; where rounding (or the emptiness of a subproblem that
    nobody noticed) makes them cross, the gap between them is returned, which still errs on no side by more than that.
    """
    xp = namespace(a.lower)
    lower, upper = xp.maximum(a.lower, b.lower), xp.minimum(a.upper, b.upper)
    return Interval(xp.minimum(lower, upper), xp.maximum(lower, upper))
