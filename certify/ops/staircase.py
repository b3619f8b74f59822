"""Functions that are constant but for jumps upward: Sign, Floor, Ceil, Round; ThresholdedRelu with one of them.

With J the last jump inside [l, u], an upper line through the corner (J, f(u)) is sound for every slope from zero to
that of the steps: all other corners lie on the line of that slope through J, or below it. Where J is the only jump the
slope may grow until the line passes through (l, f(l)). Lower lines go through the corner below the first jump.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.arithmetic import add
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.relu import Relu
from certify.ops.scale import ScaleShift

# Outward slack in units of roundoff of the terms of a line.
SLACK = 8.0
# A single jump closer to an end than this share of the width allows no steeper line than one at that distance.
CLOSE, SMALLEST = 1e-3, 1e-100
HANDLED = "lines over the stairs, slopes optimised"


class Corner:
    """Lines through the corner (jump, value) of slopes from zero to `steepest`, pushed outward (by sign)."""

    def __init__(self, jump: Array, value: Array, steepest: Array, reach: Array, sign: float) -> None:
        """All [batch, *shape]."""
        xp = namespace(jump)
        fine = xp.isfinite(jump) & xp.isfinite(value) & xp.isfinite(reach) & (steepest > 0.0)
        zero = xp.zeros_like(jump)
        self.value = with_spec_axis(value)
        self.jump, self.steepest = (with_spec_axis(xp.where(fine, a, zero)) for a in (jump, steepest))
        share = sign * SLACK * roundoff(jump)
        self.push = with_spec_axis(share * xp.where(fine, abs(value), zero))
        self.push_per_slope = with_spec_axis(share * xp.where(fine, abs(jump) + reach, zero))

    def line(self, parameter: Array) -> tuple[Array, Array]:
        """(slope, bias)."""
        slope = parameter * self.steepest
        return slope, self.value - slope * self.jump + self.push + slope * self.push_per_slope

    def gradient(self, x: Array) -> Array:
        """d line(x) / d parameter."""
        return self.steepest * (x - self.jump)


class Stairs(Relaxation):
    """A line through the lower corner of the first jump and one through the upper corner of the last."""

    def __init__(self, f: Staircase, lower: Array, upper: Array) -> None:
        """lower, upper: [batch, *shape]."""
        xp = namespace(lower)
        low, high = f.forward(lower), f.forward(upper)
        with np.errstate(all="ignore"):
            first, last = f.jumps(low, high)
            self._choose_lines(lower, upper, (low, high), (first, last))
            middle = (lower + upper) / 2.0
        self._middle = with_spec_axis(xp.where(xp.isfinite(middle), middle, xp.zeros_like(middle)))

    def _choose_lines(
        self, lower: Array, upper: Array, values: tuple[Array, Array], jumps: tuple[Array, Array]
    ) -> None:
        """How steep the lines may be."""
        xp = namespace(lower)
        (low, high), (first, last) = values, jumps
        height, width = high - low, upper - lower
        close = xp.maximum(CLOSE * width, xp.full_like(width, SMALLEST))
        single, flat = first == last, xp.zeros_like(lower)

        def steepest(distance: Array) -> Array:
            slope = xp.where(single, height / xp.maximum(distance, close), xp.ones_like(height))
            return xp.where(high > low, slope, flat)

        reach = xp.maximum(abs(lower), abs(upper))
        self.below = Corner(first, low, steepest(upper - first), reach, -1.0)
        self.above = Corner(last, high, steepest(last - lower), reach, 1.0)

    def start(self) -> tuple[Array, ...]:
        """The slope that leaves less between line and stairs on average, one of the extremes."""
        xp = namespace(self._middle)
        one, none = xp.ones_like(self._middle), xp.zeros_like(self._middle)
        below = xp.where(self._middle > self.below.jump, one, none)
        return below, xp.where(self._middle < self.above.jump, one, none)

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The two lines."""
        slope_below, bias_below = self.below.line(parameters[0])
        slope_above, bias_above = self.above.line(parameters[1])
        return Planes((slope_below,), bias_below, (slope_above,), bias_above)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The lines turn around their corners."""
        return positive(weight) * self.below.gradient(xs[0]), negative(weight) * self.above.gradient(xs[0])

    def gap(self) -> Array:
        """Distance of the lines at the middle of the interval."""
        planes = self.planes(self.start())
        difference = (planes.upper_slopes[0] - planes.lower_slopes[0]) * self._middle
        return (difference + planes.upper_bias - planes.lower_bias)[:, 0]


@dataclass(frozen=True, eq=False)
class Staircase(Elementwise):
    """A function that jumps upward at one place, or by 1 at places 1 apart, and is constant between."""

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Where f rises from the value `low`, and where it reaches `high` > low; anything where low = high."""
        raise NotImplementedError

    def derivative(self, x: Array) -> Array:
        """Zero."""
        return 0.0 * x

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Monotone, and computed without rounding."""
        return self.forward(bounds[0][0]), self.forward(bounds[0][1])

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Lines over the stairs."""
        return Stairs(self, *bounds[0])

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Where a jump lies inside."""
        low, high = self.interval(*bounds)
        return low < high

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The middle one of the jumps (or its neighbour) if it is inside, else the middle."""
        first, last = self.jumps(self.forward(lower), self.forward(upper))
        jump = first + namespace(lower).floor((last - first) / 2.0)
        inside = (lower < jump) & (jump < upper)
        return namespace(lower).where(inside, jump, (lower + upper) / 2.0)


