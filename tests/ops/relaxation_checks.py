"""What must hold of every nonlinear op, as functions that raise AssertionError where it does not.

Planes are evaluated in extended precision, so that what is compared with the function is the plane itself. Its slope
and bias were rounded to float64, which may lift a lower plane by some units in the last place (ULPS) of the terms
involved: |slope| times the largest |x| of the box, the bias, and the function's own value. No check of soundness allows
more.
"""

from __future__ import annotations

import numpy as np
from interval_cases import PARAMETERS, bounds_for, grid

from certify.ops.curve import Curve
from certify.ops.kinds import Elementwise, Nonlinear, Relaxation
from certify.ops.softmax import OfDifferences

EPS = np.finfo(np.float64).eps
SUBNORMAL = np.finfo(np.float64).smallest_subnormal
ULPS = 2.0
# Lines of smooth functions are pushed outward on purpose, by less than this many ulps of 1 + |slope * x|.
PUSHED = 40.0

Bounds = tuple[tuple[np.ndarray, np.ndarray], ...]


def _parameters(relaxation: Relaxation, values: np.ndarray) -> tuple[np.ndarray, ...]:
    """[1, len(values), n] for each parameter, all elements having the same values."""
    return tuple(np.broadcast_to(values[:, None], (len(values), start.shape[-1]))[None] for start in relaxation.start())


def _plane(slopes: tuple[np.ndarray, ...], bias: np.ndarray | None, xs: tuple[np.ndarray, ...]) -> tuple:
    """(values [spec, points, n], unit in the last place of the terms [spec, 1, n]) of planes at xs [points, n]."""
    slopes = tuple(slope[0][:, None].astype(np.longdouble) for slope in slopes)
    offset = np.longdouble(0.0) if bias is None else bias[0][:, None].astype(np.longdouble)
    value = sum(slope * x for slope, x in zip(slopes, xs, strict=True)) + offset
    reach = tuple(abs(x).max(axis=0) for x in xs)
    size = sum(abs(slope) * r for slope, r in zip(slopes, reach, strict=True)) + abs(offset)
    return value, EPS * size + SUBNORMAL * (1.0 + sum(reach))


def gaps(op: Nonlinear, bounds: Bounds, parameters: tuple[np.ndarray, ...] | None, xs: tuple[np.ndarray, ...]) -> tuple:
    """(f - lower plane, upper plane - f, unit in the last place of each) at xs; None: the starting parameters."""
    relaxation = op.relax(*bounds)
    planes = relaxation.planes(relaxation.start() if parameters is None else parameters)
    xs = tuple(x.astype(np.longdouble) for x in xs)
    value = op.forward(*xs)
    low, ulp_low = _plane(planes.lower_slopes, planes.lower_bias, xs)
    high, ulp_high = _plane(planes.upper_slopes, planes.upper_bias, xs)
    return value - low, high - value, ulp_low + EPS * abs(value), ulp_high + EPS * abs(value)


def check_sound(op: Nonlinear, bounds: Bounds | None = None, ulps: float = ULPS) -> None:
    """lower plane <= f <= upper plane on the whole grid, for all parameters."""
    bounds = bounds_for(op) if bounds is None else bounds
    below, above, ulp_below, ulp_above = gaps(op, bounds, _parameters(op.relax(*bounds), PARAMETERS), grid(op, bounds))
    assert (below >= -ulps * ulp_below).all()
    assert (above >= -ulps * ulp_above).all()


def check_touching(op: Nonlinear, bounds: Bounds | None = None) -> None:
    """Every plane touches f somewhere in its box, up to what the grid's spacing explains.

    Of functions of differences, only the tangent planes at the two extreme corners do.
    """
    bounds = bounds_for(op) if bounds is None else bounds
    xs = grid(op, bounds)
    parameters = PARAMETERS[[0, -1]] if isinstance(op, OfDifferences) else PARAMETERS
    below, above, ulp_below, ulp_above = gaps(op, bounds, _parameters(op.relax(*bounds), parameters), xs)
    value = op.forward(*xs)
    spacing = 1e-3 * (value.max(axis=0) - value.min(axis=0))
    assert ((below - PUSHED * (ulp_below + EPS)).min(axis=1) <= spacing).all()
    assert ((above - PUSHED * (ulp_above + EPS)).min(axis=1) <= spacing).all()


def check_exact_where_not_inexact(op: Nonlinear) -> None:
    """Where `inexact` says no, both planes are f itself."""
    bounds = bounds_for(op)
    settled = ~op.inexact(*bounds)[0]
    assert settled.any()
    bounds = tuple((lower[:, settled], upper[:, settled]) for lower, upper in bounds)
    below, above, ulp_below, ulp_above = gaps(op, bounds, None, grid(op, bounds))
    assert (below <= PUSHED * (ulp_below + EPS)).all()
    assert (above <= PUSHED * (ulp_above + EPS)).all()


