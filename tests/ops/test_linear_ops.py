"""Linear ops: forward, adjoint, absolute values and rows are of one matrix; intervals are exact for a single op."""

from __future__ import annotations

import linear_checks
import numpy as np
import pytest
from op_cases import LIBRARIES, TORCH, assert_equal_arrays, linear_ops, put

from certify.arrays import Library, to_numpy
from certify.bounds.interval import Interval
from certify.bounds.rounding import linear_range
from certify.ops.kinds import Linear

pytestmark = pytest.mark.parametrize("op", linear_ops())


@pytest.mark.parametrize("library", LIBRARIES)
def test_dot_product(op: Linear, library: Library) -> None:
    linear_checks.check_adjoint(op, library, np.random.default_rng(1))


@pytest.mark.parametrize("library", LIBRARIES)
def test_leading_axes(op: Linear, library: Library) -> None:
    linear_checks.check_leading_axes(op, library, np.random.default_rng(2))


def test_matrix(op: Linear) -> None:
    linear_checks.check_matrix(op, np.random.default_rng(3))


def test_absolute(op: Linear) -> None:
    linear_checks.check_absolute(op)


def test_magnitude_is_absolute_in_torch_too(op: Linear) -> None:
    x = [np.random.default_rng(4).uniform(size=shape) for shape in op.in_shapes]
    assert_equal_arrays(op.on(TORCH).magnitude.linear(*put(TORCH, *x)), op.absolute().linear(*x))


def test_terms(op: Linear) -> None:
    linear_checks.check_terms(op)


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows(op: Linear, library: Library) -> None:
    linear_checks.check_rows(op, library)


def test_gradient_is_the_adjoint(op: Linear) -> None:
    rng = np.random.default_rng(5)
    y, xs = rng.normal(size=(2, *op.out_shape)), [rng.normal(size=(2, *shape)) for shape in op.in_shapes]
    for part, expected in zip(op.vjp(y, *xs), op.adjoint(y), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("library", LIBRARIES)
def test_interval_is_exact(op: Linear, library: Library) -> None:
    rng = np.random.default_rng(6)
    lower = [rng.normal(size=(4, *shape)) for shape in op.in_shapes]
    upper = [lo + rng.exponential(size=lo.shape) * (rng.uniform(size=lo.shape) < 0.7) for lo in lower]
    found = linear_range(op.on(library), [Interval(*put(library, *pair)) for pair in zip(lower, upper, strict=True)])
    low, high = linear_checks.exact_interval(op, lower, upper)
    assert_equal_arrays(found.lower, low)
    assert_equal_arrays(found.upper, high)
    for _ in range(20):
        xs = [rng.uniform(lo, hi) for lo, hi in zip(lower, upper, strict=True)]
        y = to_numpy(op.forward(*xs))
        slack = 1e-13 * (1.0 + abs(y))
        assert (to_numpy(found.lower) - slack <= y).all()
        assert (y <= to_numpy(found.upper) + slack).all()
