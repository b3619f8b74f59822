"""Passes keep the function and the interface, and do simplify what they are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Rng, apply, dense_net, finish, layer, networks, points_in, random_box, start

from certify.arrays import Library, to_numpy
from certify.bounds.intermediate import intermediate_bounds
from certify.bounds.interval import Interval
from certify.network.evaluate import evaluate
from certify.network.graph import GraphBuilder, Network
from certify.network.passes import simplify
from certify.network.passes.drop_dead_neurons import drop_dead_neurons
from certify.network.passes.fuse_affine import compose, fuse_affine
from certify.network.passes.merge_duplicates import merge_duplicates
from certify.ops.arithmetic import add, scale
from certify.ops.conv import Conv
from certify.ops.dense import Dense, dense
from certify.ops.kinds import Linear
from certify.ops.layout import Permute, Reshape, permute, reshape
from certify.ops.registry import NodeSpec, Value, find
from certify.ops.scale import ScaleShift

SMALL = settings(deadline=None, max_examples=60)


def same_function(before: Network, after: Network, seed: int = 0) -> None:
    """Equal on random points up to the rounding of another order of operations; equal interface."""
    x = np.random.default_rng(seed).normal(size=(20, before.n_inputs))
    expected = evaluate(before, x)
    np.testing.assert_allclose(evaluate(after, x), expected, rtol=1e-9, atol=1e-10 * (1.0 + abs(expected).max()))
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)


def classes(network: Network) -> list[str]:
    """The ops' class names, in order."""
    return [type(node.op).__name__ for node in network.nodes]


def random_step(rng: Rng, build: GraphBuilder, x: Value) -> Value:
    """One op that keeps [2, 2, 3]: shifts and scales of every broadcast shape, matrices, moves, activations, sums."""
    shapes: list[tuple[int, ...]] = [(), (1,), (3,), (2, 1), (2, 2, 1), (1, 2, 3), (2, 2, 3)]
    shape = shapes[rng.integers(0, len(shapes))]
    choice = rng.integers(0, 9)
    if choice == 0:
        return scale(build, x, rng.normal(size=shape), None)
    if choice == 1:
        return scale(build, x, None, rng.normal(size=shape))
    if choice == 2:
        return scale(build, x, rng.normal(size=shape), rng.normal(size=(3,)))
    if choice == 3:
        return layer(build, rng, x, 3)
    if choice == 4:
        return dense(build, dense(build, x, rng.normal(size=(2, 3))), rng.normal(size=(3, 2)), rng.normal(size=3))
    if choice == 5:
        return reshape(build, reshape(build, x, (12,)), (2, 2, 3))
    if choice == 6:
        return permute(build, x, (1, 0, 2))
    if choice == 7:
        return apply(build, "Relu", x)
    return add(build, x, scale(build, x, rng.normal(size=shape), None), int(rng.choice([-1, 1])))


