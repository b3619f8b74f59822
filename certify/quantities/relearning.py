"""How much of the last layer must change before it answers with a removed class again."""

from __future__ import annotations

import numpy as np

from certify.network.graph import Network
from certify.ops.dense import Dense
from certify.ops.kinds import Linear

# What float64 may do to the closed form of a few hundred operations.
SLACK = 1e-12


def last_features(network: Network) -> str | None:
    """The name of the value that the last layer, a matrix with biases, takes; None where the model ends otherwise."""
    node = network.by_name.get(network.output)
    while node is not None and isinstance(node.op, Linear) and node.op.selects:
        node = network.by_name.get(node.inputs[0])
    return node.inputs[0] if node is not None and isinstance(node.op, Dense) else None


def distance(gaps: np.ndarray, size: float) -> float:
    """The smallest Frobenius norm of a change of (W, b) after which a class overtakes all others at features h.

    gaps: [others], by how much each leads that class; size: ||(h, 1)||. All rows change along (h, 1): the class's own
    by a, that of every other one that leads by more than a by the rest of its lead, which gives, for the k largest
    leads d_i = gaps_i / size, a = sum(d_1..k) / (k + 1). With one other class it is gap / (sqrt(2) size).
    """
    leads = np.sort(np.maximum(gaps, 0.0) / size)[::-1]
    shares = leads.cumsum() / np.arange(2, len(leads) + 2)
    count = int((leads > shares).sum())
    if count == 0:
        return 0.0
    own = shares[count - 1]
    return float(np.sqrt(own**2 + ((leads[:count] - own) ** 2).sum()))


def edit(gaps: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(change of the class's own row, [others] by how much rows of others go the opposite way), along (h, 1) / size^2.

    The rows of such a change are the numbers times (h, 1) / ||(h, 1)||^2.
    """
    size = np.linalg.norm(np.append(features, 1.0))
    leads = np.maximum(gaps, 0.0) / size
    order = np.sort(leads)[::-1]
    shares = order.cumsum() / np.arange(2, len(order) + 2)
    count = int((order > shares).sum())
    own = shares[count - 1] if count else 0.0
    return np.asarray(own * size), np.maximum(leads - own, 0.0) * size
