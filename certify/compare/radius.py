"""How far a class is certain: the certified radius around labelled samples, by bisection over CROWN bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from certify.arrays import NUMPY, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.methods.crown import bound
from certify.dataset import Dataset
from certify.network.graph import Network
from certify.network.parity import check_parity
from certify.network.read_onnx import load_model
from certify.threads import one_blas_thread
from certify.witness.runtime import Runtime

# Halvings after the first guess, and samples that are bounded together.
STEPS = 12
BATCH = 32
LARGEST = 1.0


def certified_radii(model: str | Path, data: Dataset) -> np.ndarray:
    """For each sample a radius [samples] in the maximum norm, in units of the input, for which CROWN proves that its
    label is the largest output everywhere in the ball; 0 where that is not even so for the sample itself.

    A lower bound of the true radius, at most LARGEST; the balls are not cut to any range of pixels.
    """
    network = load_model(Path(model)).network.on(NUMPY)
    x, labels = data.flat(network.n_inputs), data.labels
    check_parity(network, Runtime(model), x.min(axis=0), x.max(axis=0), seed=0)
    with one_blas_thread():
        parts = [_bisect(network, x[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    return np.concatenate(parts)


def _bisect(network: Network, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Radii for a batch: the largest that was proved, doubling precision each step."""
    proves = _prover(network, x, labels)
    certified, open_ = np.zeros(len(x)), np.full(len(x), LARGEST)
    valid = proves(certified)
    for _ in range(STEPS):
        middle = (certified + open_) / 2.0
        proved = proves(middle)
        certified, open_ = np.where(proved, middle, certified), np.where(proved, open_, middle)
    return np.where(valid, certified, 0.0)


def _prover(network: Network, x: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """radius [samples] -> whether each ball is proved to have its label."""
    classes = network.n_outputs
    others = np.array([[j for j in range(classes) if j != label] for label in labels])
    eye = np.eye(classes)
    coefficients = eye[labels][:, None] - eye[others]

    def proves(radius: np.ndarray) -> np.ndarray:
        # One step outwards, so that rounding cannot make a ball smaller than is said.
        lower = np.nextafter(x - radius[:, None], -np.inf)
        upper = np.nextafter(x + radius[:, None], np.inf)
        rows = Rows({network.output: coefficients}, np.zeros(others.shape))
        margins = to_numpy(bound(network, Interval(lower, upper), rows, lambda: False)[1])
        return np.asarray((margins > 0.0).all(axis=1))

    return proves
