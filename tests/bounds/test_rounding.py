"""Bounds hold in exact arithmetic: badly scaled networks, evaluated in fractions, and no tolerance at all."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from bound_methods import METHODS, never
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Rng, apply, finish, points_in, random_box, start

from certify.arrays import Library, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.rounding import linear_range
from certify.network.graph import INPUT, Network
from certify.network.passes import simplify
from certify.ops.arithmetic import Add, add, multiply, scale
from certify.ops.dense import Dense, dense
from certify.ops.kinds import Linear, Op
from certify.ops.reciprocal import Reciprocal

exactly = np.vectorize(Fraction, otypes=[object])


def exact_op(op: Op) -> Op:
    """The op with fractions for parameters."""
    arrays = {k: exactly(v) for k, v in vars(op).items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"}
    return replace(op, **arrays)


def exact_values(network: Network, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every value at points x, in fractions. Only for ops that never mix in a float."""
    found = {INPUT: exactly(x)}
    for node in network.nodes:
        inputs = [found[name] for name in node.inputs]
        inverse = isinstance(node.op, Reciprocal)
        found[node.name] = 1 / inputs[0] if inverse else exactly(exact_op(node.op).forward(*inputs))
    return found


def badly_scaled_net(rng: Rng, n_inputs: int) -> Network:
    """Weights over many orders of magnitude, and differences of nearly equal neurons."""
    build, x = start(n_inputs)
    weight = rng.normal(size=(4, n_inputs)) * 10.0 ** rng.uniform(-3, 7, size=(4, 1))
    close = weight * (1.0 + 1e-13 * rng.normal(size=weight.shape))
    shift = 10.0 ** rng.uniform(-3, 7, size=4)
    left, right = (apply(build, "Relu", dense(build, x, w, shift)) for w in (weight, close))
    difference = add(build, left, right, -1)
    y = apply(build, "Relu", dense(build, difference, rng.normal(size=(3, 4)) * 1e3, 1e-7 * rng.normal(size=3)))
    return finish(build, dense(build, y, rng.normal(size=(2, 3)), rng.normal(size=2)), n_inputs)


def shifted_quotient_net(rng: Rng, n_inputs: int) -> Network:
    """Small weights under large biases, quotients, squares, and a sum that nearly cancels."""
    build, x = start(n_inputs)
    shift = 10.0 ** rng.uniform(1, 6, size=3)
    far = dense(build, x, rng.normal(size=(3, n_inputs)) * 1e-2, shift)
    quotient = multiply(build, dense(build, x, rng.normal(size=(3, n_inputs))), apply(build, "Reciprocal", far))
    total = add(build, multiply(build, far, far), scale(build, far, shift), -1)
    return finish(build, add(build, quotient, total), n_inputs)


def check_exactly(method: str, network: Network, box: Interval, rng: Rng) -> None:
    """Rows and hidden intervals contain the exact values at some points, with zero tolerance."""
    n = network.n_outputs
    rows = Rows({network.output: rng.normal(size=(1, 4, n))}, rng.normal(size=(1, 4)) * 10.0 ** rng.uniform(-3, 9))
    relaxed, lower = METHODS[method](network, box, rows, never)
    found = exact_values(network, points_in(box, rng, 4)[0])
    y = found[network.output] @ exactly(rows.coefficients[network.output][0].T) + exactly(rows.offset[0])
    assert (exactly(lower) <= y).all()
    for name, (low, high) in relaxed.intervals.items():
        assert (exactly(low) <= found[name]).all()
        assert (found[name] <= exactly(high)).all()


every_method = pytest.mark.parametrize("method", METHODS)


