"""Nonlinear ops: planes sound for every parameter and no looser than they need to be, gradients, both libraries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import relaxation_checks as checks
from hypothesis import given, settings
from hypothesis import strategies as st
from interval_cases import FEW, INTERVALS, MODERATE, PARAMETERS, bounds_for
from op_cases import TORCH, assert_equal_arrays, nonlinear_ops, put

from certify.arrays import Array
from certify.ops.curve import Curve
from certify.ops.exponential import Log
from certify.ops.gelu import Dip
from certify.ops.jumps import AtZero, IsZero
from certify.ops.kinds import Elementwise, Nonlinear
from certify.ops.power import Power
from certify.ops.product import Product
from certify.ops.reciprocal import Reciprocal
from certify.ops.relu import Relu
from certify.ops.s_shaped import SShaped
from certify.ops.softmax import LogOfSum, OfDifferences, Share
from certify.ops.staircase import Jump, Staircase

OPS = nonlinear_ops()
CURVES = [op for op in OPS.values() if isinstance(op, Curve)]
S_SHAPED = [op for op in OPS.values() if isinstance(op, SShaped)]
CURVED = [op for op in OPS.values() if isinstance(op, Curve | Product | OfDifferences)]
every_op = pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())


@every_op
def test_planes_are_sound(op: Nonlinear) -> None:
    checks.check_sound(op)


@pytest.mark.parametrize("op", CURVED, ids=repr)
def test_planes_of_curved_functions_need_no_tolerance(op: Nonlinear) -> None:
    """Their slack is wider than their rounding, wherever nothing underflows."""
    intervals = INTERVALS if len(op.in_shapes) == 1 else FEW
    normal = ((abs(intervals) > 1e-150) | (intervals == 0.0)).all(axis=1)
    checks.check_sound(op, bounds_for(op, intervals[normal]), ulps=0.0)


@every_op
def test_planes_touch(op: Nonlinear) -> None:
    checks.check_touching(op)


@every_op
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_planes_are_sound_and_touch_on_drawn_intervals(op: Nonlinear, data: st.DataObject) -> None:
    ends = st.floats(-50.0, 50.0) | st.floats(-1e-5, 1e-5) | st.floats(-1e8, 1e8)
    pairs = [np.array([sorted(data.draw(st.tuples(ends, ends)))]) for _ in op.in_shapes]
    bounds = tuple((pair[:, :1], pair[:, 1:]) for pair in pairs)
    values = np.abs(op.interval(*bounds))
    if np.isfinite(values).all():
        checks.check_sound(op, bounds)
        # Where a function falls from 1e33 to 1, no grid shows a tangent's point.
        if values.max() < 1e20:
            checks.check_touching(op, bounds)


@every_op
def test_exact_where_tighter_bounds_would_not_help(op: Nonlinear) -> None:
    checks.check_exact_where_not_inexact(op)


@every_op
def test_interval(op: Nonlinear) -> None:
    checks.check_interval(op)


@every_op
def test_gap(op: Nonlinear) -> None:
    checks.check_gap(op)


@every_op
def test_start(op: Nonlinear) -> None:
    checks.check_start(op)


@every_op
def test_relaxation_gradient(op: Nonlinear) -> None:
    checks.check_relaxation_gradient(op, bounds_for(op, MODERATE), np.random.default_rng(1))


@every_op
def test_vjp(op: Nonlinear) -> None:
    checks.check_vjp(op, bounds_for(op, MODERATE), np.random.default_rng(2))


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.factors is not None], ids=repr)
def test_factors_multiply(op: Nonlinear) -> None:
    xs = np.random.default_rng(0).normal(size=(len(op.in_shapes), 50, 1))
    first, second = op.factors
    assert {first, second} == set(range(len(xs)))
    np.testing.assert_array_equal(op.forward(*xs), xs[first] * xs[second])


@pytest.mark.parametrize("op", [op for op in OPS.values() if isinstance(op, Elementwise)], ids=repr)
def test_split_point(op: Elementwise) -> None:
    checks.check_split_point(op)


@pytest.mark.parametrize("op", [op for op in OPS.values() if isinstance(op, Relu)], ids=repr)
def test_triangle(op: Relu) -> None:
    """The chord is exact at both ends, the lower line at the kink; the parameter takes its slope from s to 1."""
    lower, upper = np.array([[-3.0, -1.0, -1e-7]]), np.array([[1.0, 1.5, 1e3]])
    planes = op.relax((lower, upper)).planes((PARAMETERS[:, None] * np.ones(3),))
    chord, offset = planes.upper_slopes[0][0], planes.upper_bias[0]
    assert_equal_arrays(chord * lower + offset, op.forward(lower))
    assert_equal_arrays(chord * upper + offset, op.forward(upper))
    assert planes.lower_bias is None
    (start,) = op.relax((lower, upper)).start()
    np.testing.assert_array_equal(start[0, 0], [0.0, 1.0, 1.0])
    slope = planes.lower_slopes[0][0]
    assert_equal_arrays(slope, op.negative_slope + (1.0 - op.negative_slope) * PARAMETERS[:, None] * np.ones(3))


@pytest.mark.parametrize("op", S_SHAPED, ids=repr)
def test_extreme_tangents_touch_the_ends(op: Elementwise) -> None:
    """Of the sound tangents one touches at the near end, the other, steepest one passes through the far end."""
    lower, upper = bounds_for(op, MODERATE)[0]
    left, right = lower[None, 0], upper[None, 0]
    for parameter, below_touches, above_touches in ((0.0, left, left), (1.0, right, right)):
        both = (np.full((1, 1, lower.shape[1]), parameter),) * 2
        assert checks.gaps(op, ((lower, upper),), both, (below_touches,))[0].max() < 1e-9
        assert checks.gaps(op, ((lower, upper),), both, (above_touches,))[1].max() < 1e-9


@pytest.mark.parametrize("op", S_SHAPED, ids=repr)
def test_symmetry(op: SShaped) -> None:
    x = np.linspace(-6.0, 6.0, 301)
    assert_equal_arrays(op.forward(x) + op.forward(-x), np.full_like(x, op.symmetry))


@pytest.mark.parametrize("op", CURVES, ids=repr)
def test_second_derivative(op: Curve) -> None:
    """Against central differences, up to the rounding of f' in them."""
    x, step = np.linspace(-6.0, 6.0, 302) + 0.001, 1e-5
    x = x[op.regular(x - 1e-3, x + 1e-3)]
    slope = (op.derivative(x + step) - op.derivative(x - step)) / (2.0 * step)
    np.testing.assert_allclose(op.second_derivative(x), slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("op", CURVES, ids=repr)
def test_stretches_bend_as_they_should(op: Curve) -> None:
    """Tangents are drawn where f'' has the right sign; outside, where it has the other, or f has two such stretches."""
    lower, upper = bounds_for(op, MODERATE)[0]
    x = np.clip(np.linspace(lower[0], upper[0], 201), lower, upper)
    bend = op.second_derivative(x)
    for (first, last), sign in ((op.concave(lower, upper), -1.0), (op.convex(lower, upper), 1.0)):
        inside = (first <= x) & (x <= last) & np.isfinite(bend)
        assert (sign * bend >= -1e-12)[inside].all()
        outside = ~inside & np.isfinite(bend) & ~np.isnan(first + np.zeros_like(x))
        if not (isinstance(op, Dip) and sign < 0.0) and not (isinstance(op, Power) and 0.0 < op.exponent < 1.0):
            assert (sign * bend <= 1e-12)[outside].all()


@every_op
def test_nothing_is_nan(op: Nonlinear) -> None:
    """Neither on huge intervals, nor where the function has no value, nor on unbounded ones."""
    ends = np.array([-np.inf, -1e300, -1e150, -1e20, -5.0, -1e-200, 0.0, 1e-200, 1.0, 1e3, 1e150, 1e300, np.inf])
    if not isinstance(op, Elementwise) or isinstance(op, Relu):
        ends = ends[abs(ends) < 1e150]
    pairs = np.array([(a, b) for a in ends for b in ends if a <= b])
    bounds = tuple((pairs[None, :, 0], pairs[None, :, 1]) for _ in op.in_shapes)
    low, high = op.interval(*bounds)
    assert (low <= high).all()
    relaxation = op.relax(*bounds)
    for value in (0.0, 0.5, 1.0):
        parameters = tuple(np.full_like(start, value) for start in relaxation.start())
        planes = relaxation.planes(parameters)
        for array in (*planes.lower_slopes, *planes.upper_slopes, planes.lower_bias, planes.upper_bias):
            assert array is None or not np.isnan(array).any()
        assert all(np.isfinite(slope).all() for slope in (*planes.lower_slopes, *planes.upper_slopes))


UNDEFINED = [
    *[(Log, (), ends) for ends in ((-1.0, 1.0), (0.0, 1.0), (-2.0, -1.0), (-1.0, 0.0), (-1e-300, 5.0))],
    *[(Power, (0.5,), ends) for ends in ((-1.0, 1.0), (-1e-300, 1.0), (-2.0, -1.0))],
    *[(Power, (p,), ends) for p in (-1.0, -2.0, -0.5) for ends in ((-1.0, 1.0), (0.0, 1.0), (-1.0, 0.0), (0.0, 0.0))],
    *[(Reciprocal, (), ends) for ends in ((-1.0, 1.0), (0.0, 1.0), (-1.0, 0.0), (0.0, 0.0))],
]


@pytest.mark.parametrize(("kind", "parameters", "ends"), UNDEFINED)
def test_nothing_is_claimed_where_there_is_no_value(kind: type[Curve], parameters: tuple, ends: tuple) -> None:
    op = kind(((1,),), (1,), *parameters)
    bounds = (np.array([[ends[0]]]), np.array([[ends[1]]]))
    low, high = op.interval(bounds)
    planes = op.relax(bounds).planes((np.full((1, 1, 1), 0.5),) * 2)
    assert planes.lower_bias == low
    assert planes.upper_bias == np.inf
    assert planes.lower_slopes[0] == planes.upper_slopes[0] == 0.0
    assert low in (-np.inf, 0.0 if op.range[0] == 0.0 else -np.inf)
    assert high == np.inf


@every_op
def test_both_libraries_agree(op: Nonlinear) -> None:
    rng = np.random.default_rng(3)
    bounds = bounds_for(op, MODERATE)
    moved = tuple(put(TORCH, *pair) for pair in bounds)
    n = bounds[0][0].shape[1]
    ours, theirs = op.relax(*bounds), op.relax(*moved)
    parameters = tuple(rng.uniform(size=(1, 4, n)) for _ in ours.start())
    xs = tuple(rng.uniform(lower[:, None], upper[:, None], size=(1, 4, n)) for lower, upper in bounds)
    weight = rng.normal(size=(1, 4, n))

    def equal(first: tuple[Array, ...], second: tuple[Array, ...]) -> None:
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_elementwise(a, b)

    def assert_elementwise(a: Array, b: Array) -> None:
        assert isinstance(a, np.ndarray)
        assert not isinstance(b, np.ndarray)
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-9, atol=1e-9)

    equal(op.interval(*bounds), op.interval(*moved))
    equal((op.inexact(*bounds),), (op.inexact(*moved),))
    equal((ours.gap(), *ours.start()), (theirs.gap(), *theirs.start()))
    for a, b in ((parameters, put(TORCH, *parameters)), (ours.start(), theirs.start())):
        first, second = ours.planes(a), theirs.planes(b)
        equal((*first.lower_slopes, *first.upper_slopes), (*second.lower_slopes, *second.upper_slopes))
        equal((first.lower_bias, first.upper_bias), (second.lower_bias, second.upper_bias))
        equal(ours.gradient(a, weight, xs), theirs.gradient(b, *put(TORCH, weight), put(TORCH, *xs)))
    points = tuple(x[0] for x in xs)
    equal((op.forward(*points),), (op.forward(*put(TORCH, *points)),))
    equal(op.vjp(weight[0], *points), op.vjp(*put(TORCH, weight[0]), *put(TORCH, *points)))


