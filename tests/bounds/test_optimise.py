"""The ascent: its gradient, that it never loses, and that split constraints are used soundly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from bound_methods import hard_points, put_box, put_rows, random_rows, row_values
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import KINDS, PLANAR_KINDS, Rng, networks, random_box

from certify.arrays import Array, Library, to_numpy
from certify.bounds.backward import Rows, backward, forward_planes
from certify.bounds.intermediate import Relaxed, crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.optimise import Adam, Ascent, Optimised, Split, _Climb, optimise
from certify.network.evaluate import values
from certify.network.graph import INPUT, Network
from certify.network.passes import simplify

SEEDS = st.integers(0, 2**16)
NO_STEP = Ascent(iterations=0)


def random_splits(network: Network, box: Interval, rng: Rng, points: bool) -> dict[str, Split]:
    """Signs for some elements of every relaxed value and of the output, around the values at the boxes' centres."""
    found = values(network, box.center)
    splits = {}
    for name in dict.fromkeys((*network.relaxed_inputs, network.output)):
        shape = found[name].shape
        sign = rng.choice([-1.0, 0.0, 0.0, 0.0, 1.0], size=shape)
        splits[name] = Split(sign, found[name] + 0.1 * rng.normal(size=shape) if points else None)
    return splits


def bound(relaxed: Relaxed, rows: Rows, values: Mapping[str, Array], splits: Mapping[str, Split]) -> Array:
    """The rows' bound for these parameters, through the public function."""
    slopes, multipliers = unpack(relaxed, values)
    return optimise(relaxed, rows, NO_STEP, slopes=slopes, splits=splits, multipliers=multipliers).lower


def unpack(relaxed: Relaxed, values: Mapping[str, Array]) -> tuple[dict[str, tuple[Array, ...]], dict[str, Array]]:
    """(slopes by node, multipliers by value) from the ascent's flat keys."""
    slopes = {}
    for node in relaxed.network.nonlinear:
        count = len(relaxed.relaxations[node.name].start())
        slopes[node.name] = tuple(values[f"alpha:{node.name}:{i}"] for i in range(count))
    return slopes, {key.removeprefix("beta:"): v for key, v in values.items() if key.startswith("beta:")}


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient(kind: str, points: bool) -> None:
    """By every slope and multiplier, against central differences; a bound is concave in multipliers and has kinks."""
    rng = np.random.default_rng(7)
    network = simplify(KINDS[kind](rng))
    box, rows = random_box(network, rng, 2), random_rows(network, rng, 2)
    relaxed = intermediate_bounds(network, box)
    splits = random_splits(network, box, rng, points)
    climb = _Climb(relaxed, rows, None, splits, None)
    climb.values = {
        key: rng.uniform(0.2, 0.8, size=value.shape) * (0.05 if key.startswith("beta") else 1.0)
        for key, value in climb.values.items()
    }
    found = climb.gradients(*climb.walk())
    step, compared = 1e-6, 0
    here = bound(relaxed, rows, climb.values, splits)
    for key, value in climb.values.items():
        for _ in range(6):
            place = tuple(rng.integers(0, n) for n in value.shape)
            move = np.zeros(value.shape)
            move[place] = step
            ends = [bound(relaxed, rows, climb.values | {key: value + s * move}, splits) for s in (1.0, -1.0)]
            right, left = (ends[0] - here)[place[:2]] / step, (here - ends[1])[place[:2]] / step
            scale = 1.0 + abs(here[place[:2]])
            slope = found[key][place] if key in found else 0.0
            if abs(right - left) < 1e-4 * scale:
                compared += 1
                assert abs(slope - (right + left) / 2.0) <= 1e-4 * scale, (key, place)
            else:
                assert min(right, left) - 1e-4 * scale <= slope <= max(right, left) + 1e-4 * scale, (key, place)
            others = np.arange(here.size).reshape(here.shape) != np.ravel_multi_index(place[:2], here.shape)
            np.testing.assert_array_equal(ends[0][others], here[others])
    assert compared > 2 * len(climb.values)


@given(network=networks(), seed=SEEDS)
@settings(deadline=None, max_examples=80)
def test_the_relaxation_run_forward_on_the_minimiser_gives_the_bound(network: Network, seed: int) -> None:
    """What the gradient rests on: the chosen planes, evaluated forward, end in the bound itself."""
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box, rows = random_box(network, rng, 2), random_rows(network, rng)
    relaxed = intermediate_bounds(network, box)
    walk = backward(network, rows, relaxed.planes, keep=True)
    x = walk.form.minimiser(box)
    found = forward_planes(network, x, relaxed.planes, walk.weights)[network.output]
    ends = (found * rows.coefficients[network.output]).sum(axis=-1) + (x * rows.coefficients[INPUT]).sum(axis=-1)
    np.testing.assert_allclose(ends + rows.offset, walk.form.lower(box), rtol=1e-9, atol=1e-9)


