"""Bounds made on parts of the network are those made on the whole; what need not be bounded is not."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Rng, apply, finish, layer, points_in, random_box, start

from certify.arrays import Array, Library, to_numpy
from certify.bounds import intermediate, tiles
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, crown_rows, intermediate_bounds, needed_for
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.methods.alpha_crown import optimised
from certify.network.evaluate import evaluate, values
from certify.network.graph import Network
from certify.ops.arithmetic import add, multiply
from certify.ops.conv import Conv
from certify.ops.layout import reshape
from certify.ops.registry import Value
from certify.ops.scale import ScaleShift

LIBRARIES = [pytest.param(Library(), id="numpy"), pytest.param(Library("torch"), id="torch")]


def deep_conv_net(rng: Rng) -> Network:
    """[1, 1, 12, 12] -> three rectified 3x3 convolutions, the last with a shortcut -> matrix."""
    build, x = start(144)
    x = reshape(build, x, (1, 1, 12, 12))

    def convolve(x: Value) -> Value:
        op = Conv((x.shape,), (1, 2, *x.shape[2:]), rng.normal(size=(2, x.shape[1], 3, 3)) * 0.4,
                  rng.normal(size=2) * 0.2, (1, 1), (1, 1), (1, 1), (1, 1))  # fmt: skip
        return build.emit(op, x)

    first = apply(build, "Relu", convolve(x))
    second = apply(build, "Relu", convolve(first))
    third = apply(build, "Relu", add(build, convolve(second), first))
    return finish(build, reshape(build, third, (288,)), 144)


def rows_on(network: Network, elements: list[int]) -> Rows:
    """One row for each of these outputs."""
    put = network.library.put
    return Rows({network.output: put(np.eye(network.n_outputs)[None, elements])}, put(np.zeros((1, len(elements)))))


def case(library: Library, seed: int, batch: int = 1) -> tuple[Network, Interval]:
    """The network in this library, with boxes."""
    rng = np.random.default_rng(seed)
    network = deep_conv_net(rng)
    box = random_box(network, rng, batch, radius=0.2)
    return network.on(library), Interval(*map(library.put, box))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("way", ["crown", "alpha"])
@pytest.mark.parametrize("batch", [1, 2])
def test_tiles_change_nothing(library: Library, way: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Parameters are looked for in single precision, where another order of summation leads a little elsewhere.
    bound_rows, tolerance = (crown_rows, 1e-9) if way == "crown" else (optimised(lambda: False), 1e-5)
    network, box = case(library, 1, batch)
    sizes = []

    def watched(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm | None]:
        sizes.append(relaxed.network.n_inputs)
        return bound_rows(relaxed, rows)

    monkeypatch.setattr(intermediate, "WALK_FLOATS", 2**10)
    tiled = intermediate_bounds(network, box, bound_rows=watched)
    assert min(sizes) < 144, "no tile was made"
    monkeypatch.setattr(tiles, "WORTH", 0.0)
    whole = intermediate_bounds(network, box, bound_rows=bound_rows)
    for name, interval in whole.intervals.items():
        for one, other in zip(interval, tiled.intervals[name], strict=True):
            np.testing.assert_allclose(to_numpy(one), to_numpy(other), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_what_the_rows_depend_on_is_bounded(library: Library) -> None:
    network, box = case(library, 2)
    rows = rows_on(network, [5, 150])
    needed = needed_for(network, rows)
    some = intermediate_bounds(network, box, needed=needed)
    every = intermediate_bounds(network, box)
    np.testing.assert_allclose(to_numpy(crown_rows(some, rows)[0]), to_numpy(crown_rows(every, rows)[0]), atol=1e-9)
    assert 0.0 < needed[network.nonlinear[0].inputs[0]].mean() < 0.7
    loose = network.nonlinear[-1].inputs[0]
    width = {k: to_numpy(r.intervals[loose].upper - r.intervals[loose].lower) for k, r in (("s", some), ("e", every))}
    assert (width["s"] > width["e"] + 1e-6).any()


def test_what_is_not_needed_does_not_matter() -> None:
    network, box = case(Library(), 3)
    needed = needed_for(network, rows_on(network, [70]))
    rng = np.random.default_rng(0)
    x = points_in(box, rng, 4)[0]
    for node in network.nodes:
        found = values(network, x)
        mask = needed[node.name].reshape(node.op.out_shape)
        later = network.nodes[network.nodes.index(node) + 1 :]
        found[node.name] = np.where(mask, found[node.name], rng.normal(size=found[node.name].shape))
        for after in later:
            found[after.name] = after.op.forward(*(found[name] for name in after.inputs))
        np.testing.assert_allclose(found[network.output][:, 70], evaluate(network, x)[:, 70], rtol=1e-12)


def test_repeated_elements_are_bounded_once() -> None:
    rng = np.random.default_rng(4)
    build, x = start(3)
    left, right = (reshape(build, layer(build, rng, apply(build, "Tanh", layer(build, rng, x, 4)), 4), s)
                   for s in ((4, 1), (1, 4)))  # fmt: skip
    spread = [build.emit(ScaleShift.broadcast(side.shape, (4, 4)), side) for side in (left, right)]
    network = finish(build, multiply(build, *spread), 3)
    box = random_box(network, rng)
    counts = []

    def watched(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm | None]:
        counts.append(rows.count)
        return crown_rows(relaxed, rows)

    once = intermediate_bounds(network, box, bound_rows=watched)
    product = network.nonlinear[-1]
    assert counts[-2:] == [8, 8]
    for name in product.inputs:
        index = np.arange(16)
        lower, _ = crown_rows(once, intermediate.rows_of(network.cone(name), name, index))
        np.testing.assert_allclose(once.intervals[name].lower.reshape(-1), lower[0, :16], atol=1e-9)
        assert network.origin(name)[1] is not None


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_call_that_was_broken_off_goes_on(stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intermediate, "WALK_FLOATS", 2**15)
    network, box = case(Library(), 5)
    calls = []

    def counted(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm]:
        calls.append(relaxed.network.output)
        if len(calls) == limit:
            raise TimeoutError
        return crown_rows(relaxed, rows)

    limit = 10**9
    whole = intermediate_bounds(network, box, bound_rows=counted)
    total, limit, finished = len(calls), len(calls) - stop, {}
    calls.clear()
    with pytest.raises(TimeoutError):
        intermediate_bounds(network, box, bound_rows=counted, finished=finished)
    assert finished
    limit = 10**9
    calls.clear()
    again = intermediate_bounds(network, box, bound_rows=counted, finished=finished)
    assert len(calls) < total
    for name, interval in whole.intervals.items():
        for one, other in zip(interval, again.intervals[name], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
