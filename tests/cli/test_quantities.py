"""`certify radius`, `latent`, `capability` and `monitor` on a bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundled import MODEL

DATA = ("--data", "digits:test", "--clip", "0", "1", "--timeout", "0", "--count", "3")


def test_radius(certify, tmp_path: Path) -> None:
    target, plot = tmp_path / "radius.json", tmp_path / "curve.png"
    result = certify("radius", MODEL, *DATA, "--norm", "2", "--json", target, "--plot", plot)
    assert result.exit_code == 0, result.output
    assert "median: certified" in result.stdout
    data = json.loads(target.read_text())
    assert len(data["samples"]) == 3
    assert all(0 <= each["lower"] <= each["upper"] for each in data["samples"])
    assert plot.stat().st_size > 1000


def test_latent(certify, tmp_path: Path) -> None:
    arguments = ("--layer", "4_relu", "--region-eps", "0.001", "--out", tmp_path / "q", "--json", "-")
    result = certify("latent", MODEL, *DATA, *arguments)
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["rectified"]
    assert data["samples"][0]["label_fixed_on_region"]
    assert (tmp_path / "q" / "tail.onnx").exists()


@pytest.mark.parametrize("command", [("radius",), ("latent", "--layer", "4_relu"), ("trigger", "--patch", "2x2")])
def test_a_label_that_the_model_does_not_have_is_bad_input(certify, tmp_path: Path, command: tuple[str, ...]) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x=np.zeros((2, 1, 8, 8)), y=[3, 10])
    result = certify(command[0], MODEL, "--data", data, *command[1:])
    assert result.exit_code == 2
    assert f"{data}: there is a label 10, {MODEL} has the classes 0 to 9" in result.stderr


def test_capability(certify) -> None:
    result = certify("capability", MODEL, "--removed", "5-9", *DATA, "--eps", "0.01", "--original", MODEL)
    assert result.exit_code == 0, result.output
    assert "never answers with a removed class: proven" in result.stdout
    assert "proven equal to the original: 1.000" in result.stdout


def test_monitor(certify, tmp_path: Path) -> None:
    out = tmp_path / "monitor.onnx"
    result = certify("monitor", MODEL, MODEL, *DATA, "--tau", "0.5", "--eps", "0.001", "--out", out)
    assert result.exit_code == 0, result.output
    assert "flagged: never 1.000" in result.stdout
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("radius", "missing.onnx", *DATA), "no such file"),
        (("radius", MODEL, "--data", "missing.npz"), "no such file"),
        (("radius", MODEL, *DATA, "--plot", f"{MODEL}/x.png"), "cannot be written"),
        (("latent", MODEL, *DATA, "--layer", "nothing"), "no node computes a tensor 'nothing'"),
        (("capability", MODEL, *DATA, "--removed", "x"), "expected class numbers"),
        (("capability", MODEL, *DATA, "--removed", "5-12"), "the model has the classes 0 to 9"),
        (("monitor", MODEL, MODEL, *DATA, "--together", "relu"), "expected a tensor and two elements"),
    ],
)
def test_bad_input_is_one_line(certify, arguments: tuple, message: str) -> None:
    result = certify(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.stderr.strip().splitlines()) == 1