def check_interval(op: Nonlinear) -> None:
    """The interval contains f on the grid, and f comes close to both ends of it."""
    bounds = bounds_for(op)
    low, high = op.interval(*bounds)
    value = op.forward(*(x.astype(np.longdouble) for x in grid(op, bounds)))
    rounding = ULPS * (EPS * abs(value) + SUBNORMAL)
    assert (low[0] <= value + rounding).all()
    assert (value - rounding <= high[0]).all()
    # Ends and turns, where all our functions have their extremes, are on the grid.
    terms = op.absolute if isinstance(op, Curve) else 0.0
    tight = PUSHED * (EPS * (np.maximum(abs(low), abs(high)) + terms) + SUBNORMAL)
    known = op.regular(*bounds[0])[0] if isinstance(op, Curve) else np.full(low.shape[1], True)
    assert (value.min(axis=0) - low <= tight)[:, known].all()
    assert (high - value.max(axis=0) <= tight)[:, known].all()


def check_gap(op: Nonlinear) -> None:
    """The gap is a distance that the starting planes have somewhere in the box, and 0 where they are exact."""
    bounds = bounds_for(op)
    gap = op.relax(*bounds).gap()[0]
    below, above, ulp_below, ulp_above = gaps(op, bounds, None, grid(op, bounds))
    apart = (below + above)[0]
    rounding = PUSHED * ((ulp_below + ulp_above)[0].max(axis=0) + EPS)
    assert (gap >= apart.min(axis=0) - rounding).all()
    assert (gap <= apart.max(axis=0) + rounding).all()
    assert (gap[~op.inexact(*bounds)[0]] <= rounding[~op.inexact(*bounds)[0]]).all()


def check_start(op: Nonlinear) -> None:
    """Starting parameters have shape [batch, 1, *shape] and lie in [0, 1]."""
    bounds = bounds_for(op)
    for start in op.relax(*bounds).start():
        assert start.shape == (1, 1, bounds[0][0].shape[1])
        assert (start >= 0.0).all()
        assert (start <= 1.0).all()


def check_relaxation_gradient(op: Nonlinear, bounds: Bounds, rng: np.random.Generator) -> None:
    """`gradient` against central differences of  weight+ * lower(xs) + weight- * upper(xs)."""
    relaxation = op.relax(*bounds)
    n, rows, step = bounds[0][0].shape[1], 6, 1e-6
    parameters = tuple(rng.uniform(0.1, 0.9, size=(1, rows, n)) for _ in relaxation.start())
    weight = rng.normal(size=(1, rows, n))
    xs = tuple(rng.uniform(lower[:, None], upper[:, None], size=(1, rows, n)) for lower, upper in bounds)

    def contribution(parameters: tuple[np.ndarray, ...]) -> np.ndarray:
        planes = relaxation.planes(parameters)
        low = sum(s * x for s, x in zip(planes.lower_slopes, xs, strict=True))
        high = sum(s * x for s, x in zip(planes.upper_slopes, xs, strict=True))
        low = low if planes.lower_bias is None else low + planes.lower_bias
        high = high if planes.upper_bias is None else high + planes.upper_bias
        return np.maximum(weight, 0.0) * low + np.minimum(weight, 0.0) * high

    found = relaxation.gradient(parameters, weight, xs)
    assert len(found) == len(parameters)
    for i, part in enumerate(found):
        ends = [tuple(p + sign * step * (i == j) for j, p in enumerate(parameters)) for sign in (1.0, -1.0)]
        slope = (contribution(ends[0]) - contribution(ends[1])) / (2.0 * step)
        size = sum(abs(x).max() for pair in bounds for x in pair) ** len(bounds)
        np.testing.assert_allclose(np.broadcast_to(part, slope.shape), slope, rtol=1e-5, atol=1e-8 * size)


def check_vjp(op: Nonlinear, bounds: Bounds, rng: np.random.Generator) -> None:
    """`vjp` against central differences, away from zero, where some functions have a kink or no value."""
    n, step = bounds[0][0].shape[1], 1e-6
    xs = [rng.uniform(lower, upper, size=(5, n)) for lower, upper in bounds]
    xs = [np.where(abs(x) < 1e-3, 1e-3, x) for x in xs]
    grad = rng.normal(size=(5, n))
    for i, part in enumerate(op.vjp(grad, *xs)):
        ends = [op.forward(*(x + sign * step * (i == j) for j, x in enumerate(xs))) for sign in (1.0, -1.0)]
        slope = grad * (ends[0] - ends[1]) / (2.0 * step)
        np.testing.assert_allclose(part, slope, rtol=1e-5, atol=1e-7)


def check_split_point(op: Elementwise) -> None:
    """Where tighter bounds would help, the cut lies in the interval; strictly inside where there is room."""
    bounds = bounds_for(op)
    lower, upper = bounds[0]
    point = op.split_point(lower, upper)
    inexact = op.inexact(*bounds)
    room = inexact & (np.nextafter(lower, np.inf) < upper)
    assert ((lower <= point) & (point <= upper))[inexact].all()
    assert ((lower < point) & (point < upper))[room].all()
