"""Functions of one number that jump: sign tests, rounding to integers. Their lines pass through ends of the jumps."""

from __future__ import annotations

from dataclasses import dataclass

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis

# No line through a jump is steeper; a steeper one would be sound, but its rounding would cost more than it gains.
STEEPEST = 1e6
# Outward slack, in units of roundoff, for the few operations that make up a line.
SLACK = 4.0


class Lines(Relaxation):
    """Lower p a + (1 - p) b and upper q c + (1 - q) d, for four lines (slope, bias) that bound on [lower, upper].

    Where nothing jumps inside the interval, a, b, c and d are one constant.
    """

    def __init__(self, below: tuple, above: tuple, exact: Array, value: Array, rounding: Array) -> None:
        """below, above: two (slope, bias) each; exact, value: where the function is that constant; [batch, *shape]."""
        xp = namespace(value)
        zero = xp.zeros_like(value)
        slack = SLACK * roundoff(value) * rounding

        def settled(lines: tuple, sign: float) -> tuple:
            return tuple(
                tuple(map(with_spec_axis, (xp.where(exact, zero, s), xp.where(exact, value, b + sign * slack))))
                for s, b in lines
            )

        self._below, self._above = settled(below, -1.0), settled(above, 1.0)
        self._exact = exact

    def start(self) -> tuple[Array, ...]:
        """Halfway."""
        half = 0.5 * namespace(self._below[0][1]).ones_like(self._below[0][1])
        return half, half

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The mixtures."""
        (s, b), (t, c) = (
            tuple(p * first + (1.0 - p) * second for first, second in zip(*lines, strict=True))
            for p, lines in zip(parameters, (self._below, self._above), strict=True)
        )
        return Planes((s,), b, (t,), c)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The difference of the two lines at x."""
        found = []
        for lines, part in ((self._below, positive(weight)), (self._above, negative(weight))):
            (s, b), (t, c) = lines
            found.append(part * ((s - t) * xs[0] + (b - c)))
        return tuple(found)

    def gap(self) -> Array:
        """Distance at zero, or between the biases of horizontal lines: 0 where nothing jumps."""
        distance = self._distance(self.planes(self.start()))[:, 0]
        return namespace(distance).where(self._exact, 0.0 * distance, distance)

    def _distance(self, planes: Planes) -> Array:
        assert planes.lower_bias is not None
        assert planes.upper_bias is not None
        return planes.upper_bias - planes.lower_bias


@dataclass(frozen=True, eq=False)
class Jump(Elementwise):
    """A function that is constant between its jumps."""

    def derivative(self, x: Array) -> Array:
        """Zero wherever it exists."""
        return namespace(x).zeros_like(x)


def _steep(width: Array) -> Array:
    """1 / width, but no more than STEEPEST; 0 for empty widths."""
    xp = namespace(width)
    enough = width > 1.0 / STEEPEST
    steep = 1.0 / xp.where(enough, width, xp.ones_like(width))
    return xp.where(enough, steep, xp.where(width > 0.0, xp.full_like(width, STEEPEST), xp.zeros_like(width)))


@dataclass(frozen=True, eq=False)
class Step(Jump):
    """1 where x > 0, or where x >= 0 if `closed`; else 0."""

    closed: bool = False

    def forward(self, *xs: Array) -> Array:
        """0 or 1."""
        xp = namespace(xs[0])
        true = xs[0] >= 0.0 if self.closed else xs[0] > 0.0
        return xp.where(true, xp.ones_like(xs[0]), xp.zeros_like(xs[0]))

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Increasing."""
        return self.forward(bounds[0][0]), self.forward(bounds[0][1])

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Where both values occur."""
        lower, upper = bounds[0]
        return self.forward(lower) < self.forward(upper)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Below: 0, or a line through the lower end of the jump; above: 1, or one through its upper end."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        zero, one = xp.zeros_like(lower), xp.ones_like(lower)
        # Rounding may make 1 / width too large by one unit, so a little less is taken.
        shrink = 1.0 - 4.0 * roundoff(lower)
        below = (shrink * _steep(positive(upper)), zero), (zero, zero)
        above = (shrink * _steep(positive(-lower)), one), (zero, one)
        return Lines(below, above, ~self.inexact(*bounds), self.forward(lower), zero)

    def split_point(self, lower: Array, upper: Array) -> Array:
        """Zero, or the middle where zero is an end."""
        xp = namespace(lower)
        inside = (lower < 0.0) & (upper > 0.0)
        return xp.where(inside, xp.zeros_like(lower), lower / 2.0 + upper / 2.0)


