"""relu(x) - relu(y) with the difference d = x - y given too: what is left of a change of weights behind a rectifier.

Bounds of d alone know how close two networks are, bounds of x and y alone know the signs. The relaxation has both: a
plane in d (Paulsen et al. 2020, NeuroDiff; Teuber et al. 2024, VeryDiff) and the two triangles of x and y, which is all
that a product network sees; a free parameter mixes them, so that any mixture is sound and an ascent finds the best.
"""

from __future__ import annotations

from dataclasses import dataclass

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Nonlinear, Planes, Relaxation, with_spec_axis
from certify.ops.registry import Builder, Value
from certify.ops.relu import Triangle

# Outward slack, in units of roundoff, for the few operations that make up a chord or an end of an interval.
SLACK = 16.0

Bounds = tuple[Array, Array]


class DifferencePlanes(Relaxation):
    """Four parameters: how much of the triangles is in the lower and in the upper plane, and the triangles' own slopes.

    min(c, d) <= relu(x) - relu(y) <= max(-k, d)  for any 0 <= c <= x and 0 <= k <= y, or c = 0 and k = 0 whatever the
    signs; where y (x) is never negative, d is a lower (upper) bound itself. The planes in d are the chords of these.
    """

    def __init__(self, x: Bounds, y: Bounds, d: Bounds) -> None:
        """x, y, d: (lower, upper), [batch, *shape] each."""
        d = _narrowed(x, y, d)
        self.first, self.second = Triangle(*x, 0.0), Triangle(*y, 0.0)
        low, low_offset = _chord_of_minimum(positive(x[0]), d)
        high, high_offset = _chord_of_minimum(positive(y[0]), (-d[1], -d[0]))
        xp = namespace(low)
        one, nought = xp.ones_like(low), xp.zeros_like(low)
        y_on, x_on = y[0] >= 0.0, x[0] >= 0.0
        low, low_offset = xp.where(y_on, one, low), xp.where(y_on, nought, low_offset)
        high, high_offset = xp.where(x_on, one, high), xp.where(x_on, nought, high_offset)
        middle = (d[0] + d[1]) / 2.0
        apart = (high - low) * middle - high_offset - low_offset
        triangles = _triangles_apart(*x) + _triangles_apart(*y)
        self._gap = xp.minimum(apart, triangles)
        self.low, self.low_offset = with_spec_axis(low), with_spec_axis(low_offset)
        self.high, self.high_offset = with_spec_axis(high), with_spec_axis(-high_offset)
        self.mixture = with_spec_axis(xp.where(triangles < apart, one, nought))

    def start(self) -> tuple[Array, ...]:
        """Whichever pair of planes is closer together at the middle."""
        return self.mixture, self.mixture, self.first.start()[0], self.second.start()[0]

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """Mixtures of the planes in d and those in x and y."""
        p, q, s, t = parameters
        x, y = self.first.planes((s,)), self.second.planes((t,))
        return Planes(
            (p * x.lower_slopes[0], -p * y.upper_slopes[0], (1.0 - p) * self.low),
            (1.0 - p) * self.low_offset - p * y.upper_bias,
            (q * x.upper_slopes[0], -q * y.lower_slopes[0], (1.0 - q) * self.high),
            (1.0 - q) * self.high_offset + q * x.upper_bias,
        )

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The mixtures' difference of planes, and the slopes' share of them."""
        p, q, s, t = parameters
        x, y, d = xs
        first, second = self.first.planes((s,)), self.second.planes((t,))
        up, down = positive(weight), negative(weight)
        lower = first.lower_slopes[0] * x - second.upper_slopes[0] * y - second.upper_bias
        upper = first.upper_slopes[0] * x + first.upper_bias - second.lower_slopes[0] * y
        return (
            up * (lower - self.low * d - self.low_offset),
            down * (upper - self.high * d - self.high_offset),
            up * p * self.first.free * x,
            -down * q * self.second.free * y,
        )

    def gap(self) -> Array:
        """Distance of the closer pair of planes at the middle of the box."""
        return self._gap


def _triangles_apart(lower: Array, upper: Array) -> Array:
    """How far apart the planes of a rectifier are at the middle of [lower, upper]."""
    return positive(namespace(lower).minimum(-lower, upper)) / 2.0


def _chord_of_minimum(c: Array, d: Bounds) -> tuple[Array, Array]:
    """(slope, offset) of the greatest line below min(c, .) on the interval d."""
    xp = namespace(c)
    low, high = d
    bent = (low < c) & (high > c)
    width = xp.where(bent, high - low, xp.ones_like(c))
    slope = xp.where(bent, (c - low) / width, xp.where(high <= c, xp.ones_like(c), xp.zeros_like(c)))
    slack = SLACK * roundoff(c) * (abs(low) + abs(high) + c)
    flat = xp.where(high <= c, xp.zeros_like(c), c)
    return slope, xp.where(bent, low - slope * low - slack, flat)


def _narrowed(x: Bounds, y: Bounds, d: Bounds) -> Bounds:
    """The interval of d cut with that of x - y."""
    xp = namespace(d[0])
    slack = SLACK * roundoff(d[0])
    low, high = x[0] - y[1], x[1] - y[0]
    low, high = xp.maximum(d[0], low - slack * abs(low)), xp.minimum(d[1], high + slack * abs(high))
    return xp.minimum(low, high), xp.maximum(low, high)


@dataclass(frozen=True, eq=False)
class ReluDifference(Nonlinear):
    """relu(x) - relu(y) of three tensors x, y and d of one shape, of which the network ensures that d = x - y."""

    @property
    def drafts(self) -> bool:
        """Yes."""
        return True

    def forward(self, *xs: Array) -> Array:
        """relu(x) - relu(y)."""
        return positive(xs[0]) - positive(xs[1])

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """By x and y; d follows from them."""
        xp = namespace(grad)
        return xp.where(xs[0] > 0.0, grad, 0.0 * grad), xp.where(xs[1] > 0.0, -grad, 0.0 * grad), 0.0 * grad

    def interval(self, *bounds: Bounds) -> Bounds:
        """What the intervals of x and y leave, cut with what that of d does."""
        x, y, d = bounds
        xp = namespace(x[0])
        d = _narrowed(x, y, d)
        slack = SLACK * roundoff(x[0])
        low, high = positive(x[0]) - positive(y[1]), positive(x[1]) - positive(y[0])
        low, high = low - slack * abs(low), high + slack * abs(high)
        below = xp.where(y[0] >= 0.0, d[0], xp.minimum(d[0], positive(x[0])))
        above = xp.where(x[0] >= 0.0, d[1], xp.maximum(d[1], -positive(y[0])))
        low, high = xp.maximum(low, below), xp.minimum(high, above)
        return xp.minimum(low, high), xp.maximum(low, high)

    def relax(self, *bounds: Bounds) -> Relaxation:
        """Planes in d mixed with planes in x and y."""
        return DifferencePlanes(*bounds)

    def inexact(self, *bounds: Bounds) -> Array:
        """Where x or y may change its sign, unless nothing differs."""
        x, y, d = bounds
        bent = ((x[0] < 0.0) & (x[1] > 0.0)) | ((y[0] < 0.0) & (y[1] > 0.0))
        return bent & ((d[0] < 0.0) | (d[1] > 0.0))


def relu_difference(build: Builder, x: Value, y: Value, d: Value) -> Value:
    """relu(x) - relu(y), where d = x - y."""
    return build.emit(ReluDifference((x.shape,) * 3, x.shape), x, y, d)
