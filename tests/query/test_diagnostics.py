"""Every code has an example that raises it, an entry in the table of the documentation, and nothing else does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from onnx_files import model, node, save

from certify.errors import ParseError
from certify.network.read_onnx import load_model
from certify.problem import pose
from certify.query.diagnostics import CODES, error_diagnostic
from certify.query.normal_form import lower
from certify.query.read import read_query

ROOT = Path(__file__).parents[2]

X = "(declare-const X_0 Real)\n"
V1 = X + "(declare-const Y_0 Real)\n(assert (>= X_0 0))\n(assert (<= X_0 1))\n"
HEAD = "(vnnlib-version <2.0>)\n"
N = "(declare-network N (declare-input X float32 [1,2]) (declare-output Y float32 [1,2]))\n"
BOX = "(assert (and (>= X[0,0] 0.0) (<= X[0,0] 1.0) (>= X[0,1] 0.0) (<= X[0,1] 1.0)))\n"
V2 = HEAD + N + BOX
M = "(declare-network M {like} (declare-input U float32 [1,2]) (declare-output V float32 [1,{n}]))\n"

# Code: (specification, line:column of the complaint). What a model is needed for is tried on one of shape [1,2].
EXAMPLES: dict[str, tuple[str | bytes, str]] = {
    "V0101": (b"; caf\xe9", "1:6"),
    "V0102": ("; nothing\n", "1:1"),
    "V0103": (V1 + "(assert (<= Y_0 1)", "5:1"),
    "V0104": (V1 + ")", "5:1"),
    "V0105": (V1 + "(assume (<= Y_0 1))", "5:1"),
    "V0106": (V1 + "(assert " + "(and " * 1000, "5:1009"),
    "V0107": (V1 + "(assert (<= Y_0 1.0.0))", "5:17"),
    "V0108": (V1 + "(assert (<= Y_0 1e999))", "5:17"),
    "V0201": (V1 + "(assert (/ Y_0 2))", "5:10"),
    "V0202": (V1 + "(assert (<= Y_0))", "5:9"),
    "V0203": (V1 + "(assert (and Y_0))", "5:14"),
    "V0204": (V1 + "(assert (<= Y_7 1))", "5:13"),
    "V0205": (V2 + "(assert (<= Y[0,2] 1.0))", "4:13"),
    "V0301": (HEAD + "(declare-network N (declare-input X [1]))", "2:20"),
    "V0302": (HEAD + "(declare-network and", "2:18"),
    "V0303": (X + X, "2:1"),
    "V0304": (X + "(declare-const X_2 Real)", "2:1"),
    "V0305": (X, "1:1"),
    "V0306": (HEAD + "(declare-network N (declare-input X real [0]))", "2:37"),
    "V0307": ("(vnnlib-version <3.0>)", "1:1"),
    "V0308": (V2 + M.format(like="(equal-to K)", n=2), "4:20"),
    "V0401": (HEAD + "(declare-network N (declare-input X number [1]))", "2:37"),
    "V0402": (HEAD + "(declare-network N (declare-input X bool [1]))", "2:37"),
    "V0403": (V2 + M.format(like="(isomorphic-to N)", n=3), "4:70"),
    "V0404": (V2.replace("Y float32 [1,2]", "Y float32 [1,3]"), "2:52"),
    "V0405": (V2.replace("Y float32", "Y int8"), "2:52"),
    "V0406": (V2.replace("X float32 [1,2]", "X float32 [1,2] initialized"), "2:20"),
    "V0501": (V1 + "(assert (>= X_0 2))", "5:9"),
    "V0502": (X + "(declare-const Y_0 Real)(assert (>= X_0 0))", "1:1"),
    "V0503": (V1 + "(assert (<= (* 1e200 1e200 Y_0) 1))", "5:9"),
    "V0504": (V1 + "(assert (<= (* " + "Y_0 " * 17 + ") 1))", "5:13"),
    "V1101": ("\ufeff" + V1, "1:1"),
    "V1102": (V1.replace("\n", "\r\n"), "1:25"),
    "V1103": (V2 + "( assert (<= Y[0,0] 1.0))", "4:1"),
    "V1104": (V1 + "(assert (<= Y_0 +1))", "5:17"),
    "V1201": (N + BOX, "1:1"),
    "V1202": (V2.replace("<2.0>", "2.0"), "1:17"),
    "V1203": (V1 + "(declare-const Y_1 Real)", "5:1"),
    "V1204": (
        HEAD + "(declare-network N (declare-output Y float32 [1,2]) (declare-input X float32 [1,2]))" + BOX,
        "2:53",
    ),
    "V1205": (V1.replace("declare-const Y_0", "declare-fun Y_0 ()"), "2:1"),
    "V1206": (V1 + "(check-sat)", "5:1"),
    "V1207": (V2.replace("float32", "Float32"), "2:37"),
    "V1208": (
        HEAD
        + N.replace("X float32 [1,2]", "X real [0]").replace("float32", "real")
        + "(declare-fun X[0] () Real)(assert (and (>= X[0] 0.0) (<= X[0] 1.0)))",
        "2:37",
    ),
    "V1301": (V2 + "(assert (= Y[0,0] 0.5))", "4:9"),
    "V1302": (V2 + "(assert (<= (0.5 (+ Y[0,0] 1.0))))", "4:13"),
    "V1303": (V2 + "(assert (Y[0,0] < Y[0,1]))", "4:17"),
    "V1304": (V2 + "(assert (or (<= Y[0,0] 0.5)))", "4:9"),
    "V1305": (V2 + "(assert (not (<= Y[0,0] 0.5)))", "4:9"),
    "V1306": (V1 + "(assert (and (<= Y_0 1) (>= Y_0 0)))", "5:9"),
    "V1307": (V1 + "(assert (or (<= Y_0 1)))", "5:13"),
    "V1308": (V1 + "(assert (< Y_0 1))", "5:9"),
    "V1309": (V1 + "(assert (<= (+ Y_0 1) 1))", "5:9"),
    "V1310": (V1 + "(assert (<= X_0 Y_0))", "5:9"),
    "V1311": (V2 + "(assert (<= Y[1] 0.5))", "4:13"),
    "V1401": (V2.replace("Y float32", "Y real"), "2:52"),
    "V1402": (V2 + "(assert (<= 1.0 2.0))", "4:9"),
    "V1403": (V2.replace("Y float32", "Y float64") + "(assert (<= Y[0,0] X[0,0]))", "4:9"),
    "V1404": (V2 + "(assert (<= Y[0,0] 5))", "4:20"),
    "V1405": (HEAD + N.replace("Y float32", "Y uint8") + BOX + "(assert (<= Y[0,0] -1))", "4:20"),
    "V1406": (V2.replace("Y float32", "Y float64"), "2:52"),
}
NEED_A_MODEL = ("V0404", "V0405", "V0406", "V1406")


def test_every_code_has_an_example_and_a_row_in_the_documentation() -> None:
    rows = re.findall(r"^\| (V\d{4}) \| (.*) \|$", (ROOT / "docs" / "specifications.md").read_text(), re.MULTILINE)
    assert dict(rows) == CODES
    assert len(rows) == len(CODES)
    assert set(EXAMPLES) == set(CODES)


def test_every_code_in_the_source_is_listed() -> None:
    used = set()
    for path in (ROOT / "certify").rglob("*.py"):
        if path.name != "diagnostics.py":
            strings = (n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
            used |= {s for s in strings if isinstance(s, str) and re.fullmatch(r"V\d{4}", s)}
    assert used == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_the_example_of_a_code(code: str, tmp_path: Path) -> None:
    text, place = EXAMPLES[code]
    path = tmp_path / "spec.vnnlib"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    network = load_model(save(tmp_path / "m.onnx", model([node("Relu", "x", "y")], {"x": [1, 2]}, ["y"])))

    def read(strict: bool) -> tuple[tuple[str, str, str], ...]:
        """(code, severity, place) of the error, or else of every warning."""
        try:
            query = read_query(path, strict=strict)
            if code in NEED_A_MODEL:
                found = pose(network, query, strict=strict).query
                assert found is not None
                query = found
            else:
                lower(query)
        except ParseError as error:
            assert str(error).startswith(f"{path}:{error.line}:{error.column}: {error.code} ")
            diagnostics = (error_diagnostic(error),)
            assert str(diagnostics[0]) == str(error)
        else:
            diagnostics = query.warnings
        return tuple((found.code, found.severity, f"{found.line}:{found.column}") for found in diagnostics)

    if code.startswith("V0"):
        assert read(strict=False) == ((code, "error", place),)
    else:
        assert (code, "warning", place) in read(strict=False)
        with_errors = read(strict=True)
        assert len(with_errors) == 1
        assert with_errors[0][1] == "error"
        if len(read(strict=False)) == 1:
            assert with_errors == ((code, "error", place),)
