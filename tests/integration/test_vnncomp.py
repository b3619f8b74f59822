"""Real instances of public benchmarks against their published verdicts, where ../shared has them.

A small share of each kind with short limits: the point is that nothing contradicts and the easy ones are decided. The
whole set is run by `vnncomp/benchmark.py`.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import certify
from certify.verdict import Status

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "vnncomp"
# Instances per benchmark, evenly spaced over its list.
SHARE = {
    "acasxu": 8,
    "rl_benchmarks": 8,
    "collins_rul_cnn": 5,
    "safenlp": 8,
    "mnist_fc": 4,
    "reach_prob_density": 3,
    "tllverifybench": 2,
    "cctsdb_yolo": 1,
    "test": 5,
}
TEST_VERDICTS = {"test_sat": "sat"}  # the others of the folder `test` are unsat; they have no published verdict

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/vnncomp is absent"),
]


def instances() -> list[tuple[str, str, str, str]]:
    """(benchmark, model, spec, published verdict)."""
    if not FOLDER.is_dir():
        return []
    found = []
    with (FOLDER / "truth.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["verdict"] in ("sat", "unsat") or row["benchmark"] == "test"]
    for benchmark, count in SHARE.items():
        mine = [row for row in rows if row["benchmark"] == benchmark]
        for row in mine[:: max(1, len(mine) // count)][:count]:
            verdict = row["verdict"]
            if benchmark == "test":
                verdict = TEST_VERDICTS.get(Path(row["onnx"]).stem, "unsat")
            found.append((benchmark, row["onnx"], row["vnnlib"], verdict))
    return found


@pytest.mark.parametrize(("benchmark", "model", "spec", "published"), instances())
def test_nothing_contradicts(benchmark: str, model: str, spec: str, published: str) -> None:
    verdict = certify.check(FOLDER / benchmark / model, FOLDER / benchmark / spec, timeout=5)
    assert verdict.status.value in (published, "unknown", "timeout")


@pytest.mark.parametrize(("benchmark", "model", "spec"), [
    ("acasxu", "onnx/ACASXU_run2a_2_4_batch_2000.onnx", "vnnlib/prop_3.vnnlib"),
    ("rl_benchmarks", "onnx/cartpole.onnx", "vnnlib/cartpole_case_safe_53.vnnlib"),
    ("mnist_fc", "onnx/mnist-net_256x2.onnx", "vnnlib/prop_7_0.03.vnnlib"),
    ("test", "test_unsat.onnx", "test_prop.vnnlib"),
])  # fmt: skip
def test_easy_ones_are_proved(benchmark: str, model: str, spec: str) -> None:
    verdict = certify.check(FOLDER / benchmark / model, FOLDER / benchmark / spec, timeout=120)
    assert verdict.status is Status.UNSAT
