"""The exact range of every value of a rectifier network with two inputs, by cutting the box into its linear pieces.

On a polygon where no rectifier changes sign every value is affine, so its extremes lie at the polygon's corners.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from certify.network.evaluate import values
from certify.network.graph import Network
from certify.ops.relu import Relu

# A rectifier's input within this of zero counts as zero, which moves the ranges by no more than a network amplifies it.
ZERO = 1e-10


def exact_ranges(network: Network, lower: np.ndarray, upper: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(smallest, largest) by value name, [*shape] each, on the box lower, upper [2]."""
    ranges: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for _, found in pieces(network, lower, upper):
        for name, value in found.items():
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = np.minimum(low, value.min(axis=0)), np.maximum(high, value.max(axis=0))
    return ranges


def pieces(
    network: Network, lower: np.ndarray, upper: np.ndarray
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """(corners [corners, 2], every value at them) of each linear piece of the box."""
    assert network.n_inputs == 2
    assert all(isinstance(node.op, Relu) for node in network.nonlinear)
    (a, b), (c, d) = lower, upper
    waiting = [np.array([(a, b), (c, b), (c, d), (a, d)])]
    while waiting:
        polygon = waiting.pop()
        found = values(network, polygon)
        bent = _first_bend(network, found)
        if bent is None:
            yield polygon, found
        else:
            waiting += [_clip(polygon, bent), _clip(polygon, -bent)]


def _first_bend(network: Network, found: dict[str, np.ndarray]) -> np.ndarray | None:
    """The corners' values of the first rectifier input that has both signs: affine, as all before have one."""
    for name in network.relaxed_inputs:
        flat = found[name].reshape(len(found[name]), -1)
        both = (flat.min(axis=0) < -ZERO) & (flat.max(axis=0) > ZERO)
        if both.any():
            return flat[:, both.argmax()]
    return None


def _clip(polygon: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The part of the polygon where an affine function with these values at its corners is >= 0."""
    corners = []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        if value[i] >= 0.0:
            corners.append(polygon[i])
        if (value[i] > 0.0) != (value[j] > 0.0) and value[i] != value[j]:
            share = value[i] / (value[i] - value[j])
            corners.append(polygon[i] + np.clip(share, 0.0, 1.0) * (polygon[j] - polygon[i]))
    return np.array(corners)