@pytest.mark.parametrize("kind", [Share, LogOfSum])
@pytest.mark.parametrize("spread", [0.1, 3.0, 60.0])
def test_many_differences(kind: type[OfDifferences], spread: float) -> None:
    """Six inputs on random boxes, at corners and inside; not worse than the interval where the box is small."""
    rng, n, boxes = np.random.default_rng(4), 6, 300
    op = kind.of((boxes,), n)
    lower = rng.normal(size=(n, 1, boxes)) * spread
    upper = lower + rng.exponential(size=lower.shape) * spread * (rng.uniform(size=lower.shape) < 0.8)
    bounds = tuple((lower[k], upper[k]) for k in range(n))
    share = rng.uniform(size=(n, 200, boxes))
    share[:, :100] = np.round(share[:, :100])
    xs = tuple(np.clip(lower + share * (upper - lower), lower, upper))
    parameters = np.concatenate([PARAMETERS, rng.uniform(size=20)])
    below, above, ulp_below, ulp_above = checks.gaps(op, bounds, checks._parameters(op.relax(*bounds), parameters), xs)
    assert (below >= 0.0).all()
    assert (above >= 0.0).all()
    low, high = op.interval(*bounds)
    value = op.forward(*(x.astype(np.longdouble) for x in xs))
    assert (low <= value).all()
    assert (value <= high).all()
    if spread == 0.1:
        assert (below.min(axis=(0, 1)) + above.min(axis=(0, 1)) <= 0.2 * (high - low)[0] + 1e-12).all()


