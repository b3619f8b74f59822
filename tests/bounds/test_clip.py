"""Clipping keeps every unsafe point, for any rows and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certify.bounds.clip import clip_box, joint_bound


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([1e-8, 1.0, 1e6]))
def test_points_on_the_unsafe_side_stay(seed: int, n: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    lower = rng.normal(size=(3, n)) * scale
    upper = lower + rng.exponential(size=(3, n)) * scale * rng.integers(0, 2, size=(3, n))
    a = rng.normal(size=(3, n)) * rng.integers(0, 2, size=(3, n))
    points = rng.uniform(lower, upper, size=(200, 3, n))
    values = np.einsum("pbn,bn->pb", points, a)
    b = -np.quantile(values, rng.uniform(0.0, 1.0), axis=0)
    low, high = lower.copy(), upper.copy()
    clip_box(low, high, np.arange(3), a, b)
    unsafe = values + b <= 0.0
    inside = ((points >= low) & (points <= high)).all(axis=2)
    assert inside[unsafe].all()
    assert (low >= lower).all()
    assert (high <= upper).all()


def test_it_really_cuts() -> None:
    lower, upper = np.zeros((1, 2)), np.ones((1, 2))
    clip_box(lower, upper, np.array([0]), np.array([[1.0, 1.0]]), np.array([-0.5]))
    np.testing.assert_allclose(upper, 0.5, rtol=1e-8)
    np.testing.assert_array_equal(lower, 0.0)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_rows_refuted_together_have_no_common_point(rows: int) -> None:
    """A positive joint bound means that the linear program has no solution; for two rows the converse holds too."""
    linprog = pytest.importorskip("scipy.optimize").linprog
    rng = np.random.default_rng(rows)
    boxes, n = 300, 3
    a, c = rng.normal(size=(boxes, rows, n)), rng.normal(size=(boxes, rows)) + 0.8
    center, radius = rng.normal(size=(boxes, n)), rng.uniform(0.1, 1.0, size=(boxes, n))
    found = joint_bound(a, c, np.ones((boxes, rows), dtype=bool), center, radius) > 0.0
    alone = ((a * center[:, None] - abs(a) * radius[:, None]).sum(axis=2) + c > 0.0).any(axis=1)
    sides = np.stack([center - radius, center + radius], axis=2)
    empty = np.array([linprog(np.zeros(n), a[i], -c[i], bounds=sides[i]).status == 2 for i in range(boxes)])
    assert not (found & ~empty).any()
    assert not (alone & ~found).any()
    if rows == 2:
        np.testing.assert_array_equal(found, empty)
        assert (found & ~alone).any()


def test_absent_rows_refute_nothing() -> None:
    """A row that does not exist is left out, whatever it holds."""
    a, c = np.zeros((1, 2, 1)), np.array([[-1.0, 5.0]])
    bound = joint_bound(a, c, np.array([[True, False]]), np.zeros((1, 1)), np.ones((1, 1)))
    assert -1.0 - 1e-9 <= bound[0] <= -1.0