@dataclass(frozen=True, eq=False)
class IsZero(Jump):
    """1 where x = 0, else 0."""

    def forward(self, *xs: Array) -> Array:
        """0 or 1."""
        xp = namespace(xs[0])
        return xp.where(xs[0] == 0.0, xp.ones_like(xs[0]), xp.zeros_like(xs[0]))

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """[0, 1] where zero is one of several values."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        inside = (lower <= 0.0) & (upper >= 0.0)
        one, zero = xp.ones_like(lower), xp.zeros_like(lower)
        return xp.where(inside & (lower == upper), one, zero), xp.where(inside, one, zero)

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Where both values occur."""
        low, high = self.interval(*bounds)
        return low < high

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Below 0; above, lines through the peak down to 0 at one end of the interval."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        zero, one = xp.zeros_like(lower), xp.ones_like(lower)
        shrink = 1.0 - 4.0 * roundoff(lower)
        above = (shrink * _steep(positive(-lower)), one), (-shrink * _steep(positive(upper)), one)
        return Lines(((zero, zero), (zero, zero)), above, ~self.inexact(*bounds), self.interval(*bounds)[0], zero)

    def split_point(self, lower: Array, upper: Array) -> Array:
        """Zero, or the middle where zero is an end."""
        xp = namespace(lower)
        inside = (lower < 0.0) & (upper > 0.0)
        return xp.where(inside, xp.zeros_like(lower), lower / 2.0 + upper / 2.0)


@dataclass(frozen=True, eq=False)
class Truncate(Jump):
    """Rounding to an integer: towards zero, or to the nearest, halves to even, if `nearest`."""

    nearest: bool = False

    def forward(self, *xs: Array) -> Array:
        """An integer."""
        return namespace(xs[0]).round(xs[0]) if self.nearest else namespace(xs[0]).trunc(xs[0])

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Increasing."""
        return self.forward(bounds[0][0]), self.forward(bounds[0][1])

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Where several values occur."""
        lower, upper = bounds[0]
        return self.forward(lower) < self.forward(upper)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """Below and above: the extreme values, or lines of slope 1 through the corners of the stairs."""
        lower, upper = bounds[0]
        xp = namespace(lower)
        low, high = self.interval(*bounds)
        one, zero = xp.ones_like(lower), xp.zeros_like(lower)
        below: tuple
        above: tuple
        if self.nearest:
            below, above = ((one, -0.5 * one), (zero, low)), ((one, 0.5 * one), (zero, high))
        else:
            below = _lines_below_truncation(lower, upper)
            (s, b), (t, c) = _lines_below_truncation(-upper, -lower)
            above = (s, -b), (t, -c)
        # On unbounded intervals only the distance of at most one between a number and its integer is left.
        finite = xp.isfinite(lower) & xp.isfinite(upper)
        below, above = (
            tuple(tuple(xp.where(finite, a, b) for a, b in zip(line, (one, sign * one), strict=True)) for line in lines)
            for lines, sign in ((below, -1.0), (above, 1.0))
        )
        ends = xp.where(finite, lower, zero), xp.where(finite, upper, zero)
        rounding = one + xp.maximum(abs(ends[0]), abs(ends[1]))
        exact, value = finite & ~self.inexact(*bounds), xp.where(finite, low, zero)
        return Stairs(below, above, exact, value, rounding, ends)

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The middle."""
        return lower / 2.0 + upper / 2.0


def _lines_below_truncation(lower: Array, upper: Array) -> tuple:
    """Two lines through one lower corner of the stairs, of slope 1 and of the smallest sound one: every mixture is too.

    The corner ends the first stair; across zero, where a stair is twice as long, it is the one that ends there.
    """
    xp = namespace(lower)
    one, zero = xp.ones_like(lower), xp.zeros_like(lower)
    finite = xp.isfinite(lower) & xp.isfinite(upper)
    lower, upper = xp.where(finite, lower, -one), xp.where(finite, upper, one)
    low = xp.trunc(lower)
    across = (lower < 0.0) & (upper > 0.0)
    end = xp.minimum(upper, one)
    flattest = xp.where(across, -low / xp.where(across, end - low, one), zero)
    x = xp.where(across, end, xp.where(lower >= 0.0, low + 1.0, low))
    y = xp.where(across, zero, low)
    return (one, y - x), (flattest, y - flattest * x)


class Stairs(Lines):
    """Lines whose distance is told at the middle of the interval."""

    def __init__(
        self, below: tuple, above: tuple, exact: Array, value: Array, rounding: Array, ends: tuple[Array, Array]
    ) -> None:
        """As of `Lines`, and the ends of the interval."""
        super().__init__(below, above, exact, value, rounding)
        self._middle = with_spec_axis(ends[0] / 2.0 + ends[1] / 2.0)

    def _distance(self, planes: Planes) -> Array:
        difference = planes.upper_slopes[0] - planes.lower_slopes[0]
        return difference * self._middle + super()._distance(planes)
