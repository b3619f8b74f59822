"""Linear forms and intervals: minimum, minimiser, intersection, checks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from networks import Rng, points_in

from certify.arrays import Library, to_numpy
from certify.bounds.interval import Interval, intersect
from certify.bounds.linear_form import LinearForm
from certify.errors import NumericalError

LIBRARIES = [pytest.param(Library(), id="numpy"), pytest.param(Library("torch"), id="torch")]


def random_form(rng: Rng, batch: int, rows: int = 3, n: int = 4) -> LinearForm:
    coefficient = rng.normal(size=(batch, rows, n)) * (rng.uniform(size=(batch, rows, n)) < 0.8)
    return LinearForm(coefficient, rng.normal(size=(batch, rows)), np.zeros((batch, rows)))


def random_boxes(rng: Rng, batch: int = 5, n: int = 4) -> Interval:
    center, radius = (
        rng.normal(size=(batch, n)),
        rng.exponential(size=(batch, n)) * (rng.uniform(size=(batch, n)) < 0.8),
    )
    return Interval(center - radius, center + radius)


def at(form: LinearForm, x: np.ndarray) -> np.ndarray:
    """The form's value at its own point for each row: x [batch, rows, n] -> [batch, rows]."""
    return (form.coefficient * x).sum(axis=-1) + form.offset - form.error


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("batch", [1, 5])
def test_the_minimum_is_attained_at_the_minimiser(batch: int, library: Library) -> None:
    rng = np.random.default_rng(0)
    form, box = random_form(rng, batch), random_boxes(rng)
    moved = LinearForm(*(library.put(part) for part in form))
    there = Interval(*(library.put(end) for end in box))
    lower, x = to_numpy(moved.lower(there)), to_numpy(moved.minimiser(there))
    assert lower.shape == (5, 3)
    assert x.shape == (5, 3, 4)
    corners = np.minimum(abs(x - box.lower[:, None]), abs(x - box.upper[:, None]))
    np.testing.assert_allclose(corners, 0.0, atol=1e-15)
    np.testing.assert_allclose(lower, at(form, x), rtol=0.0, atol=1e-13)
    for point in np.moveaxis(points_in(box, rng, 100), 1, 0):
        assert (lower <= at(form, point[:, None]) + 1e-13).all()


def test_errors_are_taken_off() -> None:
    rng = np.random.default_rng(1)
    form, box = random_form(rng, 5), random_boxes(rng)
    error = rng.exponential(size=(5, 3))
    np.testing.assert_allclose(form._replace(error=error).lower(box), form.lower(box) - error, rtol=0.0, atol=1e-13)


def test_large_centres_with_tiny_radii_are_rounded_down() -> None:
    """1e8 + 1e-9 is 1e8 in floating point; the bound must not rely on that."""
    box = Interval(np.array([[1e8, -1e8]]), np.array([[1e8 + 1e-7, -1e8 + 1e-7]]))
    form = LinearForm(np.array([[[1.0, 1.0], [-3.0, -3.0]]]), np.zeros((1, 2)), np.zeros((1, 2)))
    assert form.lower(box)[0, 0] <= 0.0
    assert form.lower(box)[0, 1] <= -3.0 * sum(float(u) for u in box.upper[0])
    assert (form.lower(box) >= -1e-4).all()


ENDS = arrays.arrays(np.float64, (2, 3), elements=st.floats(-1e6, 1e6))


@given(ENDS, ENDS, ENDS, ENDS)
@settings(deadline=None, max_examples=200)
def test_intersection(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> None:
    first, second = Interval(np.minimum(a, b), np.maximum(a, b)), Interval(np.minimum(c, d), np.maximum(c, d))
    found = intersect(first, second)
    meet = np.maximum(first.lower, second.lower) <= np.minimum(first.upper, second.upper)
    np.testing.assert_array_equal(found.lower[meet], np.maximum(first.lower, second.lower)[meet])
    np.testing.assert_array_equal(found.upper[meet], np.minimum(first.upper, second.upper)[meet])
    # Apart from each other: the gap between them.
    np.testing.assert_array_equal(found.lower[~meet], np.minimum(first.upper, second.upper)[~meet])
    np.testing.assert_array_equal(found.upper[~meet], np.maximum(first.lower, second.lower)[~meet])
    for one, other in zip(found, intersect(second, first), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(intersect(first, first), first, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("place", [0, 1])
def test_nan_survives_an_intersection(place: int, library: Library) -> None:
    ends = [np.array([[0.0, 1.0]]), np.array([[2.0, 3.0]])]
    ends[place] = np.array([[0.5, np.nan]])
    bad, good = (Interval(*(library.put(end) for end in pair)) for pair in (ends, (np.zeros((1, 2)), np.ones((1, 2)))))
    for found in (intersect(bad, good), intersect(good, bad)):
        with pytest.raises(NumericalError, match="the bounds of somewhere"):
            found.checked("somewhere")


@pytest.mark.parametrize(("lower", "upper"), [(np.nan, 1.0), (0.0, np.nan), (np.nan, np.nan), (1.0, 0.0)])
def test_unusable_bounds_fail(lower: float, upper: float) -> None:
    with pytest.raises(NumericalError):
        Interval(np.array([[0.0, lower]]), np.array([[1.0, upper]])).checked("value")


def test_usable_bounds_pass() -> None:
    interval = Interval(np.array([[0.0, -1.0]]), np.array([[0.0, 1.0]]))
    assert interval.checked("value") is interval
    np.testing.assert_array_equal(interval.center, [[0.0, 0.0]])
    np.testing.assert_array_equal(interval.radius, [[0.0, 1.0]])
