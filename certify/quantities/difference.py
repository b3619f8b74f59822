"""Two models side by side on the same inputs: bounds of how far their outputs are apart."""

from __future__ import annotations

import numpy as np

from certify.bounds.interval import Interval
from certify.errors import InputError
from certify.network.graph import Network
from certify.network.passes.join_networks import Wiring, join_networks
from certify.quantities.classifier import Classifier
from certify.quantities.ranges import rows_lower


class Pair:
    """Two classifiers f and g of the same inputs and classes; `network` computes the scores of f, then those of g."""

    def __init__(self, f: Classifier, g: Classifier) -> None:
        """Raises InputError where the numbers of inputs or classes differ."""
        self.f, self.g = f, g
        for what in ("n_inputs", "n_classes"):
            ours, theirs = getattr(f, what), getattr(g, what)
            if ours != theirs:
                message = f"{f.path} and {g.path} have {ours} and {theirs} {what.removeprefix('n_')}"
                raise InputError(message, "compare models of the same inputs and classes")
        n, classes = f.n_inputs, f.n_classes
        source = np.tile(np.arange(n), 2)
        outputs = [(2 * n + place,) for place in range(2 * classes)]
        wiring = Wiring(np.zeros((0, n)), np.zeros(0), source, outputs)
        self.network: Network = join_networks({"f": f.network, "g": g.network}, wiring)

    def difference(self, box: Interval) -> Interval:
        """Bounds [boxes, classes] of f - g on each box [boxes, n_inputs], by CROWN on both together."""
        eye = np.eye(self.f.n_classes)
        less = np.concatenate([eye, -eye], axis=1)
        found = rows_lower(self.network, box, np.concatenate([less, -less]))
        return Interval(found[:, : len(eye)], -found[:, len(eye) :])

    def scores(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What onnxruntime says f and g compute at x [points, n_inputs], [points, classes] each."""
        return self.f.scores(x), self.g.scores(x)


def leads(network: Network, box: Interval) -> np.ndarray:
    """Lower bounds [boxes, i, j] of f_i - f_j on each box; 0 where i is j."""
    count = network.n_outputs
    eye = np.eye(count)
    i, j = np.nonzero(~np.eye(count, dtype=bool))
    found = np.zeros((len(box.lower), count, count))
    found[:, i, j] = rows_lower(network, box, eye[i] - eye[j])
    return found