@dataclass(frozen=True, eq=False)
class Sign(Staircase):
    """-1, 0 or 1."""

    def forward(self, *xs: Array) -> Array:
        """sign(x)."""
        return namespace(xs[0]).sign(xs[0])

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Zero."""
        return 0.0 * low, 0.0 * high


@dataclass(frozen=True, eq=False)
class Step(Staircase):
    """1 for x > 0, else 0."""

    def forward(self, *xs: Array) -> Array:
        """x > 0."""
        x = xs[0]
        return namespace(x).where(x > 0.0, namespace(x).ones_like(x), namespace(x).zeros_like(x))

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Zero."""
        return 0.0 * low, 0.0 * high


@dataclass(frozen=True, eq=False)
class Floor(Staircase):
    """The largest integer <= x."""

    def forward(self, *xs: Array) -> Array:
        """floor(x)."""
        return namespace(xs[0]).floor(xs[0])

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Each integer is where it is reached."""
        return low + 1.0, high


@dataclass(frozen=True, eq=False)
class Round(Staircase):
    """The nearest integer, the even one of two."""

    def forward(self, *xs: Array) -> Array:
        """round(x)."""
        return namespace(xs[0]).round(xs[0])

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Halfway between integers."""
        return low + 0.5, high - 0.5


@register("Sign", handled=HANDLED, examples=lambda: [Example([(2, 3)])], since=9)
def sign_node(node: NodeSpec, build: Builder) -> Value:
    """Sign."""
    x = node.variable()
    return build.emit(Sign((x.shape,), x.shape), x)


def _floor(build: Builder, x: Value) -> Value:
    return build.emit(Floor((x.shape,), x.shape), x)


@register("Floor", handled=HANDLED, examples=lambda: [Example([(2, 3)])])
def floor_node(node: NodeSpec, build: Builder) -> Value:
    """Floor."""
    return _floor(build, node.variable())


@register("Ceil", handled=HANDLED, examples=lambda: [Example([(2, 3)])])
def ceil_node(node: NodeSpec, build: Builder) -> Value:
    """-floor(-x)."""
    x = node.variable()
    mirrored = _floor(build, build.emit(ScaleShift.scalar(x.shape, -1.0), x))
    return build.emit(ScaleShift.scalar(x.shape, -1.0), mirrored)


@register("Round", handled=HANDLED, examples=lambda: [Example([(2, 3)])], since=11)
def round_node(node: NodeSpec, build: Builder) -> Value:
    """Round, halves to even."""
    x = node.variable()
    return build.emit(Round((x.shape,), x.shape), x)


@register("ThresholdedRelu", handled="Relu and a jump, slopes optimised",
          examples=lambda: [Example([(2, 3)]), Example([(5,)], {"alpha": -0.5})])  # fmt: skip
def thresholded_relu(node: NodeSpec, build: Builder) -> Value:
    """x above alpha, else 0: relu(x - alpha) + alpha * (x > alpha)."""
    x = node.variable()
    alpha = float(node.attributes.get("alpha", 1.0))
    moved = build.emit(ScaleShift.scalar(x.shape, 1.0, -alpha), x) if alpha != 0.0 else x
    bent = build.emit(Relu((x.shape,), x.shape), moved)
    if alpha == 0.0:
        return bent
    jump = build.emit(ScaleShift.scalar(x.shape, alpha), build.emit(Step((x.shape,), x.shape), moved))
    return add(build, bent, jump)
