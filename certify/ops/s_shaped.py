"""Sigmoid and Tanh: convex left of zero, concave right of it.

Relaxation: chord where it bounds, else a tangent whose point is free between the two extreme sound ones (Zhang et al.
2018, CROWN, section 3.2; Shi et al. 2024, GenBaB, appendix). Both functions are odd up to a constant, so one bound is
the mirror image of the other: with g(x) = c - f(-x) = f(x), a lower line of f on [l, u] is c minus an upper line on
[-u, -l] at -x.
"""

from __future__ import annotations

from dataclasses import dataclass

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis
from certify.ops.registry import Builder, Example, NodeSpec, Value, register

# Outward slack of each line for the rounding of its slope and offset, in units of roundoff of 1 + |slope * x|.
SLACK = 16.0
# Below this width, in roots of roundoff, a chord's slope is mostly rounding; constants at the ends are used instead.
NARROW = 100.0
BISECTIONS = 60


class UpperLine:
    """Lines above f on [lower, upper] ([batch, *shape]): slope, bias as functions of a parameter in [0, 1]."""

    def __init__(self, f: SShaped, lower: Array, upper: Array) -> None:
        """Choose chord or tangent per element, and the range of tangent points."""
        xp = namespace(lower)
        self.f = f
        self.lower, self.upper = lower, upper
        f_low, f_high = f.forward(lower), f.forward(upper)
        self.narrow = upper - lower < NARROW * roundoff(lower) ** 0.5
        width = xp.where(self.narrow, xp.ones_like(lower), upper - lower)
        chord = (f_high - f_low) / width
        self.chord_slope = xp.where(self.narrow, xp.zeros_like(chord), chord)
        self.chord_bias = xp.where(self.narrow, f_high, f_low - chord * lower)
        # The chord is above f iff f is convex all the way, or bends so late that the chord is no steeper than f at u.
        self.use_chord = self.narrow | (upper <= 0.0) | (chord <= f.derivative(upper))
        self.first = xp.where(lower >= 0.0, lower, xp.minimum(self._tangent_through_left(f_low), upper))

    def _tangent_through_left(self, f_low: Array) -> Array:
        """The smallest t >= 0 whose tangent passes above (l, f(l)), from above, for l < 0 < u; by bisection."""
        xp = namespace(f_low)
        left, low, high = negative(self.lower), xp.zeros_like(f_low), positive(self.upper)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2.0
            above = self.f.forward(middle) + self.f.derivative(middle) * (left - middle) >= f_low
            low, high = xp.where(above, low, middle), xp.where(above, middle, high)
        return high

    def start(self) -> Array:
        """The parameter of the tangent at the middle of the interval, or the nearest sound one."""
        xp = namespace(self.lower)
        room = self.upper - self.first
        middle = (self.lower + self.upper) / 2.0
        safe = xp.where(room > 0.0, room, xp.ones_like(room))
        return xp.clip((middle - self.first) / safe, 0.0, 1.0)

    def line(self, parameter: Array) -> tuple[Array, Array]:
        """(slope, bias), [batch, spec, *shape], for a parameter broadcastable to that shape."""
        xp = namespace(parameter)
        first, upper, use_chord = map(with_spec_axis, (self.first, self.upper, self.use_chord))
        t = first + parameter * (upper - first)
        steep = self.f.derivative(t)
        slope = xp.where(use_chord, with_spec_axis(self.chord_slope), steep)
        bias = xp.where(use_chord, with_spec_axis(self.chord_bias), self.f.forward(t) - steep * t)
        reach = with_spec_axis(xp.maximum(abs(self.lower), abs(self.upper)))
        return slope, bias + SLACK * roundoff(slope) * (1.0 + abs(slope) * reach)

    def line_gradient(self, parameter: Array) -> tuple[Array, Array]:
        """(d slope, d bias) by the parameter."""
        xp = namespace(parameter)
        first, upper, use_chord = map(with_spec_axis, (self.first, self.upper, self.use_chord))
        t = first + parameter * (upper - first)
        bend = xp.where(use_chord, xp.zeros_like(t), self.f.second_derivative(t) * (upper - first))
        return bend, -bend * t


