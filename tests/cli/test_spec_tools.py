"""`certify spec lint`, `convert` and `replay`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundled import FAILS, HOLDS, MODEL

from certify.query.read import parse_query

SPEC = """(vnnlib-version <2.0>)
(declare-network N (declare-input X {type} [2]) (declare-output Y real [1]))
(assert (and (>= X[0] 0.0) (<= X[0] 1.0) (>= X[1] 0.0) (<= X[1] 1.0)))
(assert (<= Y[0] X[0]))
"""


def test_lint(certify, tmp_path: Path) -> None:
    path = tmp_path / "spec.vnnlib"
    path.write_text(SPEC.format(type="real"))
    result = certify("spec", "lint", path)
    assert result.exit_code == 0
    assert result.stdout == f"{path}: VNN-LIB 2.0, logic NH-SNET-SIO-MNC-LIN-REAL\n"
    path.write_text(SPEC.format(type="Real"))
    result = certify("spec", "lint", path)
    assert result.exit_code == 1
    assert f"{path}:2:37: V1207 'Real' written for 'real'" in result.stdout
    path.write_text(SPEC.format(type="number"))
    result = certify("spec", "lint", path)
    assert result.exit_code == 2
    assert f"{path}:2:37: V0401 unknown element type 'number'" in result.stderr


def test_lint_for_tools(certify, tmp_path: Path) -> None:
    path = tmp_path / "spec.vnnlib"
    path.write_text(SPEC.format(type="Real"))
    result = certify("spec", "lint", path, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["version"], report["logic"]) == ("2.0", "NH-SNET-SIO-MNC-LIN-REAL")
    (found,) = report["diagnostics"]
    assert (found["code"], found["severity"], found["line"], found["column"]) == ("V1207", "warning", 2, 37)
    path.write_text("(assert (<= Y_0 1))")
    result = certify("spec", "lint", path, "--json")
    assert result.exit_code == 2
    (found,) = json.loads(result.stdout)["diagnostics"]
    assert (found["code"], found["severity"], found["line"], found["column"]) == ("V0204", "error", 1, 13)
    assert found["hint"] == "declare it before its first use"


def test_convert(certify, tmp_path: Path) -> None:
    result = certify("spec", "convert", HOLDS)
    assert parse_query(result.stdout, strict=True).version == "2.0"
    assert certify("spec", "convert", HOLDS, "--out", tmp_path / "two.vnnlib").stdout == ""
    back = certify("spec", "convert", tmp_path / "two.vnnlib", "--version", "1.0")
    assert parse_query(back.stdout, strict=True).version == "1.0"
    (tmp_path / "spec.vnnlib").write_text(SPEC.format(type="real"))
    assert "no common way" in certify("spec", "convert", tmp_path / "spec.vnnlib", "--version", "1.0").stderr


def test_replay(certify, tmp_path: Path) -> None:
    two, first, second = tmp_path / "two.vnnlib", tmp_path / "first.txt", tmp_path / "second.txt"
    certify("spec", "convert", FAILS, "--out", two)
    certify("check", MODEL, FAILS, "--counterexample", first)
    certify("check", "--network", f"N={MODEL}", two, "--counterexample", second)
    assert second.read_text().startswith("X real [64]\n")
    for spec, assignment in ((FAILS, first), (two, second), (two, first)):
        result = certify("spec", "replay", MODEL, spec, assignment)
        assert result.exit_code == 0, result.output
        assert "satisfied: this is a counterexample" in result.stdout
    result = certify("spec", "replay", HOLDS, first, "--network", f"={MODEL}")
    assert result.exit_code == 2
    result = certify("spec", "replay", MODEL, HOLDS, first)
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("X real [2]\n0.5\n", "1 values for X, which has 2 elements"),
        ("X real [2]\n0.5\nnan\n", "value 3 is 'nan'"),
        ("X real [1,2]\n0.5\n0.5\n", "X has the shape"),
        ("Z real [2]\n0.5\n", "Z is not declared"),
        ("X real [2]\n0.5\n0.5\nX real [2]\n0.5\n0.5\n", "X is given twice"),
        ("0.5\n", "is no header"),
        ("((X_0 0.5)(X_0 0.5))", "X_0 is given twice"),
        ("((X_0 0.5)(Y_0 0.5))", "the inputs X_0 ... X_1"),
    ],
)
def test_assignments_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    from certify.errors import InputError
    from certify.witness.read_assignment import read_assignment

    path = tmp_path / "assignment.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_assignment(path, parse_query(SPEC.format(type="real")))
    assert message in str(caught.value)
