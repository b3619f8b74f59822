"""Softmax and its logarithm through differences: softmax_i = 1 / (1 + sum_k exp(d_k)), d_k = x_k - x_i for all others.

Both functions of the differences are bounded directly (Wei et al. 2023, Convex bounds on the softmax function): with
chords in place of exp, 1 / (1 + sum) is convex and log(1 + sum) concave, so their tangent planes bound from one side.
On the other, log(1 + sum exp) is convex itself, and the chord of exp(-L) over its range turns that into a bound of
softmax. Every tangent point in the box is sound; the parameter p moves it from the lower corner to the upper one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Nonlinear, Planes, Relaxation, Shape, with_spec_axis

# Outward slack, in units of roundoff and per summand, for the few operations behind each slope and offset.
SLACK = 4.0
# Differences above this have chords that overflow when squared; constants are used instead.
LARGEST = 100.0
# exp(-FAR) is zero, so that infinite differences may be replaced by this.
FAR = 1e4
# Intervals that reach beyond this get constants, so that no product with a width overflows, in float32 either.
HUGE = 1e30
# What attacks add to a share before they follow it by its logarithm: nothing where it counts, all where it saturates.
FAINT = 1e-6


def _stack(arrays: Any) -> Array:
    arrays = tuple(arrays)
    return namespace(arrays[0]).stack(arrays)


def _shares(d: Array) -> tuple[Array, Array, Array]:
    """For d [n, ...]: (1 / s, exp(d) / s, log s) with s = 1 + sum exp(d), without overflow."""
    xp = namespace(d)
    top = positive(xp.max(d, axis=0))
    parts, one = xp.exp(d - top), xp.exp(-top)
    total = one + xp.sum(parts, axis=0)
    small = xp.log1p(xp.sum(xp.exp(negative(d)), axis=0))
    return one / total, parts / total, xp.where(top > 0.0, top + xp.log(total), small)


def _chord(low: Array, high: Array, width: Array) -> Array:
    """(high - low) / width where high = low * exp(width): accurate for small widths, low at 0."""
    xp = namespace(low)
    one = xp.ones_like(low)
    some, wide = width > 0.0, width > 1.0
    near = low * xp.where(some, xp.expm1(xp.minimum(width, one)) / xp.where(some, width, one), one)
    return xp.where(wide, (high - low) / xp.where(wide, width, one), near)


class TangentPlanes(Relaxation):
    """What the two relaxations share; arrays are [n, batch, 1, *shape] for differences, else [batch, 1, *shape].

    `chords` bounds sum exp from above by affine functions: 1 + sum(slopes * d + offsets) = D(d) > 0.
    """

    def __init__(self, *bounds: tuple[Array, Array]) -> None:
        """bounds: (lower, upper) of each difference, [batch, *shape] each."""
        lower, upper = (_stack(with_spec_axis(pair[i]) for pair in bounds) for i in (0, 1))
        xp = namespace(lower)
        infinite = ~xp.all((abs(lower) <= HUGE) & (abs(upper) <= HUGE), axis=0)
        self.steep = infinite | (xp.max(upper, axis=0) > LARGEST)
        self.infinite = infinite
        zero = xp.zeros_like(lower)
        self.lower, self.upper = xp.where(infinite, zero, lower), xp.where(infinite, zero, upper)
        self.width = self.upper - self.lower
        self.reach = xp.maximum(abs(self.lower), abs(self.upper))
        self.unit = SLACK * (len(bounds) + 4.0) * roundoff(lower)
        low = xp.where(self.steep, zero, self.lower)
        width = xp.where(self.steep, zero, self.width)
        high = xp.where(self.steep, zero, self.upper)
        # Starting and rising a little more than the chord does covers their rounding, as differences are >= lower.
        more, start = 1.0 + SLACK * roundoff(lower), xp.exp(low)
        self.chord_start = more * start
        self.chord_slope = more * _chord(start, xp.exp(high), width)

    def start(self) -> tuple[Array, ...]:
        """Tangents at the middle of the box."""
        half = namespace(self.lower).full_like(self.lower[0], 0.5)
        return half, half

    def _tangent_of_log(self, p: Array) -> tuple[Array, Array, Array]:
        """(log s, its slopes, rounding) at the point of parameter p."""
        xp = namespace(p)
        point = self.lower + p * self.width
        _, slopes, value = _shares(point)
        return value - xp.sum(slopes * point, axis=0), slopes, xp.sum(slopes * self.reach, axis=0) + value

    def _bend_of_log(self, p: Array, x: Array) -> Array:
        """d/dp of the tangent of log s at x."""
        xp = namespace(p)
        point = self.lower + p * self.width
        slopes = _shares(point)[1]
        turn = slopes * (self.width - xp.sum(slopes * self.width, axis=0))
        return xp.sum(turn * (x - point), axis=0)

    def _chords(self, p: Array) -> tuple[Array, Array]:
        """(point, D(point)) for parameter p."""
        xp = namespace(p)
        climb = self.chord_start + self.chord_slope * (p * self.width)
        return self.lower + p * self.width, 1.0 + xp.sum(xp.where(self.steep, xp.zeros_like(climb), climb), axis=0)

    def _unless(self, mask: Array, plane: tuple[Array, Array], constant: Array) -> tuple[Array, Array]:
        """(slopes, bias), those of a constant where the mask is set."""
        xp = namespace(constant)
        slopes, bias = plane
        return xp.where(mask, xp.zeros_like(slopes), slopes), xp.where(mask, constant, bias)

    def _made(self, lower: tuple[Array, Array], upper: tuple[Array, Array]) -> Planes:
        n = len(self.lower)
        return Planes(tuple(lower[0][k] for k in range(n)), lower[1], tuple(upper[0][k] for k in range(n)), upper[1])

    def gap(self) -> Array:
        """Distance of the starting planes at the middle of the box."""
        planes = self.planes(self.start())
        assert planes.lower_bias is not None
        assert planes.upper_bias is not None
        apart = planes.upper_bias - planes.lower_bias
        for k, (low, high) in enumerate(zip(planes.lower_slopes, planes.upper_slopes, strict=True)):
            apart = apart + (high - low) * (self.lower[k] + self.upper[k]) / 2.0
        return apart[:, 0]


class SharePlanes(TangentPlanes):
    """1 / s: below, the tangent of 1 / D; above, a - c (tangent of log s) with the chord a - c L of exp(-L)."""

    def __init__(self, *bounds: tuple[Array, Array]) -> None:
        """bounds: (lower, upper) of each difference, [batch, *shape] each."""
        super().__init__(*bounds)
        self.range = tuple(map(with_spec_axis, share_interval(*bounds)))
        high, _, self.log_low = _shares(self.lower)
        low, _, self.log_high = _shares(self.upper)
        self.fall = _chord(low, high, positive(self.log_high - self.log_low))
        self.high = high

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The two tangents."""
        p, q = parameters
        xp = namespace(p)
        point, total = self._chords(p)
        slopes = self.chord_slope / (total * total)
        slack = self.unit * (1.0 / total + xp.sum(slopes * self.reach, axis=0))
        below = -slopes, 1.0 / total + xp.sum(slopes * point, axis=0) - slack
        offset, sides, size = self._tangent_of_log(q)
        slack = self.unit * (self.high * (1.0 + self.log_low) + self.fall * (1.0 + self.log_high + size))
        above = -self.fall * sides, self.high + self.fall * (self.log_low - offset) + slack
        low, high = self.range
        return self._made(self._unless(self.steep, below, low), self._unless(self.infinite, above, high))

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Through the tangent points."""
        p, q = parameters
        x = _stack(xs)
        xp = namespace(x)
        point, total = self._chords(p)
        rise = xp.sum(self.chord_slope * self.width, axis=0)
        below = 2.0 * rise * xp.sum(self.chord_slope * (x - point), axis=0) / (total * total * total)
        below = xp.where(self.steep, xp.zeros_like(below), below)
        above = -self.fall * self._bend_of_log(q, x)
        return positive(weight) * below, negative(weight) * xp.where(self.infinite, xp.zeros_like(above), above)


class LogPlanes(TangentPlanes):
    """log s: below, its tangent; above, the tangent of log D."""

    def __init__(self, *bounds: tuple[Array, Array]) -> None:
        """bounds: (lower, upper) of each difference, [batch, *shape] each."""
        super().__init__(*bounds)
        self.range = tuple(map(with_spec_axis, log_interval(*bounds)))

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The two tangents."""
        p, q = parameters
        xp = namespace(p)
        offset, sides, size = self._tangent_of_log(p)
        below = sides, offset - self.unit * size
        point, total = self._chords(q)
        slopes = self.chord_slope / total
        value, rise = xp.log1p(total - 1.0), xp.sum(slopes * self.reach, axis=0)
        above = slopes, value - xp.sum(slopes * point, axis=0) + self.unit * (1.0 + value + rise)
        low, high = self.range
        return self._made(self._unless(self.infinite, below, low), self._unless(self.steep, above, high))

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Through the tangent points."""
        p, q = parameters
        x = _stack(xs)
        xp = namespace(x)
        below = self._bend_of_log(p, x)
        below = xp.where(self.infinite, xp.zeros_like(below), below)
        point, total = self._chords(q)
        rise = xp.sum(self.chord_slope * self.width, axis=0)
        above = -rise * xp.sum(self.chord_slope * (x - point), axis=0) / (total * total)
        return positive(weight) * below, negative(weight) * xp.where(self.steep, xp.zeros_like(above), above)


def share_interval(*bounds: tuple[Array, Array]) -> tuple[Array, Array]:
    """1 / s falls with every difference."""
    xp = namespace(bounds[0][0])
    low, high = (_shares(xp.clip(_stack(pair[i] for pair in bounds), -FAR, FAR))[0] for i in (1, 0))
    slack = SLACK * roundoff(low) * (1.0 + len(bounds) / 4.0)
    return positive(low - slack), 1.0 - positive(1.0 - (high + slack))


def log_interval(*bounds: tuple[Array, Array]) -> tuple[Array, Array]:
    """log s grows with every difference."""
    xp = namespace(bounds[0][0])
    low, high = (_stack(pair[i] for pair in bounds) for i in (0, 1))
    most = float(xp.finfo(low.dtype).max) / 16.0
    infinite = xp.max(high, axis=0) > most
    low, high = (_shares(xp.clip(d, -most, most))[2] for d in (low, high))
    share = SLACK * roundoff(low) * (1.0 + len(bounds) / 4.0)
    return low * (1.0 - share), xp.where(infinite, xp.full_like(high, xp.inf), high * (1.0 + share))


@dataclass(frozen=True, eq=False)
class OfDifferences(Nonlinear):
    """A function of n tensors of differences."""

    @classmethod
    def of(cls, shape: Shape, n: int) -> Any:
        """For n tensors of this shape."""
        return cls((shape,) * n, shape)

    @property
    def drafts(self) -> bool:
        """Yes: infinite and huge differences get constants."""
        return True

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Wherever an input varies."""
        return namespace(bounds[0][0]).any(_stack(upper > lower for lower, upper in bounds), axis=0)


