"""Layer by layer bounds: inherited ones, batches, rows in pieces, the forms behind them, and what is not a number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bound_methods import assert_contains, put_box
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import KINDS, apply, finish, layer, networks, points_in, random_box, start

from certify.arrays import Library, to_numpy
from certify.bounds import intermediate
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.errors import NumericalError
from certify.network.evaluate import values
from certify.network.graph import INPUT, Network
from certify.network.passes import simplify
from certify.ops.arithmetic import add, scale
from certify.ops.kinds import Nonlinear

SEEDS = st.integers(0, 2**16)


def part_of(box: Interval, i: int) -> Interval:
    """Box i of the batch, as a batch of one."""
    return Interval(box.lower[i : i + 1], box.upper[i : i + 1])


def shrunk(box: Interval) -> Interval:
    """Boxes of half the size inside."""
    return Interval(box.center - box.radius / 2.0, box.center + box.radius / 2.0)


def assert_same(a: dict[str, Interval], b: dict[str, Interval], relative: float = 1e-9) -> None:
    """Equal intervals up to rounding."""
    assert a.keys() == b.keys()
    for name in a:
        for first, second in zip(a[name], b[name], strict=True):
            np.testing.assert_allclose(to_numpy(first), to_numpy(second), rtol=relative, atol=relative)


@given(network=networks(), seed=SEEDS)
@settings(deadline=None, max_examples=100)
def test_equal_boxes_of_a_batch(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box = random_box(network, rng)
    alone = intermediate_bounds(network, box)
    together = intermediate_bounds(network, Interval(*(np.repeat(end, 3, axis=0) for end in box)))
    for i in range(3):
        assert_same({n: part_of(v, i) for n, v in together.intervals.items()}, alone.intervals)


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "average pool"])
def test_boxes_of_a_batch_alone(kind: str) -> None:
    """A rectifier that one box of a batch needs tightened is tightened on all; smooth functions always are."""
    rng = np.random.default_rng(0)
    network = simplify(KINDS[kind](rng))
    center = rng.normal(size=(4, network.n_inputs))
    box = Interval(center - 0.2, center + 0.2)
    together = intermediate_bounds(network, box)
    for i in range(4):
        alone = intermediate_bounds(network, part_of(box, i))
        assert_same({n: part_of(v, i) for n, v in together.intervals.items()}, alone.intervals)


@given(network=networks(), seed=SEEDS)
@settings(deadline=None, max_examples=100)
def test_known_bounds_are_kept(network: Network, seed: int) -> None:
    """What held on a box holds on its part: the result lies in both and still contains every value."""
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box = random_box(network, rng, 2)
    outer, inner = intermediate_bounds(network, box), shrunk(box)
    found = intermediate_bounds(network, inner, known=outer.intervals)
    hidden = values(network, points_in(inner, rng).reshape(-1, network.n_inputs))
    for name, interval in found.intervals.items():
        assert_contains(outer.intervals[name], interval)
        inside = hidden[name].reshape(2, -1, *network.shapes[name])
        assert_contains(interval, Interval(inside.min(axis=1), inside.max(axis=1)))


@pytest.mark.parametrize("bound_rows", [crown_rows, None], ids=["walks", "intervals"])
@pytest.mark.parametrize("kind", KINDS)
def test_known_bounds_are_used_for_every_value(kind: str, bound_rows: object) -> None:
    """Whichever relaxed value is known to be nearly a point, that is its interval; the network's input is the box."""
    rng = np.random.default_rng(1)
    network = simplify(KINDS[kind](rng))
    center = abs(rng.normal(size=(1, network.n_inputs)))
    box, found = Interval(center - 0.3, center + 0.3), values(network, center)
    for name in network.relaxed_inputs:
        known = {name: Interval(found[name] - 1e-9, found[name] + 1e-9)}
        relaxed = intermediate_bounds(network, box, known=known, bound_rows=bound_rows)
        assert_contains(box if name == INPUT else known[name], relaxed.intervals[name], 1e-12)


