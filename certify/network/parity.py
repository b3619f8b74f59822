"""Does our graph compute what onnxruntime computes? Asked at load, because everything proved is proved of our graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from certify.errors import ParityError
from certify.network.evaluate import values
from certify.network.graph import INPUT, Network

# float32 carries 24 bits; sums over many terms lose some more of them.
RELATIVE = 2.0**-13
OF_LARGEST_VALUE = 2.0**-20


def check_parity(
    network: Network, run: Callable[[np.ndarray], np.ndarray], lower: np.ndarray, upper: np.ndarray, seed: int = 0
) -> float:
    """Compare on the centre, corners and random points of the box; the largest difference found.

    The difference allowed is float32 rounding: a share of the outputs' size plus a smaller one of the largest value
    anywhere in the network. Raises ParityError beyond that.
    """
    points = _points(lower, upper, np.random.default_rng(seed)).astype(np.float32).astype(np.float64)
    found = values(network, points)
    ours = found[network.output]
    theirs = np.stack([run(x) for x in points])
    if ours.shape != theirs.shape:
        raise ParityError(f"our graph has {ours.shape[1]} outputs, onnxruntime {theirs.shape[1]}", _HINT)
    largest = max(float(abs(value).max()) for name, value in found.items() if name != INPUT)
    allowed = RELATIVE * np.maximum(abs(ours), abs(theirs)).max() + OF_LARGEST_VALUE * largest
    difference = abs(ours - theirs)
    if not (difference <= allowed).all():
        point, output = np.unravel_index(int(np.argmax(np.nan_to_num(difference, nan=np.inf))), difference.shape)
        message = (
            f"output {output} is {ours[point, output]:.9g} on our graph and {theirs[point, output]:.9g} in onnxruntime "
            f"for the same input ({allowed:.2g} is what rounding explains)"
        )
        half = any(spec.dtype == "float16" for spec in network.inputs + network.outputs)
        raise ParityError(message, _HALF if half else _HINT)
    return float(difference.max())


_HALF = (
    "the model computes in float16, whose rounding is too coarse for proofs over real numbers: convert it to float32"
)
_HINT = "nothing is proved about a model that is read as something else; please report the model"


def _points(lower: np.ndarray, upper: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Centre, the two extreme corners, two random corners, three random points: [8, n_inputs]."""
    corners = np.where(rng.integers(0, 2, size=(2, len(lower))) == 1, upper, lower)
    return np.vstack([(lower + upper) / 2.0, lower, upper, corners, rng.uniform(lower, upper, size=(3, len(lower)))])
