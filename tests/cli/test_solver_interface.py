"""`certify verify` and `certify supports`: what the VNN-LIB standard asks of a solver's command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundled import CNN, MODEL

BOX = "".join(f"(assert (and (>= X[0,{i}] 0.25) (<= X[0,{i}] 0.5)))\n" for i in range(64))
HEAD = (
    "(vnnlib-version <2.0>)\n(declare-network f (declare-input X real [1,64]) (declare-output Y real [1,10]))\n" + BOX
)


@pytest.fixture
def query(tmp_path: Path):
    """A file that asserts this about the digits' scores."""

    def write(assertion: str) -> Path:
        path = tmp_path / "query.vnnlib"
        path.write_text(HEAD + f"(assert {assertion})\n")
        return path

    return write


def test_sat_comes_with_an_assignment(certify, query) -> None:
    result = certify("verify", query("(>= Y[0,0] -1000.0)"), "--network", f"f={MODEL}", "--timeout", "60")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["sat", "X real [1,64]"]
    assert lines[66] == "Y real [1,10]"
    assert len(lines) == 1 + 1 + 64 + 1 + 10
    assert result.exit_code == 0


def test_unsat(certify, query) -> None:
    result = certify("verify", query("(>= Y[0,0] 1000.0)"), "--network", f"f={MODEL}")
    assert result.stdout == "unsat\n"
    assert result.exit_code == 0


def test_timed_out(process, query) -> None:
    result = process("verify", query("(== Y[0,0] Y[0,1])"), "--network", f"f={CNN}", "--timeout", "0")
    assert result.stdout == "timed-out\n"
    assert result.returncode == 0


def test_errors_leave_standard_output_empty(certify, query) -> None:
    for options in (["--network", "g=x.onnx"], ["--network", f"f={MODEL}", "--network", f"g={MODEL}"]):
        result = certify("verify", query("(>= Y[0,0] 1000.0)"), *options)
        assert result.stdout == ""
        assert result.exit_code == 2


@pytest.mark.parametrize(
    ("capability", "answer"),
    [
        ("--vnnlib-versions", ["2.0", "2.0"]),
        ("--hidden-node-theories", ["H"]),
        ("--multiple-network-theories", ["MNET"]),
        ("--multiple-node-comparison-theories", ["MNC"]),
        ("--multiple-input-output-theories", ["MIO"]),
        ("--arithmetic-complexity-theories", ["POLY"]),
        ("--optimised-disjunctive-reasoning", ["true"]),
        ("--serialise-assignments", ["false"]),
        ("--onnx-element-types", ["real"]),
    ],
)
def test_supports(certify, capability: str, answer: list[str]) -> None:
    assert certify("supports", capability).stdout.splitlines() == answer


def test_supports_lists(certify) -> None:
    oldest, newest = map(int, certify("supports", "--onnx-opset-versions").stdout.split())
    assert oldest < newest
    assert {"Relu", "Gemm", "Conv"} <= set(certify("supports", "--onnx-operators").stdout.split())
    assert len(certify("supports").stdout.split()) == 11
    assert certify("supports", "--nothing").exit_code == 2
    assert certify("--name").stdout == "certify\n"