@given(network=networks(), seed=SEEDS, rate=st.sampled_from([0.01, 0.3, 5.0]), points=st.booleans())
@settings(deadline=None, max_examples=100)
def test_never_worse_than_the_start_and_still_sound(network: Network, seed: int, rate: float, points: bool) -> None:
    """Bounds hold where the splits do, whatever the step sizes."""
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box, rows = random_box(network, rng, 2), random_rows(network, rng)
    relaxed, splits = intermediate_bounds(network, box), random_splits(network, box, rng, points)
    found = optimise(relaxed, rows, Ascent(8, rate, rate), splits=splits)
    plain = crown_rows(relaxed, rows)[0]
    assert (found.lower >= plain - 1e-12 * (1.0 + abs(plain))).all()
    check_within_splits(network, rows, box, splits, found, rng)


def check_within_splits(
    network: Network, rows: Rows, box: Interval, splits: Mapping[str, Split], found: Optimised, rng: Rng
) -> int:
    """No point that satisfies the splits is below the bound; how many such points there were."""
    points = hard_points(network, rows, box, rng)
    hidden = values(network, points.reshape(-1, network.n_inputs))
    holds = np.ones(points.shape[:2], dtype=bool)
    for name, split in splits.items():
        value = hidden[name].reshape(*holds.shape, *network.shapes[name])
        value = value if split.point is None else value - split.point[:, None]
        holds &= (split.sign[:, None] * value >= 0.0).reshape(*holds.shape, -1).all(axis=-1)
    reached = row_values(network, rows, points)
    slack = 1e-9 * (1.0 + abs(reached).max())
    below = (reached < found.lower[:, None] - slack).any(axis=-1)
    assert not (below & holds).any()
    return int(holds.sum())


@given(network=networks(), seed=SEEDS, points=st.booleans(), share=st.floats(0.05, 1.0))
@settings(deadline=None, max_examples=120)
def test_one_split_is_sound_and_points_on_both_sides_are_bounded(
    network: Network, seed: int, points: bool, share: float
) -> None:
    """The two halves of one split cover the box: the smaller bound holds for all of it, each for its own half."""
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box, rows = random_box(network, rng), random_rows(network, rng)
    relaxed = intermediate_bounds(network, box)
    name = str(rng.choice(list(dict.fromkeys((*network.relaxed_inputs, network.output)))))
    sign = np.zeros((1, *network.shapes[name]))
    sign.reshape(-1)[rng.integers(0, sign.size)] = 1.0
    point = share * values(network, box.center)[name] if points else None
    halves = [optimise(relaxed, rows, Ascent(10, 0.2, 0.3), splits={name: Split(s * sign, point)}) for s in (1.0, -1.0)]
    reached = sum(
        check_within_splits(network, rows, box, {name: Split(s * sign, point)}, half, rng)
        for s, half in zip((1.0, -1.0), halves, strict=True)
    )
    assert reached >= 2 * 60


@pytest.mark.parametrize("kind", ["dense", "deep", "residual", "convolution", "max pool", "tanh", "product"])
def test_splits_tighten(kind: str) -> None:
    """Averaged over many splits at the relaxations' inputs, multipliers gain something on one of the sides."""
    gains = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        network = simplify(KINDS[kind](rng))
        box, rows = random_box(network, rng), random_rows(network, rng)
        relaxed = intermediate_bounds(network, box)
        plain = optimise(relaxed, rows, Ascent(20)).lower
        center = values(network, box.center)
        for name in network.relaxed_inputs:
            splits = {name: Split(np.ones_like(center[name]), center[name] + 0.1)}
            gains.append((optimise(relaxed, rows, Ascent(20, 0.25, 0.3), splits=splits).lower - plain).max())
    assert np.mean(gains) > 0.01
    assert np.min(gains) > -0.05


@pytest.mark.parametrize("points", [False, True])
def test_a_split_of_the_input_cuts_the_box(points: bool) -> None:
    """relu reads the input itself, so that search may split there: x >= 0 or x >= point makes x + relu(x) exact."""
    network = KINDS["bent input"](np.random.default_rng(0))
    assert INPUT in network.relaxed_inputs
    box = Interval(-np.ones((1, 3)), np.ones((1, 3)))
    rows = Rows({INPUT: np.eye(3)[None]}, np.zeros((1, 3)))
    point = np.array([[0.5, -0.5, 0.25]]) if points else None
    relaxed = intermediate_bounds(network, box)
    found = optimise(relaxed, rows, Ascent(60, 0.1, 0.1), splits={INPUT: Split(np.ones((1, 3)), point)})
    expected = np.zeros((1, 3)) if point is None else point
    assert (found.lower <= expected + 1e-9).all()
    np.testing.assert_allclose(found.lower, expected, atol=0.02)


