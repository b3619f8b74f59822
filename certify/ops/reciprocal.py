"""1 / x on intervals that do not contain zero; on others nothing is claimed (bounds become infinite)."""

from __future__ import annotations

from dataclasses import dataclass

from certify.arrays import Array, namespace, roundoff
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis
from certify.ops.registry import Builder, Example, NodeSpec, Value, register

# Outward slack for the rounding of slope and offset, in units of roundoff of the values involved.
SLACK = 32.0
# Intervals that come closer to zero than this count as containing it: 1 / x^2 would overflow.
SMALLEST = 1e-150


class ConvexOrConcave(Relaxation):
    """1/x, convex for x > 0 and concave for x < 0: the chord on one side, the tangent at the midpoint on the other."""

    def __init__(self, lower: Array, upper: Array) -> None:
        """lower, upper: [batch, *shape]; where they do not keep clear of zero the planes are infinite."""
        xp = namespace(lower)
        unit = xp.ones_like(lower)
        self.undefined = (lower <= SMALLEST) & (upper >= -SMALLEST)
        low, high = xp.where(self.undefined, unit, lower), xp.where(self.undefined, unit, upper)
        middle = (low + high) / 2.0
        chord, tangent = -1.0 / (low * high), -1.0 / (middle * middle)
        slack = SLACK * roundoff(low) * (abs(1.0 / low) + abs(1.0 / high))
        chord_bias, tangent_bias = 1.0 / low + 1.0 / high, 2.0 / middle
        convex = low > 0.0
        zero, infinite = xp.zeros_like(lower), xp.full_like(lower, xp.inf)
        self._lower = xp.where(self.undefined, zero, xp.where(convex, tangent, chord))
        self._upper = xp.where(self.undefined, zero, xp.where(convex, chord, tangent))
        lower_bias = xp.where(convex, tangent_bias, chord_bias) - slack
        upper_bias = xp.where(convex, chord_bias, tangent_bias) + slack
        self._lower_bias = xp.where(self.undefined, -infinite, lower_bias)
        self._upper_bias = xp.where(self.undefined, infinite, upper_bias)
        self._gap = abs(chord * middle + chord_bias - 1.0 / middle)

    def start(self) -> tuple[Array, ...]:
        """No free parameter."""
        return ()

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """Chord and tangent."""
        lower, lower_bias, upper, upper_bias = map(
            with_spec_axis, (self._lower, self._lower_bias, self._upper, self._upper_bias)
        )
        return Planes((lower,), lower_bias, (upper,), upper_bias)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """No free parameter."""
        return ()

    def gap(self) -> Array:
        """Distance of chord and curve at the midpoint."""
        return self._gap


@dataclass(frozen=True, eq=False)
class Reciprocal(Elementwise):
    """1 / x."""

    def forward(self, *xs: Array) -> Array:
        """1 / x."""
        return 1.0 / xs[0]

    def derivative(self, x: Array) -> Array:
        """-1 / x^2."""
        return -1.0 / (x * x)

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Decreasing on either side of zero; (-inf, inf) across it."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        undefined = (lower <= SMALLEST) & (upper >= -SMALLEST)
        unit, infinite = xp.ones_like(lower), xp.full_like(lower, xp.inf)
        low = 1.0 / xp.where(undefined, unit, upper)
        high = 1.0 / xp.where(undefined, unit, lower)
        return xp.where(undefined, -infinite, low), xp.where(undefined, infinite, high)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Chord and tangent."""
        return ConvexOrConcave(*bounds[0])

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Wherever the input varies."""
        return bounds[0][1] > bounds[0][0]

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The middle."""
        return (lower + upper) / 2.0


@register("Reciprocal", handled="chord and tangent on intervals without zero", examples=lambda: [Example([(2, 3)])])
def reciprocal(node: NodeSpec, build: Builder) -> Value:
    """Reciprocal."""
    x = node.variable()
    return build.emit(Reciprocal((x.shape,), x.shape), x)
