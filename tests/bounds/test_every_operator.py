"""Every example of every operator, as a network of its own: all methods' bounds hold, on boxes of all sizes.

Infinities, where a box holds points without a value, may become NaN, of which nothing is concluded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from bound_methods import METHODS, hard_points, never, random_rows, row_values

from certify.bounds.interval import Interval
from certify.errors import NumericalError
from certify.network.graph import Network
from certify.network.passes import simplify

sys.path.append(str(Path(__file__).resolve().parents[1] / "ops"))
from op_cases import examples, network_of  # noqa: E402

CASES = [pytest.param(network_of(entry, example), id=name) for name, entry, example in examples()]


@pytest.mark.parametrize("network", CASES)
@pytest.mark.parametrize("method", METHODS)
@np.errstate(all="ignore")
def test_bounds_hold(method: str, network: Network) -> None:
    rng = np.random.default_rng(7)
    network = simplify(network)
    for radius in (0.0, 0.05, 1.0, 30.0):
        center = rng.normal(size=(2, network.n_inputs))
        center[1] = np.round(center[1])
        reach = radius * rng.uniform(0.5, 1.0, size=center.shape)
        box = Interval(center - reach, center + reach)
        rows = random_rows(network, rng)
        try:
            _, lower = METHODS[method](network, box, rows, never)
        except NumericalError:
            # Only where the box holds points at which the operator has no value.

            assert any(name in str(network.nodes) for name in ("Reciprocal", "Power"))
            continue
        points = hard_points(network, rows, box, rng, steps=3)
        found = row_values(network, rows, points)
        known = np.isfinite(found).all(axis=2)
        slack = 1e-9 * (1.0 + abs(found[known]).max(initial=0.0))
        assert not (lower[:, None] > found + slack)[known].any()