def test_contradictory_splits_prove_anything() -> None:
    """Nothing satisfies value >= 2 where it is at most 1, and the bound may rise above every value."""
    network = simplify(PLANAR_KINDS["dense"](np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    box, rows = random_box(network, rng), random_rows(network, rng)
    relaxed = intermediate_bounds(network, box)
    name = network.relaxed_inputs[0]
    impossible = {name: Split(np.ones((1, 4)), relaxed.intervals[name].upper + 1.0)}
    found = optimise(relaxed, rows, Ascent(200, 0.2, 1.0, 1.0), splits=impossible)
    assert (found.lower > row_values(network, rows, hard_points(network, rows, box, rng)).max(axis=1)).all()


@pytest.mark.parametrize("kind", ["dense", "max pool", "product", "quotient", "bent input"])
def test_libraries_agree(kind: str) -> None:
    rng = np.random.default_rng(8)
    network = simplify(KINDS[kind](rng))
    moved = network.on(Library("torch"))
    put = moved.library.put
    box, rows = random_box(network, rng, 2), random_rows(network, rng)
    splits = random_splits(network, box, rng, True)
    there = {name: Split(put(s.sign), put(s.point)) for name, s in splits.items()}
    ours = optimise(intermediate_bounds(network, box), rows, Ascent(5, 0.1, 0.1), splits=splits)
    theirs = optimise(
        intermediate_bounds(moved, put_box(moved, box)), put_rows(moved, rows), Ascent(5, 0.1, 0.1), splits=there
    )
    np.testing.assert_allclose(to_numpy(theirs.lower), ours.lower, rtol=1e-7, atol=1e-7)


def test_shapes_and_ranges_of_what_is_returned() -> None:
    rng = np.random.default_rng(9)
    network = simplify(KINDS["product"](rng))
    box, rows = random_box(network, rng, 2), random_rows(network, rng)
    splits = random_splits(network, box, rng, False)
    found = optimise(intermediate_bounds(network, box), rows, Ascent(10, 1.0, 1.0), splits=splits)
    assert found.lower.shape == (2, 3)
    for node in network.nonlinear:
        assert len(found.slopes[node.name]) == (0 if not found.slopes[node.name] else 2 - ("Relu" in repr(node.op)))
        for slopes in found.slopes[node.name]:
            assert slopes.shape == (2, 3, *network.shapes[node.inputs[0]])
            assert (slopes >= 0.0).all()
            assert (slopes <= 1.0).all()
    assert found.multipliers.keys() == splits.keys()
    for name, multipliers in found.multipliers.items():
        assert multipliers.shape == (2, 3, *network.shapes[name])
        assert (multipliers >= 0.0).all()


def test_the_ascent_can_be_continued() -> None:
    """Starting from the returned parameters repeats the last walk."""
    rng = np.random.default_rng(10)
    network = simplify(KINDS["dense"](rng))
    box, rows = random_box(network, rng, 2), random_rows(network, rng)
    relaxed, splits = intermediate_bounds(network, box), random_splits(network, box, rng, False)
    first = optimise(relaxed, rows, Ascent(5), splits=splits)
    again = optimise(relaxed, rows, NO_STEP, slopes=first.slopes, splits=splits, multipliers=first.multipliers)
    np.testing.assert_allclose(again.lower, first.form.lower(box), rtol=1e-12)
    assert (first.lower >= again.lower - 1e-12).all()


def test_settled_elements_stay_and_end_the_ascent() -> None:
    rng = np.random.default_rng(11)
    network = simplify(KINDS["dense"](rng))
    box, rows = random_box(network, rng, 3, radius=3.0), random_rows(network, rng)
    relaxed = intermediate_bounds(network, box)
    asked = []

    def settle(lower: Array) -> Array:
        assert lower.shape == (3, 3)
        asked.append(lower)
        # Six times in single precision, then once in double, which has the last word.
        return np.array([len(asked) in (1, 7), len(asked) in (3, 7), len(asked) in (6, 7)])

    found = optimise(relaxed, rows, Ascent(50), settle=settle)
    assert [a.dtype for a in asked] == [np.float32] * 6 + [np.float64]
    assert found.settled.all()
    start = relaxed.relaxations[network.nonlinear[0].name].start()[0]
    slopes = found.slopes[network.nonlinear[0].name][0]
    np.testing.assert_array_equal(slopes[0], np.broadcast_to(start[0], slopes[0].shape))
    assert (slopes[2] != np.broadcast_to(start[2], slopes[2].shape)).any()


def test_time_ends_the_ascent() -> None:
    rng = np.random.default_rng(12)
    network = simplify(KINDS["deep"](rng))
    box, rows = random_box(network, rng), random_rows(network, rng)
    relaxed = intermediate_bounds(network, box)
    answers = iter([False, False, True])
    optimise(relaxed, rows, Ascent(50), expired=lambda: next(answers))
    assert next(answers, "used up") == "used up"


def test_adam_climbs_a_concave_function() -> None:
    peak = np.array([[0.3, -2.0]])
    adam, at = Adam({"a": 0.1}), {"a": np.zeros((1, 2))}
    for _ in range(300):
        adam.update(at, {"a": -2.0 * (at["a"] - peak)}, 1.0, None)
    np.testing.assert_allclose(at["a"], peak, atol=0.02)
    before = at["a"].copy()
    adam.update(at, {"a": np.ones((1, 2))}, 1.0, np.array([True]))
    np.testing.assert_array_equal(at["a"], before)