class SShapedRelaxation(Relaxation):
    """An upper line, and the mirror image of one as lower line; two parameters (lower, upper)."""

    def __init__(self, f: SShaped, lower: Array, upper: Array) -> None:
        """lower, upper: [batch, *shape]."""
        self.f = f
        self.above = UpperLine(f, lower, upper)
        self.mirrored = UpperLine(f, -upper, -lower)
        self._middle = with_spec_axis((lower + upper) / 2.0)

    def start(self) -> tuple[Array, ...]:
        """Tangents at the middle where they are sound."""
        return with_spec_axis(self.mirrored.start()), with_spec_axis(self.above.start())

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The two lines: f(x) = c - f(-x) >= c - (slope * -x + bias)."""
        slope_below, bias_below = self.mirrored.line(parameters[0])
        slope_above, bias_above = self.above.line(parameters[1])
        return Planes((slope_below,), self.f.symmetry - bias_below, (slope_above,), bias_above)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Through the tangent points."""
        slope_below, bias_below = self.mirrored.line_gradient(parameters[0])
        slope_above, bias_above = self.above.line_gradient(parameters[1])
        below = positive(weight) * (slope_below * xs[0] - bias_below)
        return below, negative(weight) * (slope_above * xs[0] + bias_above)

    def gap(self) -> Array:
        """Distance of the lines at the middle of the interval."""
        planes = self.planes(self.start())
        difference = (planes.upper_slopes[0] - planes.lower_slopes[0]) * self._middle
        return (difference + planes.upper_bias - planes.lower_bias)[:, 0]


@dataclass(frozen=True, eq=False)
class SShaped(Elementwise):
    """An increasing function with f(x) + f(-x) = symmetry."""

    @property
    def symmetry(self) -> float:
        """f(x) + f(-x)."""
        raise NotImplementedError

    def second_derivative(self, x: Array) -> Array:
        """f''(x)."""
        raise NotImplementedError

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Increasing; the rounding of the library's own f is covered by the slack."""
        low, high = self.forward(bounds[0][0]), self.forward(bounds[0][1])
        slack = SLACK * roundoff(low)
        return low - slack, high + slack

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Chords and tangents."""
        return SShapedRelaxation(self, *bounds[0])

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Wherever the input varies."""
        return bounds[0][1] > bounds[0][0]

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The middle."""
        return (lower + upper) / 2.0


@dataclass(frozen=True, eq=False)
class Sigmoid(SShaped):
    """1 / (1 + exp(-x))."""

    symmetry = 1.0

    def forward(self, *xs: Array) -> Array:
        """Through tanh, which never overflows."""
        return 0.5 + 0.5 * namespace(xs[0]).tanh(0.5 * xs[0])

    def derivative(self, x: Array) -> Array:
        """f (1 - f)."""
        t = namespace(x).tanh(0.5 * x)
        return 0.25 * (1.0 - t * t)

    def second_derivative(self, x: Array) -> Array:
        """f (1 - f) (1 - 2 f)."""
        t = namespace(x).tanh(0.5 * x)
        return -0.25 * t * (1.0 - t * t)


@dataclass(frozen=True, eq=False)
class Tanh(SShaped):
    """tanh(x)."""

    symmetry = 0.0

    def forward(self, *xs: Array) -> Array:
        """tanh(x)."""
        return namespace(xs[0]).tanh(xs[0])

    def derivative(self, x: Array) -> Array:
        """1 - tanh^2."""
        t = namespace(x).tanh(x)
        return 1.0 - t * t

    def second_derivative(self, x: Array) -> Array:
        """-2 tanh (1 - tanh^2)."""
        t = namespace(x).tanh(x)
        return -2.0 * t * (1.0 - t * t)


@register("Sigmoid", handled="chord and tangent planes, tangent points optimised", examples=lambda: [Example([(2, 3)])])
def sigmoid(node: NodeSpec, build: Builder) -> Value:
    """Sigmoid."""
    x = node.variable()
    return build.emit(Sigmoid((x.shape,), x.shape), x)


@register("Tanh", handled="chord and tangent planes, tangent points optimised", examples=lambda: [Example([(2, 3)])])
def tanh(node: NodeSpec, build: Builder) -> Value:
    """Tanh."""
    x = node.variable()
    return build.emit(Tanh((x.shape,), x.shape), x)
