"""`certify diff` as a command: tables, JSON, exit codes, the query it writes, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pairs import box_spec, layers, nudged, write
from typer.testing import CliRunner

from certify.cli.main import app


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    net = layers(rng, 2, 6, 2)
    return [str(write(tmp_path / "f.onnx", net)), str(write(tmp_path / "g.onnx", nudged(rng, net, 0.02)))]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    return str(box_spec(tmp_path / "box.vnnlib", np.array([-0.5, 0.0]), np.array([0.5, 0.5]), 2))


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["diff", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_the_table_and_the_json_say_the_same(files: list[str], spec: str, tmp_path: Path) -> None:
    code, text, _ = run(*files, "--region", spec, "--json", tmp_path / "found.json", "--delta", 0.9)
    found = json.loads((tmp_path / "found.json").read_text())
    assert code == found["exit_code"] == 0
    assert f"at most {found['proven']:.9g} (proven)" in text
    assert "compared layer by layer" in text
    assert "box.vnnlib" in text and "where f is 0.9 sure" in text
    (region,) = found["regions"]
    assert found["reached"] == max(region["reached"]) <= found["proven"] == max(region["proven"])
    assert region["top1"]["status"] in ("proved", "refuted", "open")


def test_exit_codes_of_a_limit(files: list[str], spec: str) -> None:
    _, text, _ = run(*files, "--region", spec, "--json", "-", "--no-top1")
    found = json.loads(text)
    assert run(*files, "--region", spec, "--no-top1", "--max", 1.1 * found["proven"])[0] == 0
    code, text, _ = run(*files, "--region", spec, "--no-top1", "--max", 0.5 * found["observed"])
    assert code == 1 and "exceeded" in text
    between = (found["proven"] + found["reached"]) / 2.0
    code, text, _ = run(*files, "--region", spec, "--no-top1", "--max", between, "--timeout", 0)
    assert code in (0, 3) and ("undecided" in text) == (code == 3)


def test_the_query_goes_to_check(files: list[str], spec: str, tmp_path: Path) -> None:
    query = tmp_path / "query.vnnlib"
    assert run(*files, "--region", spec, "--no-top1", "--max", 5.0, "--query", query)[0] == 0
    networks = [word for name, file in zip("fg", files, strict=True) for word in ("--network", f"{name}={file}")]
    result = CliRunner().invoke(app, ["check", str(query), *networks])
    assert result.exit_code == 0
    assert result.stdout.startswith("unsat")


def test_samples_and_radius(files: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(1).uniform(size=(4, 2)))
    data = ["--data", tmp_path / "data.npz", "--eps", 0.1, "--clip", 0, 1, "--no-top1"]
    code, text, _ = run(*files, *data, "--index", 3, "--index", 1)
    assert code == 0 and "sample 3" in text and "sample 1" in text and "sample 0" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either a specification's region or data with a radius"),
        (["--data", "nowhere.npz", "--eps", "0.1"], "nowhere.npz"),
        (["--region", "nowhere.vnnlib"], "nowhere.vnnlib"),
        (["--region", "SPEC", "--delta", "0.4"], "not between 0.5 and 1"),
    ],
)
def test_bad_input_is_one_line(files: list[str], spec: str, options: list[str], message: str) -> None:
    code, _, errors = run(*files, *(spec if word == "SPEC" else word for word in options))
    assert code == 2
    assert message in errors and errors.count("\n") == 1 and errors.startswith("certify: error:")