def test_known_bounds_of_some_values_only() -> None:
    rng = np.random.default_rng(2)
    network = simplify(KINDS["deep"](rng))
    box = random_box(network, rng)
    name = network.relaxed_inputs[1]
    center = values(network, box.center)[name]
    found = intermediate_bounds(network, box, known={name: Interval(center, center)})
    plain = intermediate_bounds(network, box)
    first, last = network.relaxed_inputs[0], network.relaxed_inputs[-1]
    assert_same({first: found.intervals[first]}, {first: plain.intervals[first]})
    assert found.intervals[last].radius.sum() < plain.intervals[last].radius.sum()


@pytest.mark.parametrize("floats", [1, 60, 500])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_pieces(kind: str, floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    network = simplify(KINDS[kind](rng))
    box = random_box(network, rng, 2)
    whole_forms: dict[str, tuple[np.ndarray, LinearForm]] = {}
    piece_forms: dict[str, tuple[np.ndarray, LinearForm]] = {}
    whole = intermediate_bounds(network, box, forms=whole_forms)
    monkeypatch.setattr(intermediate, "WALK_FLOATS", floats)
    calls = []

    def counted(relaxed: Relaxed, rows: Rows) -> tuple[np.ndarray, LinearForm]:
        calls.append(rows.count)
        return crown_rows(relaxed, rows)

    pieces = intermediate_bounds(network, box, bound_rows=counted, forms=piece_forms)
    assert_same(whole.intervals, pieces.intervals)
    assert whole_forms.keys() == piece_forms.keys()
    if floats == 1:
        assert set(calls) <= {2}
        assert len(calls) == sum(len(index) for index, _ in whole_forms.values())
    for name, (index, form) in whole_forms.items():
        np.testing.assert_array_equal(piece_forms[name][0], index)
        for a, b in zip(form, piece_forms[name][1], strict=True):
            np.testing.assert_allclose(np.broadcast_to(b, a.shape), a, rtol=1e-9, atol=1e-9)


@given(network=networks(), seed=SEEDS)
@settings(deadline=None, max_examples=100)
def test_forms_bound_the_values(network: Network, seed: int) -> None:
    """Row i of a form is below element index[i], row n + i below its negative, all over the box."""
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box = random_box(network, rng, 2)
    forms: dict[str, tuple[np.ndarray, LinearForm]] = {}
    intermediate_bounds(network, box, forms=forms)
    points = points_in(box, rng, 50)
    hidden = values(network, points.reshape(-1, network.n_inputs))
    assert forms.keys() <= set(network.relaxed_inputs)
    for name, (index, form) in forms.items():
        value = hidden[name].reshape(*points.shape[:2], -1)[..., index]
        both = np.concatenate([value, -value], axis=-1)
        below = np.einsum("bsn,bpn->bps", np.broadcast_to(form.coefficient, (2, *form.coefficient.shape[1:])), points)
        below = below + form.offset[:, None] - form.error[:, None]
        assert (below <= both + 1e-9 * (1.0 + abs(both))).all()
    # Only a box that asks for a walk itself takes what it says, hence one alone.
    alone: dict[str, tuple[np.ndarray, LinearForm]] = {}
    intervals = intermediate_bounds(network, part_of(box, 0), forms=alone).intervals
    for name, (index, form) in alone.items():
        low, high = (end.reshape(-1)[index] for end in intervals[name])
        lower = form.lower(part_of(box, 0))[0]
        assert (low >= lower[: len(index)] - 1e-9).all()
        assert (high <= -lower[len(index) :] + 1e-9).all()


@pytest.mark.parametrize("kind", KINDS)
def test_planes_hold_on_the_final_intervals(kind: str) -> None:
    """Every relaxation was made for the intervals that are returned, not for earlier ones."""
    rng = np.random.default_rng(4)
    network = simplify(KINDS[kind](rng))
    relaxed = intermediate_bounds(network, random_box(network, rng, 2))
    for node in network.nonlinear:
        assert isinstance(node.op, Nonlinear)
        fresh = node.op.relax(*(relaxed.intervals[name] for name in node.inputs))
        expected, found = fresh.planes(fresh.start()), relaxed.planes[node.name]
        for a, b in zip(
            expected.upper_slopes + expected.lower_slopes, found.upper_slopes + found.lower_slopes, strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_every_reader_has_its_elements_tightened() -> None:
    """Relu needs only elements of both signs, Tanh after it needs the others too, and no element is walked twice."""
    rng = np.random.default_rng(11)
    build, x = start(3)
    hidden = layer(build, rng, apply(build, "Relu", layer(build, rng, x, 8)), 8)
    bent, smooth = (layer(build, rng, apply(build, kind, hidden), 2) for kind in ("Relu", "Tanh"))
    network = finish(build, add(build, bent, smooth), 3)
    forms: dict[str, tuple[np.ndarray, LinearForm]] = {}
    intermediate_bounds(network, random_box(network, rng), forms=forms)
    index = forms[hidden.name][0]
    assert sorted(index) == list(range(8))
    assert list(index) != list(range(8))


def test_intervals_only() -> None:
    rng = np.random.default_rng(5)
    network = simplify(KINDS["deep"](rng))
    forms: dict[str, tuple[np.ndarray, LinearForm]] = {}
    intermediate_bounds(network, random_box(network, rng), bound_rows=None, forms=forms)
    assert forms == {}


def spoilt(network: Network, value: float) -> Network:
    """The network with one number of its first matrix replaced."""
    first = next(n for n in network.nodes if type(n.op).__name__ == "Dense")
    weight = first.op.weight.copy()
    weight[0, 0] = value
    op = replace(first.op, weight=weight)
    return replace(network, nodes=tuple(replace(n, op=op) if n is first else n for n in network.nodes))


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("bound_rows", [crown_rows, None], ids=["walks", "intervals"])
@pytest.mark.parametrize("kind", ["dense", "sigmoid", "residual", "product"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_is_an_error(kind: str, bound_rows: object, library: str) -> None:
    network = spoilt(simplify(KINDS[kind](np.random.default_rng(6))), np.nan).on(Library(library))
    box = put_box(network, Interval(-np.ones((1, network.n_inputs)), np.ones((1, network.n_inputs))))
    with pytest.raises(NumericalError, match="NaN or have crossed"):
        intermediate_bounds(network, box, bound_rows=bound_rows)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_from_a_walk_is_an_error() -> None:
    network = simplify(KINDS["dense"](np.random.default_rng(7)))
    box = Interval(-np.ones((1, 3)), np.ones((1, 3)))

    def broken(relaxed: Relaxed, rows: Rows) -> tuple[np.ndarray, LinearForm]:
        lower, form = crown_rows(relaxed, rows)
        return np.where(np.arange(rows.count) == 1, np.nan, lower), form

    with pytest.raises(NumericalError):
        intermediate_bounds(network, box, bound_rows=broken)


@pytest.mark.parametrize("ends", [(np.nan, 1.0), (1.0, 0.0)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_box_that_is_none(ends: tuple[float, float]) -> None:
    network = KINDS["bent input"](np.random.default_rng(8))
    with pytest.raises(NumericalError, match="@input"):
        intermediate_bounds(network, Interval(np.full((1, 3), ends[0]), np.full((1, 3), ends[1])))


@pytest.mark.parametrize("bound_rows", [crown_rows, None], ids=["walks", "intervals"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_divisor_that_may_be_zero_is_never_bounded(bound_rows: object) -> None:
    """An error, or nothing finite: 1 / x with x around zero takes all values."""
    rng = np.random.default_rng(9)
    build, x = start(2)
    inverse = apply(build, "Reciprocal", scale(build, x, np.array([1.0, 1.0]), np.array([0.0, 5.0])))
    network = finish(build, apply(build, "Relu", layer(build, rng, inverse, 2)), 2)
    box = Interval(-np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(NumericalError):
        intermediate_bounds(network, box, bound_rows=bound_rows)


def test_empty_intersections_of_known_bounds_do_not_pass_for_values() -> None:
    """Bounds that cannot both hold give the gap between them, not an error: the branch holds no point at all."""
    network = simplify(KINDS["dense"](np.random.default_rng(10)))
    box = Interval(-np.ones((1, 3)), np.ones((1, 3)))
    name = network.relaxed_inputs[0]
    far = intermediate_bounds(network, box).intervals[name].upper + 1.0
    found = intermediate_bounds(network, box, known={name: Interval(far, far + 1.0)}).intervals[name]
    assert (found.lower <= found.upper).all()
    assert (found.upper <= far + 1e-9).all()
