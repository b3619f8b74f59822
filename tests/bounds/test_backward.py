"""The backward walk: exact through linear ops, rows of any value, shapes that broadcast."""

from __future__ import annotations

import numpy as np
import pytest
from bound_methods import METHODS, never, put_box
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import KINDS, Rng, apply, finish, networks, random_box, start

from certify.arrays import Library, to_numpy
from certify.bounds.backward import Rows, backward, rows_of
from certify.bounds.intermediate import intermediate_bounds
from certify.network.evaluate import evaluate, values
from certify.network.graph import INPUT, GraphBuilder, Network, Node, TensorSpec
from certify.network.passes import simplify
from certify.ops.arithmetic import add, multiply, scale
from certify.ops.layout import reshape
from certify.ops.reduce import SumOver
from certify.ops.registry import NodeSpec, Value, find

LIBRARIES = ["numpy", "torch"]


def affine_net(rng: Rng) -> Network:
    """Scales, shifts and sums of every broadcast shape, scalars included, a padding and a join with constants."""
    build, x = start(6)
    x = reshape(build, x, (2, 3))
    for shape in ((), (1,), (3,), (2, 1), (1, 1, 3)):
        x = scale(build, x, rng.normal(size=shape), rng.normal(size=shape))
    x = translate(build, "Pad", x, np.array([0, 1, 0, 1, 0, 2]), np.float32(0.7))
    x = translate(build, "Concat", x, rng.normal(size=(2, 1, 5)), axis=1)
    total = build.emit(SumOver((x.shape,), (1, 1, 1), (-3, -2, -1)), x)
    number = scale(build, reshape(build, total, ()), np.array(0.5), np.array(-0.3))
    x = add(build, x, number, -1)
    return finish(build, add(build, x, scale(build, x, np.array(2.0), rng.normal(size=(4, 1)))), 6)


def translate(build: GraphBuilder, op_type: str, *inputs: object, **attributes: object) -> Value:
    entry = find(op_type, "", 17)
    assert entry is not None
    result = entry.translate(NodeSpec(op_type, op_type, 17, inputs, attributes), build)
    assert isinstance(result, Value)
    return result


