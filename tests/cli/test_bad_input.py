"""What users get wrong: one line that names the file, line or node and what to do, exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundled import HOLDS, MODEL
from onnx_files import model, node, save

SPEC = """(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (>= X_0 0))
(assert (<= X_0 1))
(assert (>= X_1 0))
(assert (<= X_1 1))
(assert (<= Y_0 0))
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """y = relu(x w)."""
    nodes = [node("MatMul", "x w", "z"), node("Relu", "z", "y", "bend")]
    return save(tmp_path / "m.onnx", model(nodes, {"x": [1, 2]}, ["y"], {"w": np.ones((2, 1), np.float32)}))


def bad_models(folder: Path) -> dict[str, tuple[Path, str]]:
    weights = {"w": np.ones((2, 1), np.float32)}
    broken = {"w": np.array([[1.0], [np.nan]], np.float32)}
    whole = save(folder / "whole.onnx", model([node("MatMul", "x w", "y")], {"x": [1, 2]}, ["y"], weights)).read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "text.onnx").write_text("this is no model")
    (folder / "cut.onnx.gz").write_bytes(b"\x1f\x8b\x08\x00cut")
    nodes = [node("MatMul", "x w", "z"), node("Det", "z", "y", "the_node")]
    return {
        "missing": (folder / "none.onnx", "no such file"),
        "truncated": (folder / "cut.onnx", "cut.onnx"),
        "empty": (folder / "empty.onnx", "empty"),
        "text": (folder / "text.onnx", "text.onnx"),
        "gzip": (folder / "cut.onnx.gz", "gzip"),
        "folder": (folder, "cannot be read"),
        "nan": (save(folder / "nan.onnx", model([node("MatMul", "x w", "y")], {"x": [1, 2]}, ["y"], broken)), "'w'"),
        "operator": (save(folder / "op.onnx", model(nodes, {"x": [1, 2]}, ["y"], weights)), "the_node"),
    }


@pytest.mark.parametrize("name", ["missing", "truncated", "empty", "text", "gzip", "folder", "nan", "operator"])
def test_bad_model(certify, tmp_path: Path, name: str) -> None:
    path, says = bad_models(tmp_path)[name]
    spec = tmp_path / "s.vnnlib"
    spec.write_text(SPEC)
    check_error(certify("check", path, spec), says)
    check_error(certify("inspect", path), says, table=True)


BAD_SPECS = {
    "empty": ("", "empty"),
    "parenthesis": (SPEC.replace("(assert (<= Y_0 0))", "(assert (<= Y_0 0)"), ":8:1:"),
    "closing": (SPEC + ")", ":9:1:"),
    "variable": (SPEC.replace("Y_0 0", "Z_0 0"), "Z_0"),
    "index": (SPEC.replace("(<= Y_0 0)", "(<= Y_7 0)"), "Y_7"),
    "unbounded": (SPEC.replace("(assert (<= X_1 1))\n", ""), "X_1"),
    "crossed": (SPEC.replace("(<= X_1 1)", "(<= X_1 -1)"), "X_1"),
    "number": (SPEC.replace("X_1 1", "X_1 1.2.3"), ":7:"),
    "nan": (SPEC.replace("X_1 1", "X_1 nan"), ":7:"),
    "infinite": (SPEC.replace("X_1 1", "X_1 1e999"), ":7:"),
    "word": (SPEC + "(frobnicate)", ":9:"),
    "deep": (SPEC + "(assert " + "(and " * 100_000 + "(<= Y_0 0)" + ")" * 100_001, "nested"),
    "other model": (SPEC.replace("(assert (>= X_0 0))", "(declare-const Y_1 Real)(assert (>= X_0 0))"), "2 outputs"),
    "other input": (SPEC.replace("(declare-const X_1 Real)", "(declare-const X_1 Real)\n(declare-const X_2 Real)")
                    + "(assert (<= X_2 1))(assert (>= X_2 0))", "3 inputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SPECS)
def test_bad_spec(certify, tmp_path: Path, small: Path, name: str) -> None:
    text, says = BAD_SPECS[name]
    path = tmp_path / "bad.vnnlib"
    path.write_text(text)
    result = certify("check", small, path)
    check_error(result, says)
    assert "bad.vnnlib" in result.stderr


def test_what_an_error_quotes_cannot_steer_the_terminal(certify, tmp_path: Path, small: Path) -> None:
    path = tmp_path / "bad.vnnlib"
    path.write_bytes(b"\0\x1b[31mred\x7f" + b"x" * 10_000)
    result = certify("check", small, path)
    check_error(result, "begins no statement")
    assert result.stderr.strip().isprintable()
    assert len(result.stderr) < 300 + len(str(path))


def test_bundled_spec_for_another_model(certify, small: Path) -> None:
    check_error(certify("check", small, HOLDS), "64 inputs")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", MODEL],
        ["check", MODEL, HOLDS, "--timeout", "soon"],
        ["check", MODEL, HOLDS, "--backend", "magic"],
        ["check", MODEL, HOLDS, "--device", "abacus"],
        ["check", MODEL, HOLDS, "--json", f"{MODEL}/file.json"],
        ["bounds", MODEL, HOLDS, "--method", "guess"],
        ["bounds", MODEL, HOLDS, "--npz", f"{MODEL}/file.npz"],
        ["frobnicate"],
    ],
)
def test_bad_usage(certify, arguments: list[str]) -> None:
    result = certify(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_an_internal_error_has_its_own_code(certify, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("seeded")

    monkeypatch.setattr("certify.api.pose", broken)
    result = certify("check", MODEL, HOLDS)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert "internal error: ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr


def check_error(result, says: str, table: bool = False) -> None:
    """table: what could be listed before the error may stand on stdout."""
    assert result.exit_code == 2, result.output
    assert table or result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("certify: error: ")
    assert says in lines[0]
