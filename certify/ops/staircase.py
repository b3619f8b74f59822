"""Lines over functions that are constant between jumps.

A line of a given slope is lowered (or raised) until it touches a corner of the function, so that it is sound whatever
the slope, as long as the corners looked at include all that a line of that slope can touch first. Of stairs that rise
by 1 at places 1 apart these are, for slopes in [0, 1], the corner at the first jump and the end of the interval; of a
single jump they are so for every slope, and slopes up to that of the line through both corners are worth having.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis

# Outward slack in units of roundoff of the terms of a line.
SLACK = 8.0
# A single jump closer to an end than this share of the width allows no steeper line than one at that distance.
CLOSE, SMALLEST = 1e-3, 1e-30

Corner = tuple[Array, Array]


class Side:
    """Lines below (sign -1) or above (sign 1) all of the corners, each touching one of them."""

    def __init__(self, corners: list[Corner], slopes: tuple[Array, Array], reach: Array, sign: float) -> None:
        """corners: (x, f at or beside x) each; slopes: from, to; reach: the largest |x|; all [batch, *shape].

        Constant, at the value of the lowest (highest) corner, where the slopes are equal or something is not finite.
        """
        xp = namespace(reach)
        flat, steep = slopes
        fine = xp.isfinite(reach) & xp.isfinite(steep) & xp.isfinite(flat) & (flat < steep)
        for x, y in corners:
            fine = fine & xp.isfinite(x) & xp.isfinite(y)
        zero = xp.zeros_like(reach)
        self._sign = sign
        self._corners = [(with_spec_axis(xp.where(fine, x, zero)), with_spec_axis(y)) for x, y in corners]
        self._flat, rise = (xp.where(fine, slope, zero) for slope in (flat, steep - flat))
        self._flat, self._rise = with_spec_axis(self._flat), with_spec_axis(rise)
        size = xp.where(fine, abs(corners[0][1]) + abs(corners[-1][1]), zero)
        share = sign * SLACK * roundoff(reach)
        self._push = with_spec_axis(share * size)
        self._push_per_slope = with_spec_axis(share * xp.where(fine, reach, zero))

    def _touch(self, slope: Array) -> tuple[Array, Array]:
        """(bias, x) of the line of this slope and the corner it touches."""
        xp = namespace(slope)
        x, y = self._corners[0]
        bias = y - slope * x
        for other, value in self._corners[1:]:
            found = value - slope * other
            nearer = self._sign * found > self._sign * bias
            bias, x = xp.where(nearer, found, bias), xp.where(nearer, other, x)
        return bias, x

    def line(self, parameter: Array) -> tuple[Array, Array]:
        """(slope, bias)."""
        slope = self._flat + parameter * self._rise
        return slope, self._touch(slope)[0] + self._push + abs(slope) * self._push_per_slope

    def gradient(self, parameter: Array, x: Array) -> Array:
        """d line(x) / d parameter: the lines turn around the corners they touch."""
        return self._rise * (x - self._touch(self._flat + parameter * self._rise)[1])

    def start(self, middle: Array) -> Array:
        """Of the extreme slopes and those of lines through two corners, the one that leaves least on average."""
        xp = namespace(middle)
        best = xp.zeros_like(middle)
        with np.errstate(all="ignore"):
            candidates = [xp.ones_like(middle)]
            if len(self._corners) > 2:
                candidates += [self._through(*pair) for pair in pairwise(self._corners)]
            for parameter in candidates:
                nearer = self._sign * (self._at(parameter, middle) - self._at(best, middle)) < 0.0
                best = xp.where(nearer, parameter, best)
        return best

    def _at(self, parameter: Array, x: Array) -> Array:
        slope, bias = self.line(parameter)
        return slope * x + bias

    def _through(self, first: Corner, second: Corner) -> Array:
        """The parameter of the line through two corners, or the nearest one; 0 where they are at one place."""
        xp = namespace(self._rise)
        (x, y), (other, value) = first, second
        usable = (x != other) & (self._rise > 0.0) & xp.isfinite(y) & xp.isfinite(value)
        one, zero = xp.ones_like(x), xp.zeros_like(x)
        slope = xp.where(usable, value - y, zero) / xp.where(usable, other - x, one)
        return xp.clip((slope - self._flat) / xp.where(usable, self._rise, one), 0.0, 1.0)


class Stairs(Relaxation):
    """A line that touches from below and one that does from above."""

    def __init__(self, below: Side, above: Side, bounds: tuple[Array, Array]) -> None:
        """bounds: lower, upper, [batch, *shape] each."""
        lower, upper = bounds
        with np.errstate(all="ignore"):
            middle = lower / 2.0 + upper / 2.0
        self.below, self.above = below, above
        xp = namespace(lower)
        self._middle = with_spec_axis(xp.where(xp.isfinite(middle), middle, xp.zeros_like(middle)))

    def start(self) -> tuple[Array, ...]:
        """For each side, the line that leaves least on average."""
        return self.below.start(self._middle), self.above.start(self._middle)

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The two lines."""
        slope_below, bias_below = self.below.line(parameters[0])
        slope_above, bias_above = self.above.line(parameters[1])
        return Planes((slope_below,), bias_below, (slope_above,), bias_above)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Of each line, where the weight picks it."""
        below, above = self.below.gradient(parameters[0], xs[0]), self.above.gradient(parameters[1], xs[0])
        return positive(weight) * below, negative(weight) * above

    def gap(self) -> Array:
        """Distance of the lines at the middle of the interval."""
        planes = self.planes(self.start())
        difference = (planes.upper_slopes[0] - planes.lower_slopes[0]) * self._middle
        return (difference + planes.upper_bias - planes.lower_bias)[:, 0]


def slope_to(height: Array, distance: Array, width: Array) -> Array:
    """The slope of a line that rises by `height` over `distance`, kept finite where that is next to nothing."""
    xp = namespace(width)
    return height / xp.maximum(distance, xp.maximum(CLOSE * width, xp.full_like(width, SMALLEST)))


@dataclass(frozen=True, eq=False)
class Jump(Elementwise):
    """A function that is constant between its jumps."""

    def derivative(self, x: Array) -> Array:
        """Zero wherever it exists."""
        return namespace(x).zeros_like(x)

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Where several values occur."""
        low, high = self.interval(*bounds)
        return low < high


