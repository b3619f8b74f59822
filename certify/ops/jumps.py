"""What jumps: sign tests and rounding to integers. Sign, Floor, Ceil, Round; ThresholdedRelu with one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace
from certify.ops.arithmetic import add, scale
from certify.ops.kinds import Relaxation
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.relu import Relu
from certify.ops.scale import ScaleShift
from certify.ops.staircase import Corner, Jump, Side, Staircase, Stairs, slope_to

HANDLED = "lines over the stairs, slopes optimised"


# Attacks see a jump as wide as so many standard deviations of an element over the points under attack, and this share
# of the layer's values more, which is all there is where they agree.
WIDTH, LEAST_WIDTH = 2.0, 0.03


def blurred(x: Array) -> tuple[Array, Array]:
    """(x in units of the width its jump at zero is seen with, that width) for points x [points, *shape].

    What an element takes on nearby tells how near a jump has to be to matter, whatever the scale of the layer.
    """
    xp = namespace(x)
    size = xp.mean(abs(x), axis=tuple(range(1, x.ndim)), keepdims=True)
    width = WIDTH * xp.std(x, axis=0, keepdims=True) + LEAST_WIDTH * size
    width = xp.where(width > 0.0, width, xp.ones_like(width))
    return x / width, width


@dataclass(frozen=True, eq=False)
class AtZero(Staircase):
    """Jumps at zero only."""

    def descent(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """A surrogate with long tails (as in Zenke and Ganguli 2018), so that far ones are followed if no other is."""
        share, width = blurred(xs[0])
        return (grad / (width * (1.0 + share * share)),)

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Zero."""
        xp = namespace(low)
        return xp.zeros_like(low), xp.zeros_like(high)


@dataclass(frozen=True, eq=False)
class Sign(AtZero):
    """-1, 0 or 1."""

    def forward(self, *xs: Array) -> Array:
        """sign(x)."""
        return namespace(xs[0]).sign(xs[0])


@dataclass(frozen=True, eq=False)
class Step(AtZero):
    """1 where x > 0, or where x >= 0 if `closed`; else 0."""

    closed: bool = False

    def forward(self, *xs: Array) -> Array:
        """0 or 1."""
        xp = namespace(xs[0])
        true = xs[0] >= 0.0 if self.closed else xs[0] > 0.0
        return xp.where(true, xp.ones_like(xs[0]), xp.zeros_like(xs[0]))