@given(seed=st.integers(0, 2**20), length=st.integers(1, 12))
@settings(deadline=None, max_examples=150)
def test_simplify_keeps_the_function_of_any_chain(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    build, x = start(12)
    x = reshape(build, x, (2, 2, 3))
    for _ in range(length):
        x = random_step(rng, build, x)
    network = finish(build, x, 12)
    if not network.nodes:
        return
    simple = simplify(network)
    same_function(network, simple)
    assert len(simple.nodes) <= len(network.nodes)
    assert len(simplify(simple).nodes) == len(simple.nodes)


@given(network=networks())
@SMALL
def test_simplify_keeps_the_function_of_any_network(network: Network) -> None:
    same_function(network, simplify(network))


def test_batch_norm_goes_into_the_convolution() -> None:
    rng = np.random.default_rng(0)
    build, x = start(2 * 16)
    x = reshape(build, x, (1, 2, 4, 4))
    weight = rng.normal(size=(3, 2, 3, 3))
    x = build.emit(Conv((x.shape,), (1, 3, 4, 4), weight, None, (1, 1), (1, 1), (1, 1), (1, 1)), x)
    entry = find("BatchNormalization", "", 17)
    assert entry is not None
    x = entry.translate(NodeSpec("BatchNormalization", "bn", 17, (x, *rng.uniform(0.5, 1.5, size=(4, 3)))), build)
    network = finish(build, scale(build, x, np.array(3.0), rng.normal(size=(1, 3, 1, 1))), 32)
    assert classes(network) == ["Reshape", "Conv", "ScaleShift", "ScaleShift", "Reshape"]
    assert classes(simplify(network)) == ["Reshape", "Conv", "Reshape"]
    same_function(network, simplify(network))


def test_shift_per_place_stays_out_of_the_convolution() -> None:
    """Width equals the number of channels here, so that only the axis tells them apart."""
    rng = np.random.default_rng(0)
    build, x = start(3 * 3)
    x = reshape(build, x, (1, 1, 3, 3))
    x = build.emit(
        Conv((x.shape,), (1, 3, 3, 3), rng.normal(size=(3, 1, 1, 1)), None, (1, 1), (0, 0), (0, 0), (1, 1)), x
    )
    network = finish(build, scale(build, x, rng.normal(size=3), rng.normal(size=(3, 1))), 9)
    assert "ScaleShift" in classes(simplify(network))
    same_function(network, simplify(network))


def test_affine_chain_becomes_one_matrix() -> None:
    rng = np.random.default_rng(0)
    build, x = start(4)
    x = scale(build, x, rng.normal(size=4), rng.normal(size=4))
    x = layer(build, rng, layer(build, rng, x, 5), 5)
    x = scale(build, scale(build, x, None, rng.normal(size=5)), rng.normal(size=(1,)), None)
    network = finish(build, x, 4)
    assert classes(simplify(network)) == ["Dense"]
    same_function(network, simplify(network))


def test_a_bottleneck_is_not_multiplied_out() -> None:
    rng = np.random.default_rng(0)
    build, x = start(20)
    network = finish(build, layer(build, rng, layer(build, rng, x, 2), 20), 20)
    assert classes(simplify(network)) == ["Dense", "Dense"]


def test_a_value_that_others_read_is_not_fused_away() -> None:
    rng = np.random.default_rng(0)
    build, x = start(3)
    shared = layer(build, rng, x, 3)
    network = finish(build, add(build, scale(build, shared, np.array(2.0)), apply(build, "Relu", shared)), 3)
    assert shared.name in simplify(network).shapes
    same_function(network, simplify(network))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Reshape(((6,),), (2, 3)), Reshape(((2, 3),), (3, 2))),
        (ScaleShift(((3,),), (2, 3), np.ones((2, 1)), np.ones(3)), ScaleShift(((2, 3),), (2, 3), np.ones(3), None)),
        (ScaleShift.broadcast((3,), (2, 3)), ScaleShift(((2, 3),), (4, 2, 3), np.ones(1), np.ones((4, 1, 1)))),
        (Dense(((2, 3),), (2, 4), np.ones((4, 3))), ScaleShift(((2, 4),), (2, 4), np.ones(()), np.ones((1, 4)))),
        (ScaleShift(((2, 3),), (2, 3), np.ones((1, 3)), np.ones(())), Dense(((2, 3),), (2, 4), np.ones((4, 3)))),
        (ScaleShift.scalar((2, 3), 1.0), Reshape(((2, 3),), (6,))),
    ],
    ids=["moves", "scales", "broadcasts", "matrix, scale", "scale, matrix", "nothing, move"],
)
def test_compose(first: Linear, second: Linear) -> None:
    rng = np.random.default_rng(0)
    first, second = (_randomised(op, rng) for op in (first, second))
    joined = compose(first, second)
    assert joined is not None
    assert (joined.in_shapes, joined.out_shape) == (first.in_shapes, second.out_shape)
    x = rng.normal(size=(5, *first.in_shapes[0]))
    np.testing.assert_allclose(joined.forward(x), second.forward(first.forward(x)), rtol=1e-12)