@dataclass(frozen=True, eq=False)
class Share(OfDifferences):
    """1 / (1 + sum_k exp(d_k)) of n tensors of differences."""

    def forward(self, *xs: Array) -> Array:
        """Without overflow."""
        return _shares(_stack(xs))[0]

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """-y exp(d_k) / s."""
        value, parts, _ = _shares(_stack(xs))
        return tuple(-grad * value * parts[k] for k in range(len(xs)))

    def descent(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """y times the slope of log y, which does not vanish with y."""
        value, parts, _ = _shares(_stack(xs))
        return tuple(-grad * (value + FAINT) * parts[k] for k in range(len(xs)))

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """At the two corners."""
        return share_interval(*bounds)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Tangents of the reciprocal and of the logarithm."""
        return SharePlanes(*bounds)


@dataclass(frozen=True, eq=False)
class LogOfSum(OfDifferences):
    """log(1 + sum_k exp(d_k)) of n tensors of differences."""

    def forward(self, *xs: Array) -> Array:
        """Without overflow."""
        return _shares(_stack(xs))[2]

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """exp(d_k) / s."""
        parts = _shares(_stack(xs))[1]
        return tuple(grad * parts[k] for k in range(len(xs)))

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """At the two corners."""
        return log_interval(*bounds)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Tangents of the logarithm, with and without chords."""
        return LogPlanes(*bounds)