@dataclass(frozen=True, eq=False)
class Staircase(Jump):
    """One that jumps upward at one place, or by 1 at places 1 apart."""

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Where f rises from the value `low`, and where it reaches `high` > low; anything where low = high."""
        raise NotImplementedError

    def corners(self, low: Array, high: Array) -> tuple[list[Corner], list[Corner]]:
        """Below and above: what lines of slopes in [0, 1] can touch, the ends of the interval aside."""
        first, last = self.jumps(low, high)
        return [(first, low)], [(last, high)]

    def descent(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """As if it were the identity, which stairs follow (straight through: Bengio et al. 2013)."""
        return (grad,)

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Increasing, and computed without rounding."""
        return self.forward(bounds[0][0]), self.forward(bounds[0][1])

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Lines that touch the stairs, of slopes from 0 to 1; to that of the line through both corners of one jump."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        low, high = self.interval(*bounds)
        with np.errstate(all="ignore"):
            first, last = self.jumps(low, high)
            below, above = self.corners(low, high)
            flat, width = xp.zeros_like(lower), upper - lower

            def steepest(distance: Array) -> Array:
                slope = xp.where(first == last, slope_to(high - low, distance, width), xp.ones_like(lower))
                return xp.where(low < high, slope, flat)

            reach = xp.maximum(abs(lower), abs(upper))
            return Stairs(
                Side([*below, (upper, high)], (flat, steepest(upper - first)), reach, -1.0),
                Side([*above, (lower, low)], (flat, steepest(last - lower)), reach, 1.0),
                bounds[0],
            )

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The middle one of the jumps (or its neighbour) if it is inside, else the middle."""
        first, last = self.jumps(self.forward(lower), self.forward(upper))
        jump = first + namespace(lower).floor((last - first) / 2.0)
        inside = (lower < jump) & (jump < upper)
        return namespace(lower).where(inside, jump, lower / 2.0 + upper / 2.0)