@pytest.mark.parametrize("simple", [False, True], ids=["as built", "simplified"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_linear_network_is_its_own_form(library: str, simple: bool) -> None:
    rng = np.random.default_rng(0)
    network = affine_net(rng)
    network = (simplify(network) if simple else network).on(Library(library))
    put = network.library.put
    rows = Rows({network.output: put(rng.normal(size=(2, 3, network.n_outputs)))}, put(rng.normal(size=(2, 3))))
    form = backward(network, rows, {}).form
    x = rng.normal(size=(7, 6))
    y = to_numpy(evaluate(network, put(x)))
    expected = y @ to_numpy(rows.coefficients[network.output]).swapaxes(-1, -2) + to_numpy(rows.offset)[:, None]
    found = x @ to_numpy(form.coefficient).swapaxes(-1, -2) + to_numpy(form.offset)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_bounds_of_a_linear_network_with_scalars(method: str, library: str) -> None:
    """Values of rank 0 and activations on them."""
    rng = np.random.default_rng(1)
    build, x = start(3)
    number = reshape(build, build.emit(SumOver(((3,),), (1,), (-1,)), x), ())
    number = apply(build, "Relu", scale(build, number, np.array(0.5), np.array(0.2)))
    number = apply(build, "Clip", number, min=0.1, max=0.4)
    number = apply(build, "Tanh", scale(build, number, np.array([2.0]), np.array(-0.1)))
    network = finish(build, multiply(build, number, add(build, number, x)), 3)
    moved = network.on(Library(library))
    box = random_box(network, rng, 2)
    both = np.concatenate([np.eye(3), -np.eye(3)])[None]
    put = moved.library.put
    lower = to_numpy(
        METHODS[method](moved, put_box(moved, box), Rows({moved.output: put(both)}, put(np.zeros((1, 6)))), never)[1]
    )
    x = rng.uniform(box.lower[:, None], box.upper[:, None], size=(2, 200, 3))
    y = evaluate(network, x.reshape(-1, 3)).reshape(2, 200, 3)
    assert (lower[:, None, :3] <= y + 1e-9).all()
    assert (y <= -lower[:, None, 3:] + 1e-9).all()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_any_value(kind: str, library: str) -> None:
    """rows_of(value, index) is +value_i, then -value_i, in terms of what it starts from."""
    rng = np.random.default_rng(2)
    network = simplify(KINDS[kind](rng))
    found = values(network, rng.normal(size=(1, network.n_inputs)))
    moved = network.on(Library(library))
    for name, shape in network.shapes.items():
        size = int(np.prod(shape, dtype=int))
        index = rng.permutation(size)[: max(1, size // 2)]
        rows = rows_of(moved, name, index)
        assert rows.count == 2 * len(index)
        total = to_numpy(rows.offset)[0] + sum(
            (to_numpy(c)[0] * found[source]).reshape(rows.count, -1).sum(axis=1)
            for source, c in rows.coefficients.items()
        )
        expected = found[name].reshape(-1)[index]
        np.testing.assert_allclose(total, np.concatenate([expected, -expected]), rtol=1e-9, atol=1e-9)


@given(network=networks(), seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_kept_weights(network: Network, seed: int) -> None:
    """A walk keeps the output coefficient of every nonlinear node that it passes, whatever it is asked about."""
    rng = np.random.default_rng(seed)
    network = simplify(network)
    box = random_box(network, rng, 2)
    relaxed = intermediate_bounds(network, box)
    name = str(rng.choice(sorted(network.shapes)))
    size = int(np.prod(network.shapes[name], dtype=int))
    walk = backward(network, rows_of(network, name, np.arange(size)), relaxed.planes, keep=True)
    cone = {n.name for n in network.cone(name).nonlinear}
    assert walk.weights.keys() == cone
    for node, weight in walk.weights.items():
        assert weight.shape[1:] == (2 * size, *network.shapes[node])
    assert backward(network, rows_of(network, name, np.arange(size)), relaxed.planes).weights == {}


def test_rows_that_mention_several_values() -> None:
    """Inputs, hidden values and outputs in one row."""
    rng = np.random.default_rng(3)
    network = simplify(KINDS["residual"](rng))
    box = random_box(network, rng)
    relaxed = intermediate_bounds(network, box)
    names = (INPUT, *network.relaxed_inputs, network.output)
    rows = Rows({n: rng.normal(size=(1, 2, *network.shapes[n])) for n in names}, rng.normal(size=(1, 2)))
    lower = backward(network, rows, relaxed.planes, noise=relaxed.noise).form.lower(box)
    x = rng.uniform(box.lower, box.upper, size=(300, network.n_inputs))
    found = values(network, x)
    total = rows.offset + sum(found[n].reshape(300, -1) @ rows.coefficients[n].reshape(2, -1).T for n in names)
    assert (lower <= total + 1e-9).all()


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_that_mention_nothing(library: str) -> None:
    network = simplify(KINDS["dense"](np.random.default_rng(4))).on(Library(library))
    form = backward(network, Rows({}, network.library.put(np.array([[1.0, -2.0]]))), {}).form
    assert tuple(form.coefficient.shape) == (1, 2, 3)
    assert not to_numpy(form.coefficient).any()
    np.testing.assert_array_equal(to_numpy(form.offset), [[1.0, -2.0]])


def test_a_node_may_read_one_value_twice() -> None:
    """x * x and x + x: both coefficients arrive."""
    build, x = start(2)
    y = add(build, multiply(build, x, x), add(build, x, x))
    network = Network((), y.name, (TensorSpec("x", (2,), "float64"),), (TensorSpec("y", (2,), "float64"),))
    network = network.with_nodes(build.nodes)
    assert isinstance(network.nodes[0], Node)
    rng = np.random.default_rng(5)
    box = random_box(network, rng, 3)
    relaxed = intermediate_bounds(network, box)
    lower = backward(network, rows_of(network, network.output, np.arange(2)), relaxed.planes).form.lower(box)
    grid = np.linspace(box.lower, box.upper, 201, axis=1)
    value = grid * grid + 2.0 * grid
    assert (lower[:, None, :2] <= value + 1e-12).all()
    assert (value <= -lower[:, None, 2:] + 1e-12).all()
    assert (lower[:, :2] >= value.min(axis=1) - 2.0 * box.radius**2 - 1e-9).all()