def _randomised(op: Linear, rng: Rng) -> Linear:
    fields = {k: v for k, v in vars(op).items() if isinstance(v, np.ndarray) and v.size > 1}
    return replace(op, **{k: rng.normal(size=v.shape) for k, v in fields.items()})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ScaleShift.broadcast((3,), (2, 3)), Dense(((2, 3),), (2, 4), np.ones((4, 3)))),
        (Dense(((2, 3),), (2, 4), np.ones((4, 3))), ScaleShift(((2, 4),), (2, 4), np.ones((2, 1)))),
        (Dense(((2, 3),), (2, 2), np.ones((2, 3))), ScaleShift(((2, 2),), (2, 2), np.ones((2, 1)))),
        (Dense(((3,),), (4,), np.ones((4, 3))), ScaleShift(((4,),), (2, 4), np.ones((2, 1)))),
        (ScaleShift.scalar((2, 3), 2.0), Reshape(((2, 3),), (6,))),
        (Permute(((2, 3),), (3, 2), (1, 0)), Reshape(((3, 2),), (6,))),
    ],
    ids=["repeat, matrix", "rows", "square rows", "matrix, repeat", "scale, move", "permute, move"],
)
def test_not_composed(first: Linear, second: Linear) -> None:
    assert compose(first, second) is None


def test_equal_branches_become_one() -> None:
    rng = np.random.default_rng(0)
    weight, shift = rng.normal(size=(3, 3)), rng.normal(size=3)
    build, x = start(3)
    left, right = (apply(build, "Relu", dense(build, x, weight, shift)) for _ in range(2))
    other = apply(build, "Relu", dense(build, x, weight, shift + 1e-9))
    network = finish(build, add(build, add(build, left, right), other), 3)
    merged = merge_duplicates(network)
    assert classes(network).count("Relu") == 3
    assert classes(merged).count("Relu") == classes(merged).count("Dense") == 2
    same_function(network, merged)


def test_equal_outputs_become_one() -> None:
    build, x = start(3)
    first, second = apply(build, "Relu", x), apply(build, "Relu", x)
    network = replace(finish(build, second, 3), nodes=tuple(build.nodes))
    merged = merge_duplicates(network)
    assert merged.output == first.name
    same_function(network, merged)


def test_slopes_and_shapes_tell_ops_apart() -> None:
    build, x = start(4)
    parts = [apply(build, "LeakyRelu", x, alpha=alpha) for alpha in (0.1, 0.2)]
    parts += [apply(build, kind, x) for kind in ("Relu", "Tanh", "Sigmoid")]
    rows = [reshape(build, reshape(build, x, shape), (4,)) for shape in ((2, 2), (4, 1))]
    total = parts[0]
    for part in (*parts[1:], *rows):
        total = add(build, total, part)
    network = finish(build, total, 4)
    merged = merge_duplicates(network)
    assert len(merged.nodes) == len(network.nodes)
    same_function(network, merged)


def alive_on(network: Network, box: Interval) -> dict[str, np.ndarray]:
    """For each rectifier's input, the elements that can be positive on some box of the batch."""
    intervals = intermediate_bounds(network, box).intervals
    return {name: (interval.upper > 0.0).any(axis=0).reshape(-1) for name, interval in intervals.items()}


