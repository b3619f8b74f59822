"""x^2 and 1 / sqrt(x), what norms and variances are made of: convex, so a chord bounds above and any tangent below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis
from certify.ops.registry import Builder, Value

# Outward slack, in units of roundoff, for the few operations behind a slope and an offset.
SLACK = 16.0
# 1 / sqrt(x) is not claimed to be anything where x may be smaller.
SMALLEST = 1e-80


class ConvexPlanes(Relaxation):
    """Below: the tangent at lower + p * width; above: the chord; infinite where f is not regular."""

    def __init__(self, f: Convex, lower: Array, upper: Array) -> None:
        """lower, upper: [batch, *shape]."""
        xp = namespace(lower)
        self.f = f
        regular = f.regular(lower, upper)
        one = xp.ones_like(lower)
        lower, upper = xp.where(regular, lower, one), xp.where(regular, upper, one)
        reach = xp.maximum(abs(lower), abs(upper))
        slope, low, high = f.chord(lower, upper), f.forward(lower), f.forward(upper)
        slack = SLACK * roundoff(lower) * (abs(low) + abs(high) + abs(slope) * reach)
        infinite = xp.full_like(lower, xp.inf)
        self.slope = with_spec_axis(xp.where(regular, slope, 0.0 * slope))
        self.bias = with_spec_axis(xp.where(regular, low - slope * lower + slack, infinite))
        self.lower, self.width, self.reach = map(with_spec_axis, (lower, upper - lower, reach))
        self.regular = with_spec_axis(regular)
        middle = lower + 0.5 * (upper - lower)
        self._gap = positive(xp.where(regular, low + slope * (middle - lower) - f.forward(middle), infinite))

    def start(self) -> tuple[Array, ...]:
        """The tangent in the middle."""
        return (namespace(self.lower).full_like(self.lower, 0.5),)

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """Tangent and chord."""
        xp = namespace(self.lower)
        point = self.lower + parameters[0] * self.width
        value, slope = self.f.forward(point), self.f.derivative(point)
        slack = SLACK * roundoff(slope) * (abs(value) + abs(slope) * self.reach)
        bias = xp.where(self.regular, value - slope * point - slack, xp.full_like(value, -xp.inf))
        return Planes((xp.where(self.regular, slope, 0.0 * slope),), bias, (self.slope,), self.bias)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Through the tangent point."""
        xp = namespace(self.lower)
        point = self.lower + parameters[0] * self.width
        turn = self.f.second_derivative(point) * self.width * (xs[0] - point)
        return (positive(weight) * xp.where(self.regular, turn, 0.0 * turn),)

    def gap(self) -> Array:
        """Distance of the planes at the middle."""
        return self._gap


@dataclass(frozen=True, eq=False)
class Convex(Elementwise):
    """A convex function on the intervals where it is regular."""

    def regular(self, lower: Array, upper: Array) -> Array:
        """Where the function exists on the whole interval and nothing overflows."""
        raise NotImplementedError

    def chord(self, lower: Array, upper: Array) -> Array:
        """Slope between the ends, without cancellation."""
        raise NotImplementedError

    def second_derivative(self, x: Array) -> Array:
        """f''(x)."""
        raise NotImplementedError

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Tangent and chord."""
        return ConvexPlanes(self, *bounds[0])

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Wherever the input varies."""
        return bounds[0][1] > bounds[0][0]

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The middle."""
        return lower + 0.5 * (upper - lower)


@dataclass(frozen=True, eq=False)
class Square(Convex):
    """x^2."""

    def forward(self, *xs: Array) -> Array:
        """x^2."""
        return xs[0] * xs[0]

    def derivative(self, x: Array) -> Array:
        """2 x."""
        return 2.0 * x

    def second_derivative(self, x: Array) -> Array:
        """2."""
        return 2.0 * namespace(x).ones_like(x)

    def regular(self, lower: Array, upper: Array) -> Array:
        """Where squares do not overflow."""
        most = 1e-3 * float(np.sqrt(float(namespace(lower).finfo(lower.dtype).max)))
        return (lower >= -most) & (upper <= most)

    def chord(self, lower: Array, upper: Array) -> Array:
        """Sum of the ends."""
        return lower + upper

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """The ends' squares, zero where zero is inside; not negative in any case."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        regular = self.regular(lower, upper)
        lower, upper = (xp.where(regular, x, xp.zeros_like(x)) for x in (lower, upper))
        nearest = positive(lower) - negative(upper)
        farthest = xp.maximum(abs(lower), abs(upper))
        up = 1.0 + 2.0 * roundoff(lower)
        high = xp.where(regular, up * farthest * farthest, xp.full_like(lower, xp.inf))
        return nearest * nearest / up, high


@dataclass(frozen=True, eq=False)
class InverseRoot(Convex):
    """1 / sqrt(x) for x > 0."""

    def forward(self, *xs: Array) -> Array:
        """1 / sqrt(x), infinite or NaN elsewhere."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1.0 / namespace(xs[0]).sqrt(xs[0])

    def derivative(self, x: Array) -> Array:
        """-1 / (2 x sqrt(x))."""
        return -0.5 * self.forward(x) / x

    def second_derivative(self, x: Array) -> Array:
        """3 / (4 x^2 sqrt(x))."""
        return 0.75 * self.forward(x) / x / x

    def regular(self, lower: Array, upper: Array) -> Array:
        """Clear of zero; in float32 the derivatives overflow earlier."""
        smallest = SMALLEST if roundoff(lower) < 1e-12 else 1e-12
        return (lower >= smallest) & (upper <= 1.0 / smallest**1.5)

    def chord(self, lower: Array, upper: Array) -> Array:
        """-1 / (a b (a + b)) with the ends' roots a, b."""
        xp = namespace(lower)
        a, b = xp.sqrt(lower), xp.sqrt(upper)
        return -1.0 / (a * b) / (a + b)

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Decreasing; nothing is claimed where the argument may not be positive."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        regular = self.regular(lower, upper)
        one, infinite = xp.ones_like(lower), xp.full_like(lower, xp.inf)
        slack = 4.0 * roundoff(lower)
        low = self.forward(xp.where(regular, upper, one)) * (1.0 - slack)
        high = self.forward(xp.where(regular, lower, one)) * (1.0 + slack)
        return xp.where(regular, low, -infinite), xp.where(regular, high, infinite)


def square(build: Builder, x: Value) -> Value:
    """x^2."""
    return build.emit(Square((x.shape,), x.shape), x)


def inverse_root(build: Builder, x: Value) -> Value:
    """1 / sqrt(x)."""
    return build.emit(InverseRoot((x.shape,), x.shape), x)
