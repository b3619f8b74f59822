"""The three scripts under a harness that behaves as the organisers' one."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundled import CNN, FAILS, HARD, HOLDS, MODEL, ROOT
from organisers import Harness, load, read_counterexample

from certify.witness.grade import grade

SCRIPTS = ROOT / "vnncomp"
PAIR = """(vnnlib-version <2.0>)
(declare-network f (declare-input A real [1,64]) (declare-output P real [1,10]))
(declare-network g (equal-to f) (declare-input B real [1,64]) (declare-output Q real [1,10]))
"""


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """The benchmark repository with an empty category `digits`, and a certify that needs no installation."""
    command = tmp_path / "certify"
    command.write_text(f'#!/bin/bash\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m certify "$@"\n')
    command.chmod(0o755)
    for category in ("digits", "test"):
        for kind in ("onnx", "vnnlib"):
            (tmp_path / "benchmarks" / category / "2.0" / kind).mkdir(parents=True)
    base = tmp_path / "benchmarks"
    shutil.copy(MODEL, base / "test" / "2.0" / "onnx" / "test_nano.onnx")
    shutil.copy(HOLDS, base / "test" / "2.0" / "vnnlib" / "test_nano.vnnlib")
    return Harness(SCRIPTS, tmp_path, {"CERTIFY": str(command)})


def fill(harness: Harness, rows: list[tuple[str, str, str]], **files: str) -> None:
    """Write instances.csv (with CRLF) and files: name -> path to copy."""
    base = harness.folder / "benchmarks" / "digits" / "2.0"
    with (base / "instances.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows(rows)
    for name, source in files.items():
        ending = "onnx" if source.endswith(".onnx") else "vnnlib"
        shutil.copy(source, base / ending / f"{name}.{ending}")


def results(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [row[4] for row in csv.reader(file)]


def test_verdicts_and_counterexamples(harness: Harness):
    rows = [("onnx/net.onnx", "vnnlib/holds.vnnlib", "60"), ("./onnx/net.onnx", "./vnnlib/fails.vnnlib", "60.0")]
    fill(harness, rows, net=MODEL, holds=HOLDS, fails=FAILS)
    out = harness.run_category("digits")
    assert results(out) == ["unsat", "sat", "unsat"]
    assert [row[2] for row in load(out)["digits"]] == ["holds", "violated"]
    witness = harness.folder / "counterexamples" / "digits" / "net_fails.counterexample"
    x, y = read_counterexample(witness.read_text())
    assert (len(x), len(y)) == (64, 10)
    assert {grade(MODEL, FAILS, witness, year) for year in (2022, 2023, 2025, 2026)} == {"correct"}
    assert not (harness.folder / "counterexamples" / "digits" / "net_holds.counterexample").exists()
    assert sorted(p.name for p in harness.folder.glob("out*")) == ["out.csv", "out.txt"]


def test_several_networks_and_then_one(harness: Harness):
    fixed = "".join(f"(assert (== A[0,{i}] 0.5))\n(assert (== B[0,{i}] 0.5))\n" for i in range(64))
    literal = "[('f', 'onnx/net.onnx'), ('g', 'onnx/net.onnx')]"
    base = harness.folder / "benchmarks" / "digits" / "2.0"
    (base / "vnnlib" / "same.vnnlib").write_text(PAIR + fixed + "(assert (> P[0,0] (+ Q[0,0] 1.0)))\n")
    (base / "vnnlib" / "both.vnnlib").write_text(PAIR + fixed + "(assert (>= (+ P[0,0] 1.0) Q[0,0]))\n")
    fill(harness, [(literal, "vnnlib/same.vnnlib", "60"), (literal, "vnnlib/both.vnnlib", "60")], net=MODEL)
    # The last is test_nano, one network by its path in the category of pairs.
    assert results(harness.run_category("digits")) == ["unsat", "sat", "unsat"]
    witness = harness.folder / "counterexamples" / "digits" / "f_g_both.counterexample"
    files = {"f": MODEL, "g": MODEL}
    assert grade(files, base / "vnnlib" / "both.vnnlib", witness, 2026) == "correct"


def test_the_deadline_is_kept(harness: Harness):
    fill(harness, [("onnx/net.onnx", "vnnlib/hard.vnnlib", "1")], net=CNN, hard=HARD)
    out = harness.run_category("digits")
    assert results(out) == ["timeout", "unsat"]
    assert load(out)["digits"][0][3] < 30.0


def test_what_cannot_be_read_is_an_error_in_the_file(harness: Harness):
    fill(harness, [("onnx/absent.onnx", "vnnlib/holds.vnnlib", "5")], holds=HOLDS)
    assert results(harness.run_category("digits"))[0] == "error"


def test_a_tool_that_hangs_is_killed(harness: Harness, tmp_path: Path):
    (tmp_path / "certify").write_text("#!/bin/bash\nexec sleep 600\n")
    fill(harness, [("onnx/net.onnx", "vnnlib/holds.vnnlib", "0.1")], net=MODEL, holds=HOLDS)
    harness.grace = 0.4
    base = "./benchmarks/digits/2.0"
    files = (f"{base}/onnx/net.onnx", f"{base}/vnnlib/holds.vnnlib")
    assert harness.run_instance("digits", *files, "0.1", tmp_path / "out.csv", None) == "run_instance_timeout"


@pytest.mark.parametrize("script", ["install_tool.sh", "prepare_instance.sh", "run_instance.sh"])
def test_the_scripts_are_thin(script: str):
    text = (SCRIPTS / script).read_text()
    assert len(text.splitlines()) < 20
    # The category is the second argument: nobody looks at it.
    assert "$2" not in text and "${2" not in text
    assert subprocess.run(["bash", "-n", SCRIPTS / script]).returncode == 0
    other = subprocess.run([SCRIPTS / script, "v2"], capture_output=True, text=True)
    assert other.returncode == 1 and "expected version v1" in other.stderr
