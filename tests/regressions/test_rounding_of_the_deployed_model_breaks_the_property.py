"""What the real numbers keep by less than float32 rounding, the deployed model may break.

Adaptive cruise control (2026): the network clamps its output at 100.001, which is where the property ends. Over the
reals nothing is unsafe, by 5e-7; onnxruntime computes 100.00105 at most inputs. The attack only handed over points that
our own graph calls unsafe, so nobody ever asked onnxruntime, and the search proved the rest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_files import model, node, run, save

import certify
from certify.verdict import Status

SPEC = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1]) (declare-output Y float32 [1]))
(assert (and (>= X[0] 0.0) (<= X[0] 1.0)))
(assert (>= Y[0] 99.900001))
"""


def test_points_within_rounding_are_replayed(tmp_path: Path) -> None:
    """3 (x + 33.3) - 3 x is 99.899998 over the reals; in float32 it is 99.900002 or more for many x."""
    nodes = [node("Add", "x c", "up"), node("Mul", "up t", "a"), node("Mul", "x t", "b"), node("Sub", "a b", "y")]
    weights = {"c": np.array([33.3], dtype=np.float32), "t": np.array([3.0], dtype=np.float32)}
    proto = model(nodes, {"x": [1]}, ["y"], weights)
    path = save(tmp_path / "m.onnx", proto)
    assert run(path, np.linspace(0.0, 1.0, 100)[:, None]).max() > 99.900001
    (tmp_path / "s.vnnlib").write_text(SPEC)
    assert certify.check(path, tmp_path / "s.vnnlib").status is Status.SAT
