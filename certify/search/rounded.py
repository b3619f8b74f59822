"""Inputs that a network rounds to whole numbers before it does anything else with them.

It is the same network on a whole number and on all that is rounded to it, so that a box holds only finitely many cases:
for each whole number k that occurs, the point of the box that is nearest to k, which is rounded to k as well.
"""

from __future__ import annotations

import numpy as np

from certify.arrays import NUMPY, Array
from certify.bounds.backward import backward, rows_of
from certify.network.graph import INPUT, Network
from certify.ops.jumps import Rounding
from certify.ops.kinds import Linear

# Larger tensors are not looked into.
MOST_ELEMENTS = 256


def rounded_inputs(network: Network) -> np.ndarray:
    """Mask [n_inputs]: the inputs that everything else depends on only through rounding."""
    found = np.zeros(network.n_inputs, dtype=bool)
    if not any(isinstance(node.op, Rounding) for node in network.nodes):
        return found
    network = network.on(NUMPY)
    linear = _linear_part(network)
    owners = {
        node.name: _owners(network, node.inputs[0])
        for node in network.nodes
        if isinstance(node.op, Rounding)
        and node.inputs[0] in linear
        and np.prod(network.shapes[node.inputs[0]]) <= MOST_ELEMENTS
    }
    candidates = np.unique(np.concatenate([np.zeros(0, dtype=int), *owners.values()]))
    candidates = candidates[candidates >= 0]
    if len(candidates) and len(candidates) <= MOST_ELEMENTS:
        found[candidates[~_felt_elsewhere(network, linear, owners, candidates)]] = True
    return found


def _linear_part(network: Network) -> set[str]:
    """The values that linear ops alone compute from the input."""
    found = {INPUT}
    for node in network.nodes:
        if isinstance(node.op, Linear) and found.issuperset(node.inputs):
            found.add(node.name)
    return found


def _owners(network: Network, value: str) -> np.ndarray:
    """The input that each element of a value of the linear part is equal to, [elements]; -1 where there is none."""
    cone = network.cone(value)
    size = int(np.prod(network.shapes[value]))
    form = backward(cone, rows_of(cone, value, np.arange(size)), {}).form
    coefficient, offset = form.coefficient[0, :size], form.offset[0, :size]
    copies = ((coefficient != 0.0).sum(axis=1) == 1) & (coefficient.sum(axis=1) == 1.0) & (offset == 0.0)
    return np.where(copies, (coefficient != 0.0).argmax(axis=1), -1)


def _felt_elsewhere(
    network: Network, linear: set[str], owners: dict[str, np.ndarray], candidates: np.ndarray
) -> np.ndarray:
    """Mask [candidates]: the inputs that reach something else than their own rounding."""
    one_hot = np.zeros((len(candidates), network.n_inputs))
    one_hot[np.arange(len(candidates)), candidates] = 1.0
    touched: dict[str, Array] = {INPUT: one_hot}
    felt = np.zeros(len(candidates), dtype=bool)
    for node in network.nodes:
        if node.name in linear and isinstance(node.op, Linear):
            # Ones again after every op, so that nothing is lost by underflow.
            touched[node.name] = (node.op.magnitude.linear(*(touched[name] for name in node.inputs)) != 0.0) * 1.0
            continue
        for name in node.inputs:
            if name in linear:
                reached = touched[name].reshape(len(candidates), -1) > 0.0
                if node.name in owners:
                    reached = reached & (owners[node.name] != candidates[:, None])
                felt |= reached.any(axis=1)
    if network.output in linear:
        felt |= touched[network.output].reshape(len(candidates), -1).any(axis=1)
    return felt


def whole_cut(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(below, above) for ranges of rounded inputs: [lower, below] and [above, upper] hold all cases of [lower, upper].

    Those of whole numbers up to the middle lie below, those of larger ones above.
    """
    last = np.floor(lower + (upper - lower) / 2.0)
    return np.clip(last, lower, upper), np.clip(last + 1.0, lower, upper)
