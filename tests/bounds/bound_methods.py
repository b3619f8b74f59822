"""Every bound method there is, and what they are asked: rows, and points that try to break the answer."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from networks import Rng, points_in

import certify.bounds.methods
from certify.arrays import Array, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.network.evaluate import evaluate, gradient, values
from certify.network.graph import INPUT, Network, Node
from certify.ops.relu import Relu

Bound = Callable[[Network, Interval, Rows, Callable[[], bool]], tuple[Relaxed, Array]]

METHODS: dict[str, Bound] = {
    module.name: importlib.import_module(f"certify.bounds.methods.{module.name}").bound
    for module in pkgutil.iter_modules(certify.bounds.methods.__path__)
}


def never() -> bool:
    """The time is never up."""
    return False


def random_rows(network: Network, rng: Rng, count: int = 3, batch: int = 1) -> Rows:
    """Random combinations of outputs and inputs."""
    return Rows(
        {
            network.output: rng.normal(size=(batch, count, network.n_outputs)),
            INPUT: rng.normal(size=(batch, count, network.n_inputs)) * (rng.uniform() < 0.5),
        },
        rng.normal(size=(batch, count)),
    )


def row_values(network: Network, rows: Rows, x: np.ndarray) -> np.ndarray:
    """The rows at points x [batch, points, n]: [batch, points, rows]."""
    y = evaluate(network, x.reshape(-1, network.n_inputs)).reshape(*x.shape[:2], -1)
    return (
        y @ rows.coefficients[network.output].swapaxes(-1, -2)
        + x @ rows.coefficients[INPUT].swapaxes(-1, -2)
        + rows.offset[:, None]
    )


def put_rows(network: Network, rows: Rows) -> Rows:
    """The rows in the network's library."""
    put = network.library.put
    return Rows({name: put(c) for name, c in rows.coefficients.items()}, put(rows.offset))


def put_box(network: Network, box: Interval) -> Interval:
    """The box in the network's library."""
    return Interval(network.library.put(box.lower), network.library.put(box.upper))


def hard_points(network: Network, rows: Rows, box: Interval, rng: Rng, steps: int = 8) -> np.ndarray:
    """Random points, corners, and ends of signed gradient descents on the rows: [batch, points, n]."""
    points = points_in(box, rng, 60)
    batch, n = box.lower.shape
    coefficient = np.broadcast_to(rows.coefficients[network.output], (batch, rows.count, network.n_outputs))
    linear = np.broadcast_to(rows.coefficients[INPUT], (batch, rows.count, n))
    x = np.repeat(box.center[:, None], rows.count, axis=1)
    for step in range(steps):
        found = values(network, x.reshape(-1, n))
        slope = gradient(network, found, coefficient.reshape(-1, network.n_outputs)).reshape(x.shape) + linear
        x = x - box.radius[:, None] * np.sign(slope) * (1.0 if step == 0 else 0.4)
        x = np.clip(x, box.lower[:, None], box.upper[:, None])
        points = np.concatenate([points, x], axis=1)
    return points


def with_watched_output(network: Network) -> Network:
    """The network with a rectifier behind its output, so that the output's interval is computed like a hidden one's."""
    shape = (network.n_outputs,)
    watcher = Node("@watcher", Relu((shape,), shape), (network.output,))
    return replace(network, nodes=(*network.nodes, watcher), output=watcher.name)


def assert_contains(outer: Interval, inner: Interval, relative: float = 1e-9) -> None:
    """inner lies in outer, up to rounding."""
    lower, upper = map(to_numpy, outer)
    slack = relative * (1.0 + np.maximum(abs(lower), abs(upper)))
    assert (lower - slack <= to_numpy(inner.lower)).all()
    assert (to_numpy(inner.upper) <= upper + slack).all()
