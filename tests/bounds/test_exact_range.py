"""The oracle itself: its ranges contain every sample, its pieces cover the box, and known ranges come out."""

from __future__ import annotations

import numpy as np
from exact_range import exact_ranges, pieces
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import PLANAR_KINDS, apply, finish, networks, points_in, random_box, start

from certify.network.evaluate import values
from certify.network.graph import Network
from certify.ops.dense import dense


@given(network=networks(PLANAR_KINDS), seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_samples_lie_in_the_exact_range(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    box = random_box(network, rng, radius=2.0)
    ranges = exact_ranges(network, box.lower[0], box.upper[0])
    found = values(network, points_in(box, rng, 2000)[0])
    assert ranges.keys() == found.keys()
    for name, (low, high) in ranges.items():
        slack = 1e-8 * (1.0 + np.maximum(abs(low), abs(high)))
        assert (found[name] >= low - slack).all()
        assert (found[name] <= high + slack).all()


@given(network=networks(PLANAR_KINDS), seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_pieces_cover_the_box_and_lie_in_it(network: Network, seed: int) -> None:
    center = np.random.default_rng(seed).normal(size=2)
    lower, upper = center - 1.0, center + 1.0
    area = 0.0
    for corners, _ in pieces(network, lower, upper):
        assert (corners >= lower - 1e-9).all()
        assert (corners <= upper + 1e-9).all()
        x, y = corners.T
        area += abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2.0
    np.testing.assert_allclose(area, 4.0, rtol=1e-6)


def test_known_range() -> None:
    """|x| + |y| on a box, as four rectifiers."""
    build, x = start(2)
    corners = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    network = finish(build, dense(build, apply(build, "Relu", dense(build, x, corners)), np.ones((1, 4))), 2)
    low, high = exact_ranges(network, np.array([-1.0, -3.0]), np.array([2.0, 0.5]))[network.output]
    np.testing.assert_allclose([low[0], high[0]], [0.0, 5.0], atol=1e-9)
