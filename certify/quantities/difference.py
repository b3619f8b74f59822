"""Two models side by side on the same inputs: bounds of how far their outputs are apart."""

from __future__ import annotations

import numpy as np

from certify.bounds.interval import Interval, intersect
from certify.network.graph import Network
from certify.network.passes.pair_networks import pair_networks
from certify.quantities.classifier import Classifier
from certify.quantities.ranges import rows_lower


class Pair:
    """Two classifiers f and g of the same inputs and classes.

    network: on their input, with the outputs f, g, f - g [3 classes], the last one computed layer by layer where the
    two are built alike (`network/passes/pair_networks`).
    """

    def __init__(self, f: Classifier, g: Classifier) -> None:
        """Raises InputError where the numbers of inputs or classes differ."""
        self.f, self.g = f, g
        self.network: Network = pair_networks(f.network, g.network).network

    def difference(self, box: Interval) -> Interval:
        """Bounds [boxes, classes] of f - g on each box [boxes, n_inputs], by CROWN: of the difference that the network
        carries, and of f minus g. Neither is always the tighter one.
        """
        eye = np.eye(self.f.n_classes)
        zero = np.zeros_like(eye)
        carried, apart = np.concatenate([zero, zero, eye], axis=1), np.concatenate([eye, -eye, zero], axis=1)
        found = rows_lower(self.network, box, np.concatenate([carried, -carried, apart, -apart]))
        one, two = (Interval(part[:, : len(eye)], -part[:, len(eye) :]) for part in np.split(found, 2, axis=1))
        return intersect(one, two)

    def scores(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What onnxruntime says f and g compute at x [points, n_inputs], [points, classes] each."""
        return self.f.scores(x), self.g.scores(x)


def leads(network: Network, box: Interval) -> np.ndarray:
    """Lower bounds [boxes, i, j] of f_i - f_j on each box; 0 where i is j."""
    count = network.n_outputs
    eye = np.eye(count)
    i, j = np.nonzero(~np.eye(count, dtype=bool))
    found = np.zeros((len(box.lower), count, count))
    if count == 1:
        return found
    found[:, i, j] = rows_lower(network, box, eye[i] - eye[j])
    return found
