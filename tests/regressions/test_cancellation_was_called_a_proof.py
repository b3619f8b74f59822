"""Large terms that cancel: float64 loses what decides, so nothing may be claimed either way by bounds alone.

Two rows that differ by rounding only, and biases far above the result: float32 bounds of other tools, and float64 ones
without an account of their rounding, come out above what is attained.
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx_files import model, node

from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.methods import alpha_crown, crown, ibp
from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.ops.dense import dense
from certify.ops.registry import Value
from certify.ops.relu import Relu


def test_ties_count_as_violated(decide) -> None:
    proto = model([node("Relu", "x", "y")], {"x": [1, 1]}, ["y"])
    head = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))"
    assert decide(proto, head + "(assert (<= Y_0 0))") == "sat"


@pytest.mark.parametrize("big", [1e6, 1e12, 1e15])
@pytest.mark.parametrize("method", [ibp, crown, alpha_crown])
def test_bounds_stay_below_what_exact_arithmetic_gives(big: float, method) -> None:
    """min over [0, 1]^6 of sum_i c_i x_i + big - big with sum of c chosen so that the exact minimum is known."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        build = GraphBuilder()
        c = rng.normal(size=(1, 6))
        up = dense(build, Value(INPUT, (6,)), np.vstack([c, c]) + np.array([[big], [big]]), np.array([big, 0.1]))
        bent = build.emit(Relu((up.shape,), up.shape), up)
        y = dense(build, bent, np.array([[1.0, -1.0]]), np.array([-big]))
        specs = (TensorSpec("x", (6,), "float64"),), (TensorSpec("y", (1,), "float64"),)
        network = Network(tuple(build.nodes), y.name, *specs)
        box = Interval(np.zeros((1, 6)), np.ones((1, 6)))
        rows = Rows({network.output: np.ones((1, 1, 1))}, np.zeros((1, 1)))
        _, lower = method.bound(network, box, rows, lambda: False)
        # Both rectifiers see the same row but for the shift, so y = big - 0.1 - big = -0.1 wherever both are active.
        assert lower[0, 0] <= -0.1
