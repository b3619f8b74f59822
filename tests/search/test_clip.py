"""Clipping keeps every unsafe point, for any rows and boxes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from certify.search.input_split import clip_box


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