@dataclass(frozen=True, eq=False)
class IsZero(Jump):
    """1 where x = 0, else 0."""

    def forward(self, *xs: Array) -> Array:
        """0 or 1."""
        xp = namespace(xs[0])
        return xp.where(xs[0] == 0.0, xp.ones_like(xs[0]), xp.zeros_like(xs[0]))

    def descent(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """Towards zero: the derivative of a blurred peak."""
        share, width = blurred(xs[0])
        return (-2.0 * grad * share / (width * (1.0 + share * share) ** 2),)

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """[0, 1] where zero is one of several values."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        inside = (lower <= 0.0) & (upper >= 0.0)
        one, zero = xp.ones_like(lower), xp.zeros_like(lower)
        return xp.where(inside & (lower == upper), one, zero), xp.where(inside, one, zero)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Below the constant; above, lines over the peak and both ends, from the one to the other of these."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        low, high = self.interval(*bounds)
        zero = xp.zeros_like(lower)
        with np.errstate(all="ignore"):
            width = upper - lower
            slopes = (
                xp.where((low < high) & (distance > 0.0), slope_to(sign * high, distance, width), zero)
                for sign, distance in ((-1.0, upper), (1.0, -lower))
            )
            reach = xp.maximum(abs(lower), abs(upper))
            above = Side([(zero, high), (lower, low), (upper, low)], tuple(slopes), reach, 1.0)
        return Stairs(Side([(zero, low)], (zero, zero), reach, -1.0), above, bounds[0])

    def split_point(self, lower: Array, upper: Array) -> Array:
        """Zero, or the middle where zero is an end."""
        xp = namespace(lower)
        inside = (lower < 0.0) & (upper > 0.0)
        return xp.where(inside, xp.zeros_like(lower), lower / 2.0 + upper / 2.0)


@dataclass(frozen=True, eq=False)
class Rounding(Staircase):
    """To a nearby integer. Integers stay what they are, and what goes to one of them is an interval around it."""


@dataclass(frozen=True, eq=False)
class Floor(Rounding):
    """The largest integer <= x."""

    def forward(self, *xs: Array) -> Array:
        """floor(x)."""
        return namespace(xs[0]).floor(xs[0])

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Each integer is where it is reached."""
        return low + 1.0, high


@dataclass(frozen=True, eq=False)
class Ceil(Rounding):
    """The smallest integer >= x."""

    def forward(self, *xs: Array) -> Array:
        """ceil(x)."""
        return namespace(xs[0]).ceil(xs[0])

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Each integer is where it is left behind."""
        return low, high - 1.0


@dataclass(frozen=True, eq=False)
class Round(Rounding):
    """The nearest integer, the even one of two."""

    def forward(self, *xs: Array) -> Array:
        """round(x)."""
        return namespace(xs[0]).round(xs[0])

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Halfway between integers."""
        return low + 0.5, high - 0.5


@dataclass(frozen=True, eq=False)
class Truncate(Rounding):
    """The integer next to x on the side of zero. The stair at zero is twice as long as the others."""

    def forward(self, *xs: Array) -> Array:
        """trunc(x)."""
        return namespace(xs[0]).trunc(xs[0])

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        """A negative integer is left behind where it is, a positive one is reached there."""
        xp = namespace(low)
        return xp.where(low >= 0.0, low + 1.0, low), xp.where(high > 0.0, high, high - 1.0)

    def corners(self, low: Array, high: Array) -> tuple[list[Corner], list[Corner]]:
        """Where the stair at zero lies between others, its ends as well."""
        xp = namespace(low)
        one, across = xp.ones_like(low), (low < 0.0) & (high > 0.0)
        (below,), (above,) = super().corners(low, high)

        def end(x: Array, other: Corner) -> Corner:
            return xp.where(across, x, other[0]), xp.where(across, 0.0 * one, other[1])

        return [below, end(one, below)], [above, end(-one, above)]


@register("Sign", handled=HANDLED, examples=lambda: [Example([(2, 3)])], since=9)
def sign_node(node: NodeSpec, build: Builder) -> Value:
    """Sign."""
    x = node.variable()
    return build.emit(Sign((x.shape,), x.shape), x)


@register("Floor", handled=HANDLED, examples=lambda: [Example([(2, 3)])])
def floor_node(node: NodeSpec, build: Builder) -> Value:
    """Floor."""
    x = node.variable()
    return build.emit(Floor((x.shape,), x.shape), x)


@register("Ceil", handled=HANDLED, examples=lambda: [Example([(2, 3)])])
def ceil_node(node: NodeSpec, build: Builder) -> Value:
    """Ceil."""
    x = node.variable()
    return build.emit(Ceil((x.shape,), x.shape), x)


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


@register("Shrink", handled="two Relu and two jumps, slopes optimised", since=9,
          examples=lambda: [Example([(2, 3)], {"lambd": 0.25, "bias": 0.25}),
                            Example([(5,)], {"lambd": 0.25})])  # fmt: skip
def shrink(node: NodeSpec, build: Builder) -> Value:
    """Towards zero by the bias where |x| > lambd, else 0: relu(x - lambd) + (lambd - bias) (x > lambd), mirrored."""
    x = node.variable()
    threshold, bias = float(node.attributes.get("lambd", 0.5)), float(node.attributes.get("bias", 0.0))
    if threshold < 0.0:
        raise node.unsupported("lambd must not be negative")
    halves = []
    for sign in (1.0, -1.0):
        beyond = build.emit(ScaleShift.scalar(x.shape, sign, -threshold), x)
        half = build.emit(Relu((x.shape,), x.shape), beyond)
        if bias != threshold:
            jump = build.emit(Step((x.shape,), x.shape), beyond)
            half = add(build, half, scale(build, jump, np.asarray(threshold - bias)))
        halves.append(half)
    return add(build, halves[0], halves[1], -1)
