"""A pruned ACAS Xu network against the original, on the box of its VNN-LIB 2.0 benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import certify
from certify.compare.difference import Plan
from certify.network.evaluate import evaluate

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "vnnlib2" / "two_networks" / "isomorphic_acasxu"


@pytest.mark.integration
@pytest.mark.skipif(not FOLDER.exists(), reason="../shared/vnnlib2 is not there")
def test_the_bound_is_within_twice_what_is_reached() -> None:
    found = certify.difference(
        FOLDER / "onnx/nets/ACASXU_run2a_1_1_batch_2000.onnx",
        FOLDER / "onnx/nets_pruned/ACASXU_run2a_1_1_batch_2000_pruned30.onnx",
        region=FOLDER / "vnnlib/instance_0.vnnlib",
        plan=Plan(gap=0.9, seconds=120.0, top1=False),
    )
    assert found.proven <= 2.0 * found.reached
    x = np.random.default_rng(0).uniform(found.lower[0], found.upper[0], size=(5000, 5))
    apart = abs(evaluate(found.before.network, x) - evaluate(found.after.network, x))
    assert (apart <= found.regions[0].proven).all()
