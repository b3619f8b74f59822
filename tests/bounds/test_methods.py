"""Every method contains all that can be found by looking, and the exact range; sharper ones lie inside others."""

from __future__ import annotations

import numpy as np
import pytest
from bound_methods import (
    METHODS,
    assert_contains,
    hard_points,
    never,
    put_box,
    put_rows,
    random_rows,
    row_values,
    with_watched_output,
)
from exact_range import exact_ranges
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import KINDS, PLANAR_KINDS, networks, random_box

from certify.arrays import Library, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.methods import ibp
from certify.network.evaluate import evaluate, values
from certify.network.graph import Network
from certify.network.passes import simplify

SEEDS = st.integers(0, 2**16)
every_method = pytest.mark.parametrize("method", METHODS)


def test_there_are_methods() -> None:
    assert {"ibp", "crown", "alpha_crown"} <= METHODS.keys()


@every_method
@given(network=networks(), seed=SEEDS, radius=st.sampled_from([0.01, 0.3, 1.0, 4.0]))
@settings(deadline=None, max_examples=150)
def test_contains_what_can_be_found(method: str, network: Network, seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box, rows = random_box(network, rng, 2, radius), random_rows(network, rng)
    relaxed, lower = METHODS[method](network, box, rows, never)
    points = hard_points(network, rows, box, rng)
    found = row_values(network, rows, points)
    assert lower.shape == (2, rows.count)
    slack = 1e-9 * (1.0 + abs(found).max())
    assert (lower[:, None] <= found + slack).all()
    hidden = values(network, points.reshape(-1, network.n_inputs))
    assert set(relaxed.intervals) == set(network.relaxed_inputs)
    for name, interval in relaxed.intervals.items():
        inside = hidden[name].reshape(2, -1, *network.shapes[name])
        assert_contains(interval, Interval(inside.min(axis=1), inside.max(axis=1)))


@given(network=networks(), seed=SEEDS)
@settings(deadline=None, max_examples=150)
def test_intervals_of_every_value(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    box = random_box(network, rng, 2)
    found = values(network, hard_points(network, random_rows(network, rng), box, rng).reshape(-1, network.n_inputs))
    ranges = ibp.intervals(network, box)
    assert ranges.keys() == network.shapes.keys()
    for name, interval in ranges.items():
        inside = found[name].reshape(2, -1, *network.shapes[name])
        assert_contains(interval, Interval(inside.min(axis=1), inside.max(axis=1)))


@given(network=networks(PLANAR_KINDS), seed=SEEDS, radius=st.sampled_from([0.1, 0.5, 2.0]))
@settings(deadline=None, max_examples=120)
def test_exact_inside_alpha_crown_inside_crown_inside_ibp(network: Network, seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    box = random_box(network, rng, radius=radius)
    watched = with_watched_output(simplify(network))
    rows = random_rows(watched, rng)
    by_method = {name: METHODS[name](watched, box, rows, never)[0].intervals for name in METHODS}
    exact = exact_ranges(watched, box.lower[0], box.upper[0])
    for name in watched.relaxed_inputs:
        low, high = exact[name]
        assert_contains(by_method["alpha_crown"][name], Interval(low[None], high[None]), 1e-8)
        assert_contains(by_method["crown"][name], by_method["alpha_crown"][name])
        assert_contains(by_method["ibp"][name], by_method["crown"][name])


@given(network=networks(), seed=SEEDS)
@settings(deadline=None, max_examples=120)
def test_alpha_crown_inside_crown_inside_ibp(network: Network, seed: int) -> None:
    """For smooth functions and products too, where no exact range is at hand."""
    rng = np.random.default_rng(seed)
    watched = with_watched_output(simplify(network))
    box, rows = random_box(watched, rng, 2), random_rows(watched, rng)
    by_method = {name: METHODS[name](watched, box, rows, never)[0].intervals for name in METHODS}
    for name in watched.relaxed_inputs:
        assert_contains(by_method["crown"][name], by_method["alpha_crown"][name])
        assert_contains(by_method["ibp"][name], by_method["crown"][name])


@every_method
@given(network=networks(PLANAR_KINDS), seed=SEEDS)
@settings(deadline=None, max_examples=80)
def test_exact_range_of_the_outputs_is_contained(method: str, network: Network, seed: int) -> None:
    box = random_box(network, np.random.default_rng(seed))
    both = np.concatenate([np.eye(network.n_outputs), -np.eye(network.n_outputs)])
    lower = METHODS[method](network, box, Rows({network.output: both[None]}, np.zeros((1, len(both)))), never)[1]
    low, high = exact_ranges(network, box.lower[0], box.upper[0])[network.output]
    exact = np.concatenate([low, -high])
    assert (lower[0] <= exact + 1e-8 * (1.0 + abs(exact))).all()


@every_method
@pytest.mark.parametrize("kind", KINDS)
def test_a_point_is_bounded_by_its_value(method: str, kind: str) -> None:
    rng = np.random.default_rng(1)
    network = simplify(KINDS[kind](rng))
    x, rows = rng.normal(size=(3, network.n_inputs)), random_rows(network, rng)
    lower = METHODS[method](network, Interval(x, x), rows, never)[1]
    np.testing.assert_allclose(lower, row_values(network, rows, x[:, None])[:, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["crown", "alpha_crown"])
@pytest.mark.parametrize("kind", ["dense", "deep", "leaky", "clipped", "convolution", "max pool", "residual"])
def test_exact_where_no_rectifier_changes_sign(method: str, kind: str) -> None:
    """The network is affine there, and walks find its minimum, which lies at a corner."""
    network = simplify(KINDS[kind](np.random.default_rng(2)))
    rng = np.random.default_rng(3)
    box, rows = random_box(network, rng, radius=1e-6), random_rows(network, rng)
    relaxed, lower = METHODS[method](network, box, rows, never)
    assert not any(n.op.inexact(*(relaxed.intervals[i] for i in n.inputs)).any() for n in network.nonlinear)
    x = box.center
    slope = (row_values(network, rows, np.stack([x + step for step in 1e-6 * np.eye(network.n_inputs)], axis=1))
             - row_values(network, rows, x[:, None])) / 1e-6  # fmt: skip
    expected = row_values(network, rows, x[:, None])[:, 0] - (abs(slope) * box.radius[:, :, None]).sum(axis=1)
    np.testing.assert_allclose(lower, expected, rtol=0.0, atol=1e-9)


@every_method
@pytest.mark.parametrize("kind", KINDS)
def test_libraries_agree(method: str, kind: str) -> None:
    rng = np.random.default_rng(4)
    network = simplify(KINDS[kind](rng))
    moved = network.on(Library("torch"))
    box, rows = random_box(network, rng, 2), random_rows(network, rng)
    ours, lower = METHODS[method](network, box, rows, never)
    theirs, there = METHODS[method](moved, put_box(moved, box), put_rows(moved, rows), never)
    assert not isinstance(there, np.ndarray)
    np.testing.assert_allclose(to_numpy(there), lower, rtol=1e-9, atol=1e-9)
    assert ours.intervals.keys() == theirs.intervals.keys()
    for name, interval in ours.intervals.items():
        for a, b in zip(interval, theirs.intervals[name], strict=True):
            np.testing.assert_allclose(to_numpy(b), a, rtol=1e-9, atol=1e-9)


@every_method
@pytest.mark.parametrize("kind", KINDS)
def test_boxes_of_a_batch_do_not_mix(method: str, kind: str) -> None:
    rng = np.random.default_rng(5)
    network = simplify(KINDS[kind](rng))
    box, rows = random_box(network, rng, 3), random_rows(network, rng, batch=3)
    together = METHODS[method](network, box, rows, never)[1]
    for i in range(3):
        one = Interval(box.lower[i : i + 1], box.upper[i : i + 1])
        mine = type(rows)({n: c[i : i + 1] for n, c in rows.coefficients.items()}, rows.offset[i : i + 1])
        np.testing.assert_allclose(
            METHODS[method](network, one, mine, never)[1], together[i : i + 1], rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("kind", KINDS)
def test_out_of_time_alpha_crown_is_still_sound(kind: str) -> None:
    rng = np.random.default_rng(6)
    network = simplify(KINDS[kind](rng))
    box, rows = random_box(network, rng), random_rows(network, rng)
    lower = METHODS["alpha_crown"](network, box, rows, lambda: True)[1]
    np.testing.assert_allclose(lower, METHODS["crown"](network, box, rows, never)[1], rtol=1e-6, atol=1e-6)
    assert (lower[:, None] <= row_values(network, rows, hard_points(network, rows, box, rng)) + 1e-9).all()


def test_alpha_crown_is_sharper_than_crown_on_average() -> None:
    gains = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        network = simplify(KINDS["deep"](rng))
        box, rows = random_box(network, rng), random_rows(network, rng)
        crown, alpha = (METHODS[name](network, box, rows, never)[1] for name in ("crown", "alpha_crown"))
        gains.append(alpha - crown)
    assert np.mean(gains) > 1e-3
    assert evaluate(network, box.center).shape == (1, 2)