@every_method
@given(seed=st.integers(0, 2**16), radius=st.sampled_from([0.0, 1e-9, 0.1]))
@settings(deadline=None, max_examples=80)
def test_bounds_hold_in_exact_arithmetic(method: str, seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    network = simplify(badly_scaled_net(rng, 3))
    check_exactly(method, network, random_box(network, rng, radius=radius), rng)


@every_method
@given(seed=st.integers(0, 2**16), radius=st.sampled_from([0.0, 1e-9, 0.1]), simple=st.booleans())
@settings(deadline=None, max_examples=80)
def test_bounds_of_quotients_hold_in_exact_arithmetic(method: str, seed: int, radius: float, simple: bool) -> None:
    rng = np.random.default_rng(seed)
    network = shifted_quotient_net(rng, 3)
    network = simplify(network) if simple else network
    check_exactly(method, network, random_box(network, rng, radius=radius), rng)


@every_method
def test_without_the_running_error_they_would_not(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certify.bounds.rounding.roundoff", lambda like: 0.0)
    with pytest.raises(AssertionError):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            network = simplify(badly_scaled_net(rng, 3))
            check_exactly(method, network, random_box(network, rng, radius=0.0), rng)


@every_method
def test_the_running_error_is_small(method: str) -> None:
    """A point's bound is its value less a few thousand units in the last place of the largest terms."""
    rng = np.random.default_rng(1)
    build, x = start(3)
    for _ in range(3):
        x = apply(build, "Relu", dense(build, x, rng.normal(size=(8, x.shape[0])), rng.normal(size=8)))
    network = finish(build, x, 3)
    box = random_box(network, rng, radius=0.0)
    rows = Rows({network.output: np.eye(8)[None]}, np.zeros((1, 8)))
    lower = METHODS[method](network, box, rows, never)[1]
    value = exact_values(network, box.center)[network.output]
    assert (exactly(lower) <= value).all()
    assert (value - exactly(lower) <= 1e-11).all()


@every_method
def test_float32_bounds_hold_in_exact_arithmetic(method: str) -> None:
    """The same in single precision, with a coarser unit roundoff."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        build, x = start(3)
        for _ in range(2):
            weight, shift = (rng.normal(size=s).astype(np.float32) for s in ((5, x.shape[0]), 5))
            x = apply(build, "Relu", dense(build, x, weight, shift))
        network = finish(build, dense(build, x, rng.normal(size=(2, 5)).astype(np.float32)), 3)
        single = network.on(Library(dtype="float32"))
        center = rng.normal(size=(1, 3)).astype(np.float32)
        radius = np.float32(rng.choice([0.0, 0.1]))
        box = Interval(center - radius, center + radius)
        rows = Rows({network.output: np.eye(2, dtype=np.float32)[None]}, np.zeros((1, 2), np.float32))
        relaxed, lower = METHODS[method](single, box, rows, never)
        assert lower.dtype == np.float32
        found = exact_values(network, points_in(box, rng, 10)[0].astype(np.float32).clip(box.lower, box.upper))
        assert (exactly(to_numpy(lower)) <= found[network.output]).all()
        for name, (low, high) in relaxed.intervals.items():
            assert (exactly(low) <= found[name]).all()
            assert (found[name] <= exactly(high)).all()


def check_range(op: Linear, inputs: list[Interval]) -> Interval:
    """The interval of a linear op holds what it makes of both ends of its inputs, in fractions."""
    found = linear_range(op, inputs)
    ends = [exactly(np.stack([i.lower[0], i.upper[0]])) for i in inputs]
    for corner in np.ndindex(*(2,) * len(ends)):
        value = exact_op(op).forward(*(end[which] for end, which in zip(ends, corner, strict=True)))
        assert (exactly(found.lower[0]) <= value).all()
        assert (value <= exactly(found.upper[0])).all()
    return found


@pytest.mark.parametrize("seed", range(20))
def test_sums_of_whole_numbers_keep_their_ends(seed: int) -> None:
    """Exact where only whole numbers meet, rounded outward where a fraction or a large number is among them."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.integers(0, 17)
    weight = rng.integers(-9, 10, size=(5, 4)).astype(np.float64)
    lower = np.rint(rng.uniform(-size, size, size=(1, 4)))
    upper = lower + rng.integers(0, 5, size=(1, 4))
    fraction = rng.uniform(size=(1, 4)) * (rng.uniform(size=(1, 4)) < 0.2)
    op = Dense(((4,),), (5,), weight, rng.integers(-9, 10, size=5).astype(np.float64))
    check_range(op, [Interval(lower + fraction, upper + fraction)])
    check_range(Add(((4,), (4,)), (4,), (1, -1)), [Interval(lower, upper), Interval(fraction, fraction)])
    point = check_range(op, [Interval(lower, lower)])
    if size < 1e12:
        assert (point.lower == point.upper).all()


class OnceWhole(Dense):
    """Says of any matrix that it is one of whole numbers."""

    whole = True


def test_a_matrix_wrongly_taken_for_whole_is_caught() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 4))
    with pytest.raises(AssertionError):
        check_range(OnceWhole(((4,),), (50,), weight), [Interval(np.full((1, 4), 3.0), np.full((1, 4), 7.0))])
