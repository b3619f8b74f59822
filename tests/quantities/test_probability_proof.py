"""Certificates of probabilities: which laws have one, what the checker says, and what becomes of bounds it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_models import dense_file, random_layers
from typer.testing import CliRunner

import certify
from certify.cli.main import app
from certify.errors import CertificateError, InputError
from certify.quantities import probability_proof
from certify.quantities.law import Discrete, Normal, Uniform
from certify.quantities.mass import Product

UNIT = (0.0, 1.0)


def spec(folder: Path, sides: list[tuple[float, float]], condition: str = "(<= Y_0 0.2)", outputs: int = 2) -> Path:
    names = [f"X_{i}" for i in range(len(sides))] + [f"Y_{i}" for i in range(outputs)]
    lines = [f"(declare-const {name} Real)" for name in names]
    lines += [f"(assert (>= X_{i} {low!r}))\n(assert (<= X_{i} {high!r}))" for i, (low, high) in enumerate(sides)]
    path = folder / "spec.vnnlib"
    path.write_text("\n".join([*lines, f"(assert {condition})"]) + "\n")
    return path


def network(folder: Path, inputs: int = 2) -> Path:
    path = dense_file(folder / "net.onnx", random_layers(0, (inputs, 6, 2)))
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(path)), path)
    return path


def test_what_is_printed_can_be_rechecked_by_a_stranger(tmp_path: Path) -> None:
    model, asked, proof = network(tmp_path), spec(tmp_path, [UNIT, UNIT]), tmp_path / "p.cert"
    given = ["probability", str(model), str(asked), "--gap", "0.02", "--certificate", str(proof), "--recheck"]
    done = CliRunner().invoke(app, [*given, "--json", str(tmp_path / "found.json")])
    assert done.exit_code == 0, done.output
    assert "the checker accepted it" in done.output
    found = json.loads((tmp_path / "found.json").read_text())
    claim, certified = found["certificate"], found["certified"]
    assert 0.0 < claim["lower"] <= certified["lower"] <= certified["upper"] <= claim["upper"] < 1.0
    assert claim["upper"] - claim["lower"] < 0.021 and claim["size"] == proof.stat().st_size
    command = [sys.executable, "-m", "certify.checker", str(model), str(asked), str(proof)]
    stranger = subprocess.run(command, capture_output=True, text=True)
    assert stranger.returncode == 4, stranger.stdout
    word, said = stranger.stdout.splitlines()
    assert word == "bounded"
    assert said.startswith(f"P[unsafe] is in [{claim['lower']!r}, {claim['upper']!r}] under the uniform law")


def test_a_law_that_says_the_same_has_a_certificate_too(tmp_path: Path) -> None:
    """Two inputs that vary and one that is fixed, as a law of their own."""
    model, asked = network(tmp_path, 3), spec(tmp_path, [UNIT, (0.1, 0.1), (-1.0, 0.5)])
    law = [Product((Uniform(0.0, 1.0), Discrete((0.1,), (1.0,)), Uniform(-1.0, 0.5)))]
    found = certify.probability(model, asked, law=law, gap=0.05, samples=0, recheck=True)
    assert found.proof is not None and found.proof.file is None and found.proof.checked is not None
    assert found.proof.lower <= found.certified.lower < found.certified.upper <= found.proof.upper


@pytest.mark.parametrize(("condition", "exact"), [("(<= Y_0 -99.0)", 0.0), ("(<= Y_0 99.0)", 1.0)])
def test_certain_ends_are_claimed_as_such(condition: str, exact: float, tmp_path: Path) -> None:
    model, asked = network(tmp_path), spec(tmp_path, [UNIT, UNIT], condition)
    found = certify.probability(model, asked, samples=0, recheck=True)
    assert found.proof is not None
    assert found.proof.lower == pytest.approx(exact, abs=1e-11) and found.proof.upper == exact


OTHER_LAWS = [
    ("normal", "uniform on the specification's region"),
    ([Product((Uniform(0.0, 1.0), Uniform(0.0, 0.5)))], "uniform on the specification's region"),
    ([Product((Uniform(0.0, 1.0), Normal(0.5, 0.2, 0.0, 1.0)))], "uniform on the specification's region"),
    ([Product((Uniform(0.0, 1.0), Discrete((0.0, 1.0), (1.0, 1.0))))], "uniform on the specification's region"),
    ([Product((Uniform(0.0, 1.0),) * 2, 0.5)] * 2, "uniform on the specification's region"),
]


@pytest.mark.parametrize(("law", "said"), OTHER_LAWS)
def test_other_laws_are_refused_before_anything_is_computed(
    law: str | list[Product], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certify.quantities.probability.Partition", None)
    model, asked = network(tmp_path), spec(tmp_path, [UNIT, UNIT])
    with pytest.raises(InputError, match=said):
        certify.probability(model, asked, law=law, certificate=tmp_path / "p.cert")
    assert not (tmp_path / "p.cert").exists()


def test_many_inputs_open_and_many_regions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="9 inputs vary"):
        certify.probability(network(tmp_path, 9), spec(tmp_path, [UNIT] * 9), recheck=True)
    with pytest.raises(InputError, match="closed boxes"):
        certify.probability(network(tmp_path), spec(tmp_path, [UNIT, UNIT], "(< X_0 1.0)"), recheck=True)
    union = "(or (and (<= X_0 0.5) (<= Y_0 0.0)) (and (>= X_0 0.75) (<= Y_1 0.0)))"
    law = [Product((Uniform(0.0, 1.0),) * 2)]
    with pytest.raises(InputError, match="has 2"):
        certify.probability(network(tmp_path), spec(tmp_path, [UNIT, UNIT], union), law=law, recheck=True)


@pytest.mark.parametrize("word", ["accepted", "rejected", "malformed", "unsupported", "timeout", "failed"])
def test_bounds_that_are_not_accepted_are_not_given(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`accepted` is what the checker says of verdicts, so that is not enough either."""
    monkeypatch.setattr(probability_proof, "rechecked", lambda *_: (word, "for no reason", 0.0))
    with pytest.raises(CertificateError, match=word):
        certify.probability(network(tmp_path), spec(tmp_path, [UNIT, UNIT]), samples=0, gap=0.2, recheck=True)


def test_bounds_that_claim_too_much_are_seen_by_the_checker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real checker, asked about a search with a seeded fault: volumes that count more than there is."""
    plain = Product.positive
    monkeypatch.setattr(Product, "positive", lambda self, *a: np.minimum(1.2 * plain(self, *a) + 0.1 * a[-1], a[-1]))
    with pytest.raises(CertificateError, match="rejected: the claim"):
        certify.probability(network(tmp_path), spec(tmp_path, [UNIT, UNIT]), samples=0, recheck=True)
