"""How much of a box its open leaves leave, under the uniform law on it: volumes, in exact arithmetic.

A point of an open leaf satisfies an atom only where the atom's form is <= 0, which cuts a part off the leaf. On the
unit cube, mirrored until no slope is below zero, that is the set of t with  s . t <= h,  and its volume is

    sum over corners v of the cube of  (-1)^|v| max(h - s . v, 0)^n / (n! s_1 .. s_n)        (Barrow and Smith 1979).

Slopes are rounded down and h up, to whole multiples of one unit, which only enlarges the set. So does taking a slope to
be 0, as all but the steepest are.
"""

from fractions import Fraction
from itertools import combinations
from math import ceil, factorial, prod
from typing import Any

import numpy as np

from certify.checker.arithmetic import Array
from certify.checker.outcome import Malformed, Rejected
from certify.checker.specification import Case, Formula

UNITS = 2**60
STEEPEST = 8


class Volume:
    """What is left of a case's box. Inputs that the specification fixes have no width, and their worst value counts."""

    def __init__(self, case: Case) -> None:
        self.varying = np.flatnonzero([low < high for low, high in case.sides])
        self.whole = prod(high - low for low, high in case.sides if low < high)
        self.total = Fraction(0)

    def add(self, lower: Array, upper: Array, formula: Formula, margins: Array, slope: Array, offset: Array) -> None:
        """One leaf [inputs]: what of it may satisfy the formula. margins, slope, offset: of the atoms, [atoms, ..]."""
        exactly: Any = np.frompyfunc(Fraction, 1, 1)
        low, a, b = exactly(lower), exactly(slope), exactly(offset)
        width = exactly(upper) - low
        height = -b - (a * low + np.minimum(a * width, 0)).sum(axis=1)
        steps = abs(a * width)[:, self.varying]
        parts = [Fraction(0) if m > 0 else below(*row) for m, *row in zip(margins, steps, height, strict=True)]
        self.total += prod(width[self.varying], start=satisfied(formula, parts))


def satisfied(formula: Formula, parts: list[Fraction]) -> Fraction:
    """The share of a leaf that satisfies a formula, at most, given that of each atom."""
    if isinstance(formula, int):
        return parts[formula]
    found = [satisfied(part, parts) for part in formula[1]]
    return min(found, default=Fraction(1)) if formula[0] == "and" else min(sum(found, Fraction(0)), Fraction(1))


def below(slopes: Array, height: Fraction) -> Fraction:
    """The share of the unit cube where slopes . t <= height, at most; no slope is below zero."""
    if height < 0 or height >= sum(slopes):
        return Fraction(height >= 0)
    unit = max(slopes) / UNITS
    steps = [step for step in sorted(int(slope / unit) for slope in slopes)[-STEEPEST:] if step]
    level, n = ceil(height / unit), len(steps)
    corners = (corner for k in range(n + 1) for corner in combinations(steps, k))
    volume = sum((-1) ** len(corner) * max(level - sum(corner), 0) ** n for corner in corners)
    # Multiples of one number, so that sums of many stay short.
    return Fraction(ceil(Fraction(volume * UNITS, factorial(n) * prod(steps))), UNITS)


def check_claim(left: dict[int, Volume], header: dict[str, Any]) -> str:
    """What is claimed, in words. Raises Rejected where `left`, of what is unsafe (0) and of what is not, says less."""
    low, high = header["lower"], header["upper"]
    if not (type(low) is type(high) is float and 0.0 <= low <= high <= 1.0):
        raise Malformed(f"{low!r} and {high!r} are no bounds of a probability")
    unsafe, safe = (min(left[case].total / left[case].whole, Fraction(1)) for case in (0, 1))
    if 1 - safe < Fraction(low) or unsafe > Fraction(high):
        raise Rejected(f"the claim is [{low!r}, {high!r}], the proof shows [{float(1 - safe)!r}, {float(unsafe)!r}]")
    return f"P[unsafe] is in [{low!r}, {high!r}] under the uniform law on the specification's box"
