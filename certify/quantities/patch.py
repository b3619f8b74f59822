"""A patch: inputs that somebody else may set, on samples fixed elsewhere, and bounds over boxes of what they set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.rounding import linear_range
from certify.network.evaluate import evaluate, gradient, values
from certify.network.graph import INPUT, Network
from certify.network.passes.fold_fixed_inputs import first_computed, fold_fixed_inputs
from certify.ops.kinds import Linear
from certify.quantities.classifier import Classifier

# Unit roundoff by the type a model computes in: bounds make room for what onnxruntime's arithmetic may add.
ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
# Floats one batch may hold in one array of a walk, so that the arrays stay near the cache of one core.
BATCH_FLOATS = 2**21


class Patch:
    """A classifier on samples whose inputs `place` [d] are free, everything else folded into its first layer.

    rows: [samples, n_inputs]. The bounds hold for exact arithmetic on the model's weights, with room for the rounding
    of the model's own float arithmetic (see `Network.roundoff`).
    """

    def __init__(self, classifier: Classifier, rows: np.ndarray, place: np.ndarray) -> None:
        self.classifier, self.rows, self.place = classifier, rows, np.asarray(place)
        network = replace(classifier.network, roundoff=ROUNDOFF[classifier.dtype])
        emptied = rows.copy()
        emptied[:, self.place] = 0.0
        folded = fold_fixed_inputs(network, self.place)
        if folded is None:
            self.network, self._free = network, self.place
            self._base = Interval(emptied, emptied)
        else:
            self.network, self._free = folded, np.arange(len(self.place))
            fixed = _first_value(network, emptied)
            free = np.zeros((len(rows), len(self.place)))
            self._base = Interval(*(np.concatenate([free, side], axis=1) for side in fixed))

    @property
    def d(self) -> int:
        """Number of free inputs."""
        return len(self.place)

    def batch_size(self, n_rows: int) -> int:
        """Boxes that keep the arrays of a walk with so many rows small."""
        sizes = [int(np.prod(shape)) for shape in self.network.shapes.values()]
        relaxed = [int(np.prod(self.network.shapes[name])) for name in self.network.relaxed_inputs]
        return int(max(16, min(4096, BATCH_FLOATS // (max(sizes) * max([n_rows, *relaxed]) // 2))))

    def margins(
        self, sample: np.ndarray, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(bounds [boxes, rows], slopes [boxes, rows, d]) of linear functions of the scores, from below.

        sample: [boxes] which sample each box belongs to; lower, upper: [boxes, d] of the free inputs; rows: [rows,
        classes]. slopes: how the bound varies with the free inputs.
        """
        size = self.batch_size(len(rows))
        pieces = [slice(first, first + size) for first in range(0, max(1, len(sample)), size)]
        found = [self._margins(sample[piece], lower[piece], upper[piece], rows) for piece in pieces]
        return np.concatenate([bound for bound, _ in found]), np.concatenate([slopes for _, slopes in found])

    def _margins(
        self, sample: np.ndarray, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        relaxed = intermediate_bounds(self.network, self._box(sample, lower, upper))
        bound, form = crown_rows(relaxed, Rows({self.network.output: rows[None]}, np.zeros((1, len(rows)))))
        slopes = np.broadcast_to(form.coefficient[:, :, self._free], (*bound.shape, self.d))
        return to_numpy(bound), slopes

    def scores(self, sample: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Class scores [points, classes] of our graph, for free inputs t [points, d]: a guess, not a replay."""
        return to_numpy(evaluate(self.network, self._points(sample, t)))

    def ascent(self, sample: np.ndarray, t: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Gradient [points, d] of weight [points, classes] . scores with respect to the free inputs."""
        found = values(self.network, self._points(sample, t))
        return to_numpy(gradient(self.network, found, weight))[:, self._free]

    def stamped(self, sample: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The samples [points, n_inputs] with these free inputs t, [d] or [points, d]."""
        x = self.rows[sample].copy()
        x[:, self.place] = t
        return x

    def replayed(self, sample: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The class [points] that onnxruntime's scores are largest at, the first of several, for free inputs t."""
        return np.asarray(self.classifier.scores(self.stamped(sample, t)).argmax(axis=1))

    def _points(self, sample: np.ndarray, t: np.ndarray) -> np.ndarray:
        x = self._base.center[sample]
        x[:, self._free] = t
        return x

    def _box(self, sample: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Interval:
        low, high = self._base.lower[sample], self._base.upper[sample]
        low[:, self._free], high[:, self._free] = lower, upper
        return Interval(low, high)


def _first_value(network: Network, x: np.ndarray) -> Interval:
    """The first computed value at the points x [samples, n_inputs], flat, rounded outwards."""
    name = first_computed(network)
    assert name is not None
    ranges = {INPUT: Interval(x, x)}
    for node in network.cone(name).nodes:
        assert isinstance(node.op, Linear)
        ranges[node.name] = linear_range(node.op, [ranges[source] for source in node.inputs], network.roundoff)
    return Interval(*(side.reshape(len(x), -1) for side in ranges[name]))


def places(shape: Sequence[int], patch: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """Flat numbers of the inputs that a patch (height, width) covers, in every channel of an image [channels, H, W].

    corner: (row, column) of its upper left pixel.
    """
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    rows, columns = slice(corner[0], corner[0] + patch[0]), slice(corner[1], corner[1] + patch[1])
    return numbers[:, rows, columns].reshape(-1)
