"""`certify inspect`, `bounds`, `backends`, and the two commands of the README."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bundled import CNN, HOLDS, MODEL, ROOT

import certify as package


def test_version(certify) -> None:
    assert certify("--version").stdout.strip() == f"certify {package.__version__}"


def test_inspect_a_model(certify) -> None:
    text = certify("inspect", CNN).stdout
    assert "opset 13" in text
    assert re.search(r"2 x Conv +linear", text)
    assert re.search(r"2 x Relu +triangle", text)
    assert "image [batch, 1, 8, 8]" in text


def test_inspect_a_spec(certify) -> None:
    result = certify("inspect", MODEL, HOLDS, "-v")
    assert result.exit_code == 0
    assert "region 0: 64 of 64 inputs vary" in result.stdout


@pytest.mark.parametrize("method", ["ibp", "crown", "alpha-crown"])
def test_bounds_table(certify, method: str) -> None:
    result = certify("bounds", MODEL, HOLDS, "--method", method)
    assert result.exit_code == 0
    assert f"region 0, {method}" in result.stdout
    assert "Y_9" in result.stdout


def test_bounds_files_agree(certify, tmp_path: Path) -> None:
    npz, js = tmp_path / "b.npz", tmp_path / "b.json"
    assert certify("bounds", MODEL, HOLDS, "--npz", npz, "--json", js).exit_code == 0
    arrays, data = np.load(npz), json.loads(js.read_text())[0]
    np.testing.assert_array_equal(arrays["0/output/lower"], data["outputs"]["lower"])
    assert (arrays["0/output/lower"] <= arrays["0/output/upper"]).all()
    assert len([name for name in arrays if name.startswith("0/hidden/")]) == 4


def test_methods_tighten(certify, tmp_path: Path) -> None:
    widths = []
    for method in ("ibp", "crown", "alpha-crown"):
        path = tmp_path / f"{method}.json"
        certify("bounds", MODEL, HOLDS, "--method", method, "--json", path)
        outputs = json.loads(path.read_text())[0]["outputs"]
        widths.append(np.subtract(outputs["upper"], outputs["lower"]))
    assert (widths[0] >= widths[1] - 1e-9).all()
    assert widths[1].mean() > widths[2].mean()


def test_backends(certify) -> None:
    text = certify("backends").stdout
    assert "native" in text
    assert "auto-lirpa" in text
    assert "installed" in text


def test_public_names() -> None:
    for name in package.__all__:
        assert callable(getattr(package, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_python_interface() -> None:
    verdict = package.check(MODEL, HOLDS, timeout=60)
    assert verdict.status.value == "unsat"
    assert verdict.bound > 0
    assert package.load_model(MODEL).network.n_outputs == 10


def test_the_readme_names_commands_that_exist(certify) -> None:
    text = (ROOT / "README.md").read_text()
    for command in set(re.findall(r"^certify (\w+)", text, flags=re.MULTILINE)):
        assert certify(command, "--help").exit_code == 0, command
    targets = set(re.findall(r"^make (\w+)", text, flags=re.MULTILINE))
    assert targets == {"demo", "test"}
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_the_demo_tells_the_truth(certify) -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"certify check (\S+) (\S+) (.*)--expect (\w+)", makefile)
    assert len(commands) == 3
    for model, spec, _, word in commands:
        assert certify("check", ROOT / model, ROOT / spec).stdout.splitlines()[0] == word
