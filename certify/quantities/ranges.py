"""What every output of a network may be on boxes of inputs."""

from __future__ import annotations

import numpy as np

from certify.bounds.backward import Rows, rows_of
from certify.bounds.intermediate import Relaxed, crown_rows, intermediate_bounds
from certify.bounds.interval import Interval, intersect
from certify.bounds.rounding import linear_range
from certify.network.graph import INPUT, Network
from certify.ops.kinds import Linear

# Floats that the widest layer's walk may take, one row in sixteen, for one batch of boxes.
BATCH_FLOATS = 2**16


def output_ranges(network: Network, box: Interval) -> Interval:
    """Bounds [boxes, n_outputs] of the outputs on each box [boxes, n_inputs]: intervals over CROWN's hidden bounds, and
    CROWN itself, intersected. Raises NumericalError on NaN.
    """
    parts = [_output_ranges(network, part) for part in batches(network, box)]
    return Interval(*(np.concatenate(sides) for sides in zip(*parts, strict=True)))


def value_ranges(network: Network, name: str, box: Interval) -> Interval:
    """Bounds [boxes, *shape] of the named value on each box, by interval arithmetic over CROWN's hidden bounds."""
    part = network.cone(name)
    found = [_stepwise(intermediate_bounds(part, piece)).checked(name) for piece in batches(part, box)]
    return Interval(*(np.concatenate(sides) for sides in zip(*found, strict=True)))


def rows_lower(network: Network, box: Interval, matrix: np.ndarray) -> np.ndarray:
    """Lower bounds [boxes, rows] of matrix [rows, n_outputs] . outputs on each box, by CROWN."""
    rows = Rows({network.output: matrix[None]}, np.zeros((1, len(matrix))))
    return np.concatenate([crown_rows(intermediate_bounds(network, part), rows)[0] for part in batches(network, box)])


def batches(network: Network, box: Interval) -> list[Interval]:
    """The boxes in batches whose walks fit into the cache, about."""
    widest = max(int(np.prod(shape)) for shape in network.shapes.values())
    step = int(np.clip(BATCH_FLOATS // (2 * widest), 1, 256))
    starts = range(0, len(box.lower), step)
    return [Interval(box.lower[first : first + step], box.upper[first : first + step]) for first in starts]


def _output_ranges(network: Network, box: Interval) -> Interval:
    relaxed = intermediate_bounds(network, box)
    rows = rows_of(network, network.output, np.arange(network.n_outputs))
    lower = crown_rows(relaxed, rows)[0]
    found = Interval(lower[:, : network.n_outputs], -lower[:, network.n_outputs :])
    return intersect(_stepwise(relaxed), found).checked("the outputs")


def _stepwise(relaxed: Relaxed) -> Interval:
    """Interval arithmetic, with the hidden bounds known: a rectified value is not below 0, as a line may be."""
    network = relaxed.network
    ranges = {INPUT: relaxed.box, **relaxed.intervals}
    for node in network.nodes:
        inputs = [ranges[name] for name in node.inputs]
        if isinstance(node.op, Linear):
            here = linear_range(node.op, inputs)
        else:
            here = Interval(*node.nonlinear_op.interval(*inputs))
        ranges[node.name] = intersect(here, ranges[node.name]) if node.name in ranges else here
    return ranges[network.output]
