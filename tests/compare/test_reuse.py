"""Comparisons in which later models begin where the first one's proofs ended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_files import model, node, save
from shifted_models import SAFE, shifted

from certify.batch.record import Record
from certify.batch.task import Options
from certify.compare.comparison import compare
from certify.compare.reuse import agreed
from certify.errors import InputError


def deep(path: Path, share: float) -> Path:
    """A network of 3 inputs and four hidden layers that is one for all shares, but for so much of every weight."""
    rng = np.random.default_rng(0)
    other = np.random.default_rng(1)
    widths, nodes, arrays, value = [3, 10, 10, 10, 10, 1], [], {}, "x"
    for i, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        weight = rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)
        arrays[f"w{i}"] = (weight * (1.0 + share * other.normal(size=weight.shape))).astype(np.float32)
        arrays[f"b{i}"] = (0.3 * rng.normal(size=n_out)).astype(np.float32)
        last = i == len(widths) - 2
        nodes.append(node("Gemm", f"{value} w{i} b{i}", "y" if last else f"h{i}"))
        if not last:
            nodes.append(node("Relu", f"h{i}", f"r{i}"))
        value = f"r{i}"
    proto = model(nodes, {"x": [1, 3]}, ["y"], arrays)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1]))
    return save(path, proto)


@pytest.fixture
def pair(folder: Path) -> Path:
    """The working folder, with before.onnx, after.onnx and boxes/*.vnnlib: one to search, one that holds at once."""
    deep(folder / "before.onnx", 0.0)
    deep(folder / "after.onnx", 0.01)
    (folder / "boxes").mkdir()
    for name, least in (("search", -0.25), ("easy", -9.0)):
        lines = [f"(declare-const X_{i} Real)" for i in range(3)] + ["(declare-const Y_0 Real)"]
        lines += [f"(assert (>= X_{i} -1.0))\n(assert (<= X_{i} 1.0))" for i in range(3)]
        (folder / "boxes" / f"{name}.vnnlib").write_text("\n".join([*lines, f"(assert (<= Y_0 {least}))\n"]))
    return folder


@pytest.mark.parametrize("warm", [False, True])
def test_what_is_saved_is_shown(certify, pair: Path, warm: bool) -> None:
    how = ("--warm",) if warm else ()
    base = ("compare", "before.onnx", "after.onnx", "--specs", "boxes", *how)
    found = certify(*base, "--reuse", "measured", "--json", "all.json", "--out", "run")
    assert found.exit_code == 0, found.output
    (saving,) = json.loads(Path("all.json").read_text())["savings"]
    assert saving["followed"] == 2
    assert saving["first"]["subproblems"] > 20
    assert saving["after"]["subproblems"] < saving["alone"]["subproblems"]
    assert "Proofs that begin where those of before ended" in found.output
    again = certify(*base, "--reuse", "measured", "--json", "again.json", "--out", "run", "--resume")
    assert again.exit_code == 0, again.output
    assert json.loads(Path("again.json").read_text())["savings"] == [saving]
    found = certify(*base, "--reuse", "on", "--json", "on.json")
    (on,) = json.loads(Path("on.json").read_text())["savings"]
    assert on["alone"] is None and on["after"]["subproblems"] == saving["after"]["subproblems"]
    assert certify(*base, "--json", "off.json").exit_code == 0
    assert json.loads(Path("off.json").read_text())["savings"] == []


def test_what_was_not_proved_is_not_followed(folder: Path) -> None:
    shifted(folder / "same.onnx", SAFE)
    found = compare("unsafe.onnx", ["safe.onnx", "same.onnx"], "specs", warm=True, reuse="measured")
    assert [saving.followed for saving in found.savings] == [0, 0]
    assert [records[0].status for records in found.records.values()] == ["sat", "unsat", "unsat"]


def test_other_backends_follow_nothing(certify, folder: Path) -> None:
    found = certify("compare", "safe.onnx", "open.onnx", "--specs", "specs", "--backend", "highs", "--reuse", "on")
    assert found.exit_code == 2 and "'highs' follows no plan" in found.output
    with pytest.raises(InputError, match="follows no plan"):
        compare("safe.onnx", "open.onnx", "specs", backend="highs", reuse="on")


@pytest.mark.parametrize(("alone", "after", "status"), [
    ("unsat", "unsat", "unsat"),
    ("timeout", "unsat", "unsat"),
    ("sat", "timeout", "sat"),
    ("sat", "unsat", "error"),
    ("unsat", "sat", "error"),
])  # fmt: skip
def test_two_runs_that_contradict_each_other_are_an_error(alone: str, after: str, status: str) -> None:
    record = Record("", "", {"": "m.onnx"}, "s.vnnlib", 1.0, alone)
    assert agreed(record, replace(record, status=after)).status == status


def test_one_model_with_its_plan(certify, pair: Path) -> None:
    spec = "boxes/search.vnnlib"
    first = certify("check", "before.onnx", spec, "--keep-plan", "p.npz", "--no-attack", "-v")
    assert first.exit_code == 0 and "note: plan: " in first.output
    counts = []
    for how in ((), ("--follow", "p.npz")):
        assert certify("check", "after.onnx", spec, "--json", "v.json", "--no-attack", *how).exit_code == 0
        counts.append(json.loads(Path("v.json").read_text())["statistics"]["subproblems"])
    assert counts[1] < counts[0]
    # A recheck goes down the whole tree, so boxes are divided anew.
    assert certify("check", "after.onnx", spec, "--follow", "p.npz", "--recheck").exit_code == 0
    other = certify("check", "after.onnx", "boxes/easy.vnnlib", "--follow", "p.npz")
    assert other.exit_code == 2 and "p.npz: the plan is about another specification" in other.output
    assert certify("check", "after.onnx", spec, "--follow", "none.npz").exit_code == 2
    assert certify("check", "after.onnx", spec, "--follow", "p.npz", "--backend", "highs").exit_code == 2


def test_plans_are_kept_only_of_the_first_model(pair: Path) -> None:
    compare("before.onnx", "after.onnx", "boxes", warm=True, reuse="on", out="run")
    assert [p.parts[1] for p in sorted(Path("run").rglob("*.npz"))] == ["0-before", "0-before"]
    assert Options().plans is False
