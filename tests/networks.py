"""Random small networks, built through GraphBuilder from the ops themselves, and boxes and points to look at them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from certify.bounds.interval import Interval
from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.ops.arithmetic import add, multiply, scale
from certify.ops.conv import Conv
from certify.ops.dense import dense
from certify.ops.layout import reshape
from certify.ops.registry import NodeSpec, Value, find
from certify.ops.select import take

Rng = np.random.Generator


def finish(build: GraphBuilder, output: Value, n_inputs: int) -> Network:
    """The network from the flat input to this value."""
    output = reshape(build, output, (int(np.prod(output.shape, dtype=int)),))
    specs = (TensorSpec("x", (n_inputs,), "float64"),), (TensorSpec("y", output.shape, "float64"),)
    return Network((), output.name, *specs).with_nodes(build.nodes, output.name)


def start(n_inputs: int) -> tuple[GraphBuilder, Value]:
    """An empty graph and its input."""
    return GraphBuilder(), Value(INPUT, (n_inputs,))


def apply(build: GraphBuilder, op_type: str, x: Value, **attributes: object) -> Value:
    """An ONNX operator of one input."""
    entry = find(op_type, "", 17)
    assert entry is not None
    result = entry.translate(NodeSpec(op_type, op_type, 17, (x,), attributes), build)
    assert isinstance(result, Value)
    return result


def layer(build: GraphBuilder, rng: Rng, x: Value, size: int) -> Value:
    """A random matrix and bias."""
    weight = rng.normal(size=(size, x.shape[-1])) * np.sqrt(2.0 / x.shape[-1])
    return dense(build, x, weight, rng.normal(size=size) * 0.5)


def dense_net(
    rng: Rng, n_inputs: int, width: int, depth: int, activation: str = "Relu", **attributes: float
) -> Network:
    """Matrix, activation, ..., matrix."""
    build, x = start(n_inputs)
    for _ in range(depth):
        x = apply(build, activation, layer(build, rng, x, width), **attributes)
    return finish(build, layer(build, rng, x, 2), n_inputs)


def conv_net(rng: Rng, pool: str | None = None, activation: str = "Relu") -> Network:
    """[1, 1, 4, 4] -> convolution -> activation -> pooling -> matrix."""
    build, x = start(16)
    x = reshape(build, x, (1, 1, 4, 4))
    weight = rng.normal(size=(2, 1, 3, 3)) * 0.5
    op = Conv((x.shape,), (1, 2, 4, 4), weight, rng.normal(size=2), (1, 1), (1, 1), (1, 1), (1, 1))
    x = apply(build, activation, build.emit(op, x))
    if pool is not None:
        x = apply(build, pool, x, kernel_shape=[2, 2], strides=[2, 2])
    x = reshape(build, x, (1, int(np.prod(x.shape))))
    return finish(build, layer(build, rng, x, 2), 16)


def pooled_net(rng: Rng) -> Network:
    """Two inputs -> [1, 1, 3, 3] -> convolution -> max pooling -> matrix."""
    build, x = start(2)
    x = reshape(build, layer(build, rng, x, 9), (1, 1, 3, 3))
    op = Conv((x.shape,), (1, 1, 2, 2), rng.normal(size=(1, 1, 2, 2)), None, (1, 1), (0, 0), (0, 0), (1, 1))
    x = apply(build, "MaxPool", build.emit(op, x), kernel_shape=[2, 2])
    return finish(build, layer(build, rng, reshape(build, x, (1,)), 2), 2)


def residual_net(rng: Rng, n_inputs: int, width: int) -> Network:
    """relu(x W) W + x W, twice, and an activation that reads the sum."""
    build, x = start(n_inputs)
    x = layer(build, rng, x, width)
    for _ in range(2):
        x = add(build, x, layer(build, rng, apply(build, "Relu", x), width), -1)
    return finish(build, layer(build, rng, apply(build, "Relu", x), 2), n_inputs)


def product_net(rng: Rng, n_inputs: int, width: int) -> Network:
    """A product of a rectified and a sigmoid branch, and one with itself."""
    build, x = start(n_inputs)
    left = apply(build, "Relu", layer(build, rng, x, width))
    right = apply(build, "Sigmoid", layer(build, rng, x, width))
    y = layer(build, rng, multiply(build, left, right), width)
    return finish(build, layer(build, rng, multiply(build, y, y), 2), n_inputs)


def quotient_net(rng: Rng, n_inputs: int) -> Network:
    """A branch divided by one that stays above 1."""
    build, x = start(n_inputs)
    above = layer(build, rng, apply(build, "Sigmoid", layer(build, rng, x, 3)), 3)
    below = scale(build, apply(build, "Relu", layer(build, rng, x, 3)), None, np.ones(3))
    return finish(build, multiply(build, above, apply(build, "Reciprocal", below)), n_inputs)


def bent_input_net(rng: Rng, n_inputs: int) -> Network:
    """Activations right at the input, on each other, and on pieces of it."""
    build, x = start(n_inputs)
    first = apply(build, "Relu", x)
    second = apply(build, "Tanh", first)
    third = apply(build, "LeakyRelu", take(build, x, 0, np.arange(n_inputs)[::-1]), alpha=-0.3)
    return finish(build, layer(build, rng, add(build, second, third), 3), n_inputs)


def scalars_net(rng: Rng, n_inputs: int) -> Network:
    """Chains of scalar constants, which fuse into scalars, between activations and at the input."""
    build, x = start(n_inputs)
    for kind in ("Relu", "Tanh"):
        for _ in range(2):
            x = scale(build, x, np.asarray(rng.normal()), np.asarray(rng.normal()))
        x = apply(build, kind, x)
    return finish(build, scale(build, x, np.asarray(2.0), np.asarray(-1.0)), n_inputs)


KINDS: dict[str, Callable[[Rng], Network]] = {
    "dense": lambda rng: dense_net(rng, 3, 5, 2),
    "deep": lambda rng: dense_net(rng, 2, 4, 4),
    "leaky": lambda rng: dense_net(rng, 3, 4, 2, "LeakyRelu", alpha=0.2),
    "steep": lambda rng: dense_net(rng, 3, 4, 2, "LeakyRelu", alpha=2.5),
    "clipped": lambda rng: dense_net(rng, 3, 4, 2, "Clip", min=-0.5, max=0.5),
    "sigmoid": lambda rng: dense_net(rng, 3, 4, 2, "Sigmoid"),
    "tanh": lambda rng: dense_net(rng, 3, 4, 2, "Tanh"),
    "convolution": conv_net,
    "max pool": lambda rng: conv_net(rng, "MaxPool"),
    "average pool": lambda rng: conv_net(rng, "AveragePool", "Tanh"),
    "residual": lambda rng: residual_net(rng, 3, 4),
    "product": lambda rng: product_net(rng, 2, 3),
    "quotient": lambda rng: quotient_net(rng, 2),
    "bent input": lambda rng: bent_input_net(rng, 3),
    "scalars": lambda rng: scalars_net(rng, 3),
}

# Rectifiers only, of two inputs: small enough to be cut into all their linear pieces.
PLANAR_KINDS: dict[str, Callable[[Rng], Network]] = {
    "dense": lambda rng: dense_net(rng, 2, 4, 2),
    "deep": lambda rng: dense_net(rng, 2, 3, 4),
    "leaky": lambda rng: dense_net(rng, 2, 4, 2, "LeakyRelu", alpha=0.2),
    "bent back": lambda rng: dense_net(rng, 2, 4, 2, "LeakyRelu", alpha=-0.4),
    "steep": lambda rng: dense_net(rng, 2, 3, 2, "LeakyRelu", alpha=2.5),
    "clipped": lambda rng: dense_net(rng, 2, 3, 2, "Clip", min=-0.5, max=0.5),
    "residual": lambda rng: residual_net(rng, 2, 3),
    "max pool": lambda rng: pooled_net(rng),
}


@st.composite
def networks(draw: st.DrawFn, kinds: dict[str, Callable[[Rng], Network]] = KINDS) -> Network:
    """A random network of one of the kinds."""
    kind = draw(st.sampled_from(sorted(kinds)))
    return kinds[kind](np.random.default_rng(draw(st.integers(0, 2**16))))


def random_box(network: Network, rng: Rng, batch: int = 1, radius: float = 0.5) -> Interval:
    """Boxes around normal centres, some of whose sides are points."""
    center = rng.normal(size=(batch, network.n_inputs))
    half = radius * rng.uniform(size=center.shape) * (rng.uniform(size=center.shape) < 0.9)
    return Interval(center - half, center + half)


def points_in(box: Interval, rng: Rng, count: int = 200) -> np.ndarray:
    """Random points and corners of each box, [batch, points, n]."""
    lower, upper = box.lower[:, None], box.upper[:, None]
    batch, n = box.lower.shape
    inside = rng.uniform(size=(batch, count, n)) * (upper - lower) + lower
    corners = np.where(rng.integers(0, 2, size=(batch, count, n)) == 1, upper, lower)
    return np.concatenate([np.clip(inside, lower, upper), corners], axis=1)
