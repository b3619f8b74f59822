"""Smooth functions between lines: tangents where they bend away from the line, else the chord.

One rule serves all of them. An upper line of f on [l, u] is looked for as a tangent at a point t of one stretch on
which f is concave. It is above f on all of [l, u] iff it is above f at both ends, provided that f is convex on the rest
of [l, u]: a convex piece lies below the line if its ends do. The tangent's value at l grows with t and its value at u
falls, so the sound tangents form an interval of t, found by bisection. Where it is empty, the chord is an upper line:
raised until it touched the concave stretch it would be a sound tangent. Lower lines of f are upper lines of -f. (Zhang
et al. 2018, CROWN, section 3.2; Shi et al. 2024, GenBaB, appendix.)

A second concave stretch may lie to the other side of the convex one, provided that f is steeper on the right one than
anywhere on the left one (Gelu, Mish). Then a tangent of the right one that is above f(l), or one of the left one that
is above f(u), is above the other stretch as well; and where not even the tangent at u is above f(l), and none of the
left one is above f(u), the chord's slope lies between f'(l) and f'(u), which makes it an upper line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis

# Outward slack for the rounding of a line and of f, in units of roundoff of the values and terms involved.
SLACK = 24.0
BISECTIONS = 60
# Ranges of tangent points narrower than this are one point.
NO_ROOM = 1e-290


class Stretch(NamedTuple):
    """Where f bends one way, broadcastable to [batch, *shape]; empty if first > last, unknown where NaN."""

    first: Array | float
    last: Array | float


EVERYWHERE = Stretch(-np.inf, np.inf)
NOWHERE = Stretch(np.inf, -np.inf)


class UpperLine:
    """Lines above sign * f on [lower, upper] ([batch, *shape]): slope, bias as functions of a parameter in [0, 1].

    Where `constant` is the only line that is known to be sound (`settled`), it is used.
    """

    def __init__(self, f: Curve, sign: float, bounds: tuple[Array, Array], constant: Array, settled: Array) -> None:
        """Choose chord, tangent or constant per element, and the range of tangent points."""
        self.f, self.sign = f, sign
        self.lower, self.upper = lower, upper = bounds
        self.constant = constant
        with np.errstate(all="ignore"):
            self.f_low, self.f_high = sign * f.forward(lower), sign * f.forward(upper)
            stretch = f.concave(lower, upper) if sign > 0.0 else f.convex(lower, upper)
            start, end = (edge + namespace(lower).zeros_like(lower) for edge in stretch)
            self.settled = settled | namespace(lower).isnan(start)
            self._choose_tangents(start, end)
            self._choose_chord()
        self.reach = with_spec_axis(namespace(lower).maximum(abs(lower), abs(upper)))

    def _choose_tangents(self, start: Array, end: Array) -> None:
        """first <= last: the sound tangent points of the concave stretch from `start` to `end`; none at `use_chord`."""
        xp = namespace(self.lower)
        first, last = xp.maximum(self.lower, start), xp.minimum(self.upper, end)
        empty = ~(first <= last)
        first, last = xp.where(empty, self.lower, first), xp.where(empty, self.lower, last)
        left = (self.lower < start) & ~empty
        right = (self.upper > end) & ~empty
        bad = (left & ~self._above_left(last)) | (right & ~self._above_right(first))
        found_first = self._bisect(self._above_left, first, last, left & ~bad)
        found_last = self._bisect(self._above_right, last, first, right & ~bad)
        self.use_chord = empty | bad | ~(found_first <= found_last)
        middle = (self.lower + self.upper) / 2.0
        self.first = xp.where(self.use_chord, middle, found_first)
        self.last = xp.where(self.use_chord, middle, found_last)

    def _tangent(self, t: Array, x: Array) -> Array:
        """The value at x of the tangent at t."""
        return self.sign * (self.f.forward(t) + self.f.derivative(t) * (x - t))

    def _above_left(self, t: Array) -> Array:
        return self._tangent(t, self.lower) >= self.f_low

    def _above_right(self, t: Array) -> Array:
        return self._tangent(t, self.upper) >= self.f_high

    def _bisect(self, above: object, unsound: Array, sound: Array, wanted: Array) -> Array:
        """The point nearest to `unsound`, coming from `sound`, whose tangent is above; `unsound` where not wanted."""
        assert callable(above)
        if not bool(wanted.any()):
            return unsound
        xp = namespace(unsound)
        far, near = unsound, sound
        for _ in range(BISECTIONS):
            middle = far / 2.0 + near / 2.0
            fine = above(middle)
            far, near = xp.where(fine, far, middle), xp.where(fine, middle, near)
        return xp.where(wanted, near, unsound)

    def _choose_chord(self) -> None:
        """Its slope may be mostly rounding; anchored above both ends it is sound all the same."""
        xp = namespace(self.lower)
        width = self.upper - self.lower
        slope = (self.f_high - self.f_low) / xp.where(width > 0.0, width, xp.ones_like(width))
        self.chord_slope = xp.where((width > 0.0) & xp.isfinite(slope), slope, xp.zeros_like(slope))
        self.chord_bias = xp.maximum(
            self.f_low - self.chord_slope * self.lower, self.f_high - self.chord_slope * self.upper
        )
        self.chord_size = xp.maximum(abs(self.f_low), abs(self.f_high))

    def start(self) -> Array:
        """The parameter of the tangent at the favourite point of the interval, or the nearest sound one."""
        xp = namespace(self.lower)
        room = self.last - self.first
        # A quotient by a smaller number may overflow; every parameter is sound.
        safe = xp.where(room > NO_ROOM, room, xp.ones_like(room))
        return xp.clip((self.f.favourite(self.lower, self.upper) - self.first) / safe, 0.0, 1.0)

    def line(self, parameter: Array) -> tuple[Array, Array]:
        """(slope, bias), [batch, spec, *shape], for a parameter broadcastable to that shape."""
        xp = namespace(parameter)
        first, last, use_chord, settled = map(with_spec_axis, (self.first, self.last, self.use_chord, self.settled))
        with np.errstate(all="ignore"):
            t = xp.clip(first + parameter * (last - first), first, last)
            f, steep = self.sign * self.f.forward(t), self.sign * self.f.derivative(t)
            slope = xp.where(use_chord, with_spec_axis(self.chord_slope), steep)
            bias = xp.where(use_chord, with_spec_axis(self.chord_bias), f - steep * t)
            size = xp.where(use_chord, with_spec_axis(self.chord_size), abs(f))
            terms = xp.where(use_chord, abs(slope), self.f.steepness(t))
            bias = bias + SLACK * roundoff(slope) * (1.0 + size + terms * self.reach)
            fine = xp.isfinite(slope) & xp.isfinite(bias) & ~settled
        return xp.where(fine, slope, xp.zeros_like(slope)), xp.where(fine, bias, with_spec_axis(self.constant))

    def line_gradient(self, parameter: Array) -> tuple[Array, Array]:
        """(d slope, d bias) by the parameter."""
        xp = namespace(parameter)
        first, last, fixed = map(with_spec_axis, (self.first, self.last, self.use_chord | self.settled))
        with np.errstate(all="ignore"):
            t = xp.clip(first + parameter * (last - first), first, last)
            bend = self.sign * self.f.second_derivative(t) * (last - first)
            fixed = fixed | ~xp.isfinite(bend * t) | ~xp.isfinite(self.f.derivative(t))
        bend = xp.where(fixed, xp.zeros_like(bend), bend)
        return bend, -bend * t


class CurveRelaxation(Relaxation):
    """An upper line of -f, negated, and an upper line of f; two parameters (lower, upper)."""

    def __init__(self, f: Curve, lower: Array, upper: Array) -> None:
        """lower, upper: [batch, *shape]."""
        xp = namespace(lower)
        low, high = f.interval((lower, upper))
        settled = ~f.regular(lower, upper)
        inside = xp.full_like(lower, f.inside)
        bounds = xp.where(settled, inside, lower), xp.where(settled, inside, upper)
        self.below = UpperLine(f, -1.0, bounds, -low, settled)
        self.above = UpperLine(f, 1.0, bounds, high, settled)
        self._middle = with_spec_axis((bounds[0] + bounds[1]) / 2.0)

    def start(self) -> tuple[Array, ...]:
        """Tangents at the favourite point where they are sound."""
        return with_spec_axis(self.below.start()), with_spec_axis(self.above.start())

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The two lines."""
        slope_below, bias_below = self.below.line(parameters[0])
        slope_above, bias_above = self.above.line(parameters[1])
        return Planes((-slope_below,), -bias_below, (slope_above,), bias_above)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Through the tangent points."""
        slope_below, bias_below = self.below.line_gradient(parameters[0])
        slope_above, bias_above = self.above.line_gradient(parameters[1])
        below = -positive(weight) * (slope_below * xs[0] + bias_below)
        return below, negative(weight) * (slope_above * xs[0] + bias_above)

    def gap(self) -> Array:
        """Distance of the lines at the middle of the interval."""
        planes = self.planes(self.start())
        difference = (planes.upper_slopes[0] - planes.lower_slopes[0]) * self._middle
        return (difference + planes.upper_bias - planes.lower_bias)[:, 0]


@dataclass(frozen=True, eq=False)
class Curve(Elementwise):
    """A function with two derivatives (the second may jump) where it is `regular`, elsewhere known by constants only.

    Its values must be accurate to a few units in the last place of themselves and of `absolute`.
    """

    @property
    def absolute(self) -> float:
        """Size of the terms that cancel in f, to which its rounding is relative where f itself is small."""
        return 0.0

    def second_derivative(self, x: Array) -> Array:
        """f''(x)."""
        raise NotImplementedError

    def concave(self, lower: Array, upper: Array) -> Stretch:
        """Where tangents may be upper lines on [lower, upper]: the rest is convex, or as the module text allows."""
        raise NotImplementedError

    def convex(self, lower: Array, upper: Array) -> Stretch:
        """Where tangents may be lower lines on [lower, upper]: the rest is concave."""
        raise NotImplementedError

    def steepness(self, x: Array) -> Array:
        """Sum of the absolute terms of f'(x), to which the rounding of f'(x) is relative."""
        return abs(self.derivative(x))

    @property
    def domain(self) -> tuple[float, float]:
        """Where f and its derivatives exist and are far from overflow; beyond, nothing is claimed."""
        return -np.inf, np.inf

    @property
    def inside(self) -> float:
        """Some point of the domain."""
        return 1.0

    @property
    def range(self) -> tuple[float, float]:
        """Bounds of f on everything that it may be given."""
        return -np.inf, np.inf

    def turns(self, lower: Array, upper: Array) -> tuple[Array | float, ...]:
        """Places of the extremes that f may have inside [lower, upper]; others there do no harm."""
        return ()

    def regular(self, lower: Array, upper: Array) -> Array:
        """Mask: where lines may be drawn."""
        finite = namespace(lower).isfinite(lower) & namespace(upper).isfinite(upper)
        return finite & (lower >= self.domain[0]) & (upper <= self.domain[1])

    def favourite(self, lower: Array, upper: Array) -> Array:
        """Where the starting tangents touch if they may: the middle."""
        return (lower + upper) / 2.0

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """The extremes over both ends and the turns between; the rounding of f is covered by the slack."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        fine = self.regular(lower, upper)
        inside = xp.full_like(lower, self.inside)
        left, right = xp.where(fine, lower, inside), xp.where(fine, upper, inside)
        with np.errstate(all="ignore"):
            values = [self.forward(left), self.forward(right)]
            values += [
                self.forward(xp.clip(turn + xp.zeros_like(left), left, right)) for turn in self.turns(left, right)
            ]
        low, high = values[0], values[0]
        for value in values[1:]:
            low, high = xp.minimum(low, value), xp.maximum(high, value)
        share = SLACK * roundoff(low)
        low, high = low - share * (abs(low) + self.absolute), high + share * (abs(high) + self.absolute)
        low, high = xp.where(fine, low, xp.full_like(low, -xp.inf)), xp.where(fine, high, xp.full_like(high, xp.inf))
        return xp.clip(low, *self.range), xp.clip(high, *self.range)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Chords and tangents."""
        return CurveRelaxation(self, *bounds[0])

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Wherever the input varies."""
        return bounds[0][1] > bounds[0][0]

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The middle."""
        return (lower + upper) / 2.0


class AllConvex(Curve):
    """A curve that is convex throughout its domain."""

    def concave(self, lower: Array, upper: Array) -> Stretch:
        """Nowhere."""
        return NOWHERE

    def convex(self, lower: Array, upper: Array) -> Stretch:
        """Everywhere."""
        return EVERYWHERE
