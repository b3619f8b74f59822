"""A cropped network computes the window of the whole network's output, from the part of the input that it names."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import Rng, apply, finish, start

from certify.network.evaluate import evaluate
from certify.network.graph import GraphBuilder, Network
from certify.network.passes.crop import crop
from certify.ops.arithmetic import add, scale
from certify.ops.conv import Conv
from certify.ops.kinds import Op, Window, shape_of
from certify.ops.layout import reshape
from certify.ops.registry import Value
from certify.ops.select import take

sys.path.append(str(Path(__file__).resolve().parents[1] / "ops"))
from op_cases import emitted, examples  # noqa: E402


def random_window(rng: Rng, shape: tuple[int, ...], first: int = 0) -> Window:
    """A part of each axis from `first` on, the whole of those before."""
    window = []
    for axis, n in enumerate(shape):
        ends = sorted(rng.integers(0, n + 1, size=2)) if axis >= first else [0, n]
        start_, stop = (int(e) for e in ends)
        window.append(slice(min(start_, n - 1), max(stop, min(start_, n - 1) + 1)))
    return tuple(window)


def convolve(build: GraphBuilder, rng: Rng, x: Value, channels: int, kernel: int, stride: int, pads: tuple[int, int],
             dilation: int = 1, groups: int = 1) -> Value:  # fmt: skip
    """A random convolution with these (before, after) pads on both axes."""
    n, c, *space = x.shape
    out = tuple((s + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1 for s in space)
    weight = rng.normal(size=(channels, c // groups, kernel, kernel))
    before, after = ((p, p) for p in pads)
    op = Conv((x.shape,), (n, channels, *out), weight, rng.normal(size=channels), (stride,) * 2, before, after,
              (dilation,) * 2, groups)  # fmt: skip
    return build.emit(op, x)


def residual(rng: Rng) -> Network:
    """Paths of different reach, added; a strided pooling by groups; flips; shifts per channel and per place."""
    build, x = start(2 * 9 * 8)
    x = reshape(build, x, (1, 2, 9, 8))
    far = convolve(build, rng, apply(build, "Relu", convolve(build, rng, x, 3, 3, 1, (1, 1))), 3, 3, 1, (2, 2), 2)
    x = apply(build, "Tanh", add(build, convolve(build, rng, x, 3, 1, 1, (0, 0)), far, -1))
    x = scale(build, x, rng.normal(size=(3, 1, 1)), rng.normal(size=(1, 3, 9, 8)))
    x = convolve(build, rng, x, 3, 2, 2, (0, 1), groups=3)
    x = take(build, x, 3, np.array([3, 1, 0]))
    return finish(build, x, 2 * 9 * 8)


@pytest.mark.parametrize("seed", range(20))
def test_the_window_of_the_output(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flat = residual(rng)
    # The value before the last Reshape, which has axes.
    network = flat.cone(flat.nodes[-1].inputs[0])
    shape = network.shapes[network.output]
    network = replace(network, outputs=(replace(network.outputs[0], shape=shape),))
    window = random_window(rng, shape, first=2 if seed % 2 else 0)
    cropped = crop(network, window)
    x = rng.normal(size=(4, network.n_inputs))
    whole = evaluate(network, x).reshape(4, *shape)
    part = evaluate(cropped.network, x[:, cropped.inputs]).reshape(4, *shape_of(window))
    np.testing.assert_allclose(part, whole[(slice(None), *window)], rtol=1e-12, atol=1e-12)


def test_a_small_window_takes_a_small_part() -> None:
    flat = residual(np.random.default_rng(0))
    network = flat.cone(flat.nonlinear[0].name)
    shape = network.shapes[network.output]
    corner = crop(network, (slice(0, shape[0]), slice(0, shape[1]), slice(0, 1), slice(0, 1)))
    assert corner.size < 0.2 * sum(int(np.prod(s)) for s in network.shapes.values())
    assert len(corner.inputs) == 2 * 2 * 2


OPS = [pytest.param(op, id=f"{name}-{i}") for name, entry, example in examples()
       for i, op in enumerate(emitted(entry, example))]  # fmt: skip


@pytest.mark.parametrize("op", OPS)
@np.errstate(all="ignore")
def test_every_op(op: Op) -> None:
    rng = np.random.default_rng(3)
    for attempt in range(6):
        window = random_window(rng, op.out_shape, first=2 * (attempt % 2))
        found = op.crop(window)
        if found is None:
            continue
        part, needed = found
        xs = [rng.normal(size=shape) for shape in op.in_shapes]
        assert part.in_shapes == tuple(map(shape_of, needed))
        y = part.forward(*(x[w] for x, w in zip(xs, needed, strict=True)))
        np.testing.assert_allclose(y, op.forward(*xs)[window], rtol=1e-12, atol=1e-12)
        assert part.out_shape == shape_of(window) == y.shape
