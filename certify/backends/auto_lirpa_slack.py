"""How much float64 may have raised a bound of auto_LiRPA, which knows nothing of rounding: what is taken off it.

Our own engine keeps account of the rounding of its CROWN walks. auto_LiRPA's CROWN takes the same walks, so that this
account is used: once for the walk from the rows, and once more for each layer that was bounded by such walks before.
"""

from __future__ import annotations

import numpy as np

from certify.arrays import to_numpy
from certify.backends.native import choose_library
from certify.bounds.backward import Rows
from certify.bounds.intermediate import crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.network.graph import INPUT, Network
from certify.ops.kinds import Linear, Nonlinear

# For other orders of summation, and for coefficients that optimised slopes make larger than CROWN's.
SAFETY = 4.0
# Share of all magnitudes behind an interval that may be rounding: that of sums of 2**16 terms in float64.
OF_INTERVALS = 2.0**-36


def slack_of_crown(
    network: Network, passed: np.ndarray, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """What to take off bounds of rows [rows, n_outputs + len(passed)] by CROWN or alpha-CROWN on a box: [rows]."""
    on = network.on(choose_library(network, "cpu"))
    put, n = on.library.put, network.n_outputs
    inputs = np.zeros((len(rows), network.n_inputs))
    inputs[:, passed] = rows[:, n:]
    coefficients = {on.output: put(rows[None, :, :n]), INPUT: put(inputs[None])}
    relaxed = intermediate_bounds(on, Interval(put(lower[None]), put(upper[None])))
    _, form = crown_rows(relaxed, Rows(coefficients, put(np.zeros((1, len(rows))))))
    walks = 1 + len(network.nonlinear)
    return SAFETY * walks * np.broadcast_to(to_numpy(form.error), (1, len(rows)))[0]


def slack_of_intervals(
    network: Network, passed: np.ndarray, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """The same for intervals, from what the rows come to with absolute values everywhere."""
    largest = {INPUT: np.maximum(abs(lower), abs(upper))}
    for node in network.nodes:
        op, inputs = node.op, [largest[name] for name in node.inputs]
        if isinstance(op, Linear):
            largest[node.name] = op.magnitude.linear(*inputs) + (0.0 if op.bias is None else abs(op.bias))
        else:
            assert isinstance(op, Nonlinear)
            low, high = op.interval(*((-x, x) for x in inputs))
            largest[node.name] = np.maximum(abs(low), abs(high))
    return OF_INTERVALS * (abs(rows) @ np.concatenate([largest[network.output], largest[INPUT][passed]]))
