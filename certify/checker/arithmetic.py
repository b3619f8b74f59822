"""Numbers: float64 with an account of its rounding, or exact fractions, behind the same few operations.

Notation of Higham (2002, section 3.1): u is the unit roundoff, and a sum of n products, in any order and with or
without fused multiply-add, errs by at most gamma(n) = n u / (1 - n u) times the sum of absolute values. `share` is
twice that and more, which pays for computing the account itself in floating point. Products that underflow err by at
most 2**-1075 each: `TINY` pays for all of them, given that no value is larger than `HUGE`.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from certify.checker.outcome import Rejected

Array = Any  # np.ndarray of float64, or of Fraction objects
Range = tuple[Array, Array]  # lower and upper bounds

TINY = 1e-200
HUGE = 1e100
FLOAT32_LARGEST = float(np.finfo(np.float32).max)


class Arithmetic:
    """exact: whether numbers are fractions. float32: whether the network to be bounded computes in float32."""

    def __init__(self, exact: bool = False, float32: bool = False) -> None:
        self.exact, self.float32 = exact, float32
        self.u: Any = Fraction(0) if exact else 2.0**-53
        self.tiny: Any = Fraction(0) if exact else TINY

    def array(self, values: Any) -> Array:
        """An array of float64 in this arithmetic, exactly."""
        values = np.asarray(values, dtype=np.float64)
        if not self.exact:
            return values
        return np.array([Fraction(v) for v in values.ravel().tolist()], dtype=object).reshape(values.shape)

    def share(self, terms: int) -> Any:
        """What a sum of so many products, with a few operations besides, may err by, relative to its magnitude."""
        return 2 * (terms + 16) * self.u

    def deployed(self, terms: int, magnitude: Array) -> Array:
        """What the deployed network's own float32 arithmetic may add to sums of this magnitude; nothing for real ones.

        Any order of summation, fused multiply-add, and a bias or a residual added within the same sum.
        """
        if not self.float32:
            return 0 * magnitude
        if not (magnitude < FLOAT32_LARGEST / 2).all():
            raise Rejected("a value may overflow in float32")
        n = terms + 8
        share = n * 2.0**-24 / (1.0 - n * 2.0**-24) * (1.0 + 1e-6)
        if not 0.0 < share < 0.5:
            raise Rejected("sums are too long for an error bound in float32")
        smallest = n * 2.0**-125  # flushing to zero included
        return magnitude * self.scalar(share) + self.scalar(smallest)

    def scalar(self, value: float) -> Any:
        """One number in this arithmetic."""
        return Fraction(value) if self.exact else value

    def outward(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bounds as float64 numbers (of this arithmetic), rounded outward: fractions would grow for ever."""
        if not self.exact:
            return lower, upper
        down = np.array([below(v) for v in lower.ravel()]).reshape(lower.shape)
        up = np.array([-below(-v) for v in upper.ravel()]).reshape(upper.shape)
        return self.array(down), self.array(up)


def below(value: Fraction) -> float:
    """The largest float64 that is not above the number."""
    found = float(value)
    return math.nextafter(found, -math.inf) if Fraction(found) > value else found


def floats(array: Array) -> np.ndarray:
    """The nearest float64 numbers."""
    return array.astype(np.float64)


def checked(lower: Array, upper: Array, what: str) -> None:
    """Raise Rejected unless all bounds are finite numbers of a sensible size."""
    if not ((abs(lower) < HUGE).all() and (abs(upper) < HUGE).all()):
        raise Rejected(f"the bounds of {what} are not finite")