@pytest.mark.parametrize("kind", [Share, LogOfSum])
def test_infinite_differences_leave_constants(kind: type[OfDifferences]) -> None:
    """Nothing is NaN, and what the range of the function itself says remains."""
    lower, upper = np.array([[-np.inf, -np.inf, 0.0, -1e308]]), np.array([[np.inf, 0.0, np.inf, 1e308]])
    op, other = kind.of((4,), 2), np.zeros((1, 4))
    low, high = op.interval((lower, upper), (other, other))
    assert (low >= 0.0).all()
    assert (high >= low).all()
    planes = op.relax((lower, upper), (other, other)).planes((np.full((1, 1, 4), 0.3),) * 2)
    for array in (*planes.lower_slopes, *planes.upper_slopes):
        assert np.isfinite(array).all()
    assert (planes.lower_bias > -np.inf).all()
    assert not np.isnan(planes.upper_bias).any()
    assert kind is LogOfSum or np.isfinite(planes.upper_bias).all()


JUMPS = [op for op in OPS.values() if isinstance(op, Jump)]


@pytest.mark.parametrize("op", JUMPS, ids=repr)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_attacks_see_jumps_at_any_scale(op: Jump, scale: float) -> None:
    """Uphill is where the function grows, though its derivative is zero; and the same direction in other units."""
    x = scale * np.random.default_rng(5).normal(size=(20, 7))
    (found,) = replace(op, in_shapes=((7,),), out_shape=(7,)).descent(np.ones_like(x), x)
    assert (op.vjp(np.ones_like(x), x)[0] == 0.0).all()
    assert (np.sign(found) == (-np.sign(x) if isinstance(op, IsZero) else 1.0)).all()
    if not isinstance(op, Staircase) or isinstance(op, AtZero):
        (same,) = op.descent(np.ones_like(x), x / scale)
        np.testing.assert_allclose(found * scale, same, rtol=1e-9)
    single = op.descent(np.ones((1, 1)), scale * np.ones((1, 1)))[0]
    assert np.isfinite(single).all()
    assert single.any()
    assert np.isfinite(op.descent(np.ones((1, 1)), np.zeros((1, 1)))[0]).all()


@every_op
def test_attacks_agree_in_both_libraries(op: Nonlinear) -> None:
    rng = np.random.default_rng(6)
    xs = tuple(rng.uniform(0.1, 2.0, size=(5, 4)) for _ in op.in_shapes)
    grad = rng.normal(size=(5, 4))
    for ours, theirs in zip(op.descent(grad, *xs), op.descent(*put(TORCH, grad), *put(TORCH, *xs)), strict=True):
        assert_equal_arrays(ours, theirs)
    if not isinstance(op, Jump | Share):
        for ours, exact in zip(op.descent(grad, *xs), op.vjp(grad, *xs), strict=True):
            np.testing.assert_array_equal(ours, exact)


def test_attacks_see_through_a_saturated_softmax() -> None:
    """Where the first of three is certain, the second is raised by raising it alone."""
    xs = (np.full((1, 1), 900.0), np.full((1, 1), -5.0))
    assert Share.of((1,), 2).vjp(np.ones((1, 1)), *xs)[0] == 0.0
    towards, other = Share.of((1,), 2).descent(np.ones((1, 1)), *xs)
    assert towards < 0.0
    assert abs(other) < 1e-6 * abs(towards)
