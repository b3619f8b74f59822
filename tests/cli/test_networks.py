"""`certify check --network NAME=FILE`: specifications of several networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundled import CNN, HOLDS, MODEL

SPEC = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1,64]) (declare-output Y float32 [1,10]))
(declare-network g (declare-input U float32 [1,64]) (declare-output V float32 [1,10]))
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Two networks on one image: their first scores differ by more than 0.001 and less than 1000."""
    path = tmp_path / "two.vnnlib"
    bounds = "".join(f"(assert (and (>= X[0,{i}] 0.25) (<= X[0,{i}] 0.5) (== U[0,{i}] X[0,{i}])))\n" for i in range(64))
    path.write_text(SPEC + bounds + "(assert (and (> (- Y[0,0] V[0,0]) -1000.0) (!= Y[0,0] V[0,0])))\n")
    return path


def test_a_file_for_each_network(certify, spec: Path, tmp_path: Path) -> None:
    written, witness = tmp_path / "v.json", tmp_path / "w.txt"
    result = certify(
        "check",
        spec,
        "--network",
        f"f={MODEL}",
        "--network",
        f"g={CNN}",
        "--json",
        written,
        "--counterexample",
        witness,
    )
    assert result.stdout.splitlines()[0] == "sat"
    assert result.exit_code == 1
    data = json.loads(written.read_text())
    assert data["model"] == {"f": MODEL, "g": CNN}
    assert set(data["model_sha256"]) == {"f", "g"}
    headers = [line for line in witness.read_text().splitlines() if line[0].isalpha()]
    assert headers == ["X float32 [1,64]", "Y float32 [1,10]", "U float32 [1,64]", "V float32 [1,10]"]


def test_one_network_may_be_named_too(certify, tmp_path: Path) -> None:
    path = tmp_path / "one.vnnlib"
    box = "".join(f"(assert (and (>= X[0,{i}] 0.25) (<= X[0,{i}] 0.5)))\n" for i in range(64))
    path.write_text(SPEC.rsplit("(declare-network", 1)[0] + box + "(assert (> Y[0,0] 1000.0))\n")
    assert certify("check", path, "--network", f"f={MODEL}").stdout.startswith("unsat\n")


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (["f=a.onnx", "f=b.onnx"], "--network f is given twice"),
        (["f"], "expected NAME=FILE"),
        (["=a.onnx"], "expected NAME=FILE"),
        ([f"f={MODEL}"], "no model is given for network g"),
        ([f"f={MODEL}", f"g={MODEL}", f"h={MODEL}"], "declares no network h"),
        ([f"f={MODEL}", "g=missing.onnx"], "missing.onnx: no such file"),
    ],
)
def test_files_that_do_not_fit(certify, spec: Path, networks: list[str], message: str) -> None:
    options = [word for network in networks for word in ("--network", network)]
    result = certify("check", spec, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr


def test_a_model_beside_the_networks(certify, spec: Path) -> None:
    assert "give the specification alone" in certify("check", MODEL, spec, "--network", f"f={MODEL}").stderr
    assert "give a model and a specification" in certify("check", spec).stderr
    assert "--network f=FILE --network g=FILE" in certify("check", MODEL, spec).stderr
    assert "declares no network f" in certify("check", HOLDS, "--network", f"f={MODEL}").stderr