@pytest.mark.parametrize("library", ["numpy", "torch"])
@given(seed=st.integers(0, 2**16), batch=st.integers(1, 3))
@settings(deadline=None, max_examples=25)
def test_dead_neurons_do_not_matter_on_their_boxes(library: str, seed: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    network = simplify(dense_net(rng, 3, 12, 3))
    box = random_box(network, rng, batch, radius=0.1)
    smaller, kept = drop_dead_neurons(network.on(Library(library)), alive_on(network, box))
    points = points_in(box, rng, 20).reshape(-1, 3)
    found = to_numpy(evaluate(smaller, smaller.library.put(points)))
    np.testing.assert_allclose(found, evaluate(network, points), rtol=1e-9, atol=1e-10)
    for name, index in kept.items():
        assert smaller.shapes[name] == (len(index),)
        assert len(index) <= 0.9 * network.shapes[name][0]


def test_neurons_are_dropped_where_they_are_dead() -> None:
    rng = np.random.default_rng(0)
    network = simplify(dense_net(rng, 3, 12, 2))
    names = list(network.relaxed_inputs)
    first, second = np.arange(12) % 3 == 0, np.arange(12) < 6
    smaller, kept = drop_dead_neurons(network, dict(zip(names, (first, second), strict=True)))
    assert {n: smaller.shapes[n] for n in names} == {names[0]: (4,), names[1]: (6,)}
    np.testing.assert_array_equal(kept[names[0]], np.flatnonzero(first))
    np.testing.assert_array_equal(kept[names[1]], np.flatnonzero(second))
    assert [smaller.by_name[n].op.weight.shape for n in names] == [(4, 3), (6, 4)]


def test_one_neuron_stays_of_a_layer_that_is_wholly_dead() -> None:
    network = simplify(dense_net(np.random.default_rng(0), 3, 12, 1))
    (name,) = network.relaxed_inputs
    weight = network.by_name[name].op.weight
    dead = Interval(np.zeros((1, 3)), np.zeros((1, 3)))
    network = replace(network, nodes=tuple(
        replace(n, op=replace(n.op, shift=-abs(weight).sum(axis=1))) if n.name == name else n for n in network.nodes
    ))  # fmt: skip
    smaller, kept = drop_dead_neurons(network, alive_on(network, dead))
    assert kept[name].tolist() == [0]
    x = np.zeros((1, 3))
    np.testing.assert_allclose(evaluate(smaller, x), evaluate(network, x))


def test_layers_that_cannot_shrink_stay() -> None:
    """Leaky ones, ones with a second reader, ones that do not lie between matrices, ones with little to drop."""
    rng = np.random.default_rng(0)
    leaky = simplify(dense_net(rng, 3, 6, 1, "LeakyRelu", alpha=0.1))
    build, x = start(3)
    hidden = layer(build, rng, x, 3)
    shared = finish(build, layer(build, rng, add(build, hidden, apply(build, "Relu", hidden)), 2), 3)
    build, x = start(3)
    hidden = layer(build, rng, x, 3)
    both = add(build, layer(build, rng, apply(build, "Relu", hidden), 2), layer(build, rng, hidden, 2))
    beside = finish(build, both, 3)
    build, x = start(3)
    last = finish(build, apply(build, "Relu", layer(build, rng, x, 3)), 3)
    build, x = start(3)
    first = finish(build, layer(build, rng, apply(build, "Relu", x), 3), 3)
    for network in (leaky, shared, beside, last, first):
        nothing = {name: np.zeros(network.shapes[name], dtype=bool) for name in network.relaxed_inputs}
        smaller, kept = drop_dead_neurons(network, nothing)
        assert kept == {}
        assert smaller.shapes == network.shapes
    wide = simplify(dense_net(rng, 3, 20, 1))
    nearly_all = {name: np.arange(20) > 0 for name in wide.relaxed_inputs}
    assert drop_dead_neurons(wide, nearly_all)[1] == {}


def test_long_chains_are_joined_to_the_end() -> None:
    build, x = start(2)
    for _ in range(40):
        x = scale(build, x, np.array(-1.0), np.array(0.5))
    network = finish(build, x, 2)
    assert classes(fuse_affine(network)) == ["ScaleShift"]
    same_function(network, fuse_affine(network))
