"""Each construct of VNN-LIB 2.0 from end to end: read, decided, its witness replayed, or refused clearly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from onnx_files import model, node, save

HEAD = "(vnnlib-version <2.0>)\n"
ONE = "(declare-network f (declare-input X {x} [2]) {hidden} (declare-output Y {y} [2]))\n"
TWO = ONE + "(declare-network g {like} (declare-input U {u} [2]) (declare-output V {u} [2]))\n"
BOX = "(assert (and (>= X[0] -1.0) (<= X[0] 1.0) (>= X[1] -1.0) (<= X[1] 1.0)))\n"
TIED = "(assert (== X[0] U[0]))\n(assert (== U[1] X[1]))\n"
HIDDEN = '(declare-hidden H {x} [1,4] "act")'

TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16}


def net(path: Path, dtype: str = "float32", change: float = 0.0) -> Path:
    """[1, 2] -> 4 rectifiers ("act") -> [1, 2], the second matrix changed by a little."""
    rng = np.random.default_rng(0)
    weights = {"a": rng.normal(size=(2, 4)), "b": rng.normal(size=4), "c": rng.normal(size=(4, 2)) + change}
    nodes = [node("Gemm", "x a b", "pre"), node("Relu", "pre", "act"), node("MatMul", "act c", "y")]
    arrays = {name: array.astype(dtype) for name, array in weights.items()}
    return save(path, model(nodes, {"x": [1, 2]}, ["y"], arrays, dtype=TYPES[dtype]))


def text(assertion: str, *, two: bool = False, tied: bool = True, **names: str) -> str:
    given = {"x": "real", "y": "real", "u": "real", "like": "", "hidden": ""} | names
    given["hidden"] = given["hidden"].format(**given)
    declared = (TWO if two else ONE).format(**given)
    return HEAD + declared + BOX + (TIED if two and tied else "") + f"(assert {assertion})\n"


APART = "(or (> (- Y[0] V[0]) {0}) (> (- V[0] Y[0]) {0}))"
CASES = {
    "strict": (text("(> Y[0] (+ Y[1] -0.5))"), "sat"),
    "not equal": (text("(!= Y[0] 0.25)"), "sat"),
    "nested": (
        text("(or (and (> Y[0] 99.0) (< Y[1] 0.0)) (and (<= Y[0] 9.0) (or (> Y[1] -9.0) (< Y[0] -9.0))))"),
        "sat",
    ),
    "input and output": (text("(<= Y[0] (+ X[0] (* 2.0 X[1]) 50.0))"), "sat"),
    "polynomial": (text("(>= (* Y[0] Y[1] X[0]) -99.0)"), "sat"),
    "polynomial out of reach": (text("(<= (+ (* Y[0] Y[0]) (* X[0] X[0])) -0.1)"), "unsat"),
    "hidden": (text("(>= (+ H[0,0] H[0,3]) 0.01)", hidden=HIDDEN), "sat"),
    "hidden and output": (text("(>= Y[0] (+ H[0,0] -50.0))", hidden=HIDDEN), "sat"),
    "hidden out of reach": (text("(<= H[0,1] -0.01)", hidden=HIDDEN), "unsat"),
    "equal-to": (text("(!= Y[0] V[1])", two=True, like="(equal-to f)"), "sat"),
    "equal-to, no difference": (text(APART.format(0.001), two=True, like="(equal-to f)"), "unsat"),
    "isomorphic-to": (text(APART.format(0.001), two=True, like="(isomorphic-to f)"), "sat"),
    "isomorphic-to, close": (text(APART.format(9.5), two=True, like="(isomorphic-to f)"), "unsat"),
    "unrelated": (text(APART.format(0.001), two=True), "sat"),
    "float64": (text("(> Y[0] -99.0)", x="float64", y="float64"), "sat"),
    "types of isomorphic networks": (
        text(APART.format(0.001), two=True, like="(isomorphic-to f)", x="float32", y="float32", u="float64"),
        "sat",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_construct_from_end_to_end(certify, name: str, tmp_path: Path) -> None:
    content, expected = CASES[name]
    spec, witness = tmp_path / "spec.vnnlib", tmp_path / "witness.txt"
    spec.write_text(content)
    first = net(tmp_path / "f.onnx", name if name in TYPES else "float32")
    second = net(tmp_path / "g.onnx", "float64" if name.startswith("types") else "float32", change=0.125)
    models: str | Path = first
    if "declare-network g" in content:
        models = f"[('f', '{first}'), ('g', '{first if 'equal-to' in content else second}')]"
    result = certify("check", models, spec, "--timeout", 30, "--counterexample", witness)
    assert result.stdout.splitlines()[0] == expected, result.output
    assert certify("spec", "lint", spec).exit_code in (0, 1)
    if expected == "sat":
        replayed = certify("spec", "replay", models, spec, witness)
        assert replayed.exit_code == 0, replayed.output
        headers = [line.split()[0] for line in witness.read_text().splitlines() if line[0].isalpha()]
        assert headers == [n for n in ("X", "H", "Y", "U", "V") if f" {n} " in content.split("(assert")[0]]


def test_scalars(certify, tmp_path: Path) -> None:
    """A scalar is declared with [] and written bare."""
    nodes = [node("ReduceSum", "x", "y", keepdims=0)]
    file = save(tmp_path / "m.onnx", model(nodes, {"x": [1, 2]}, ["y"]))
    spec, witness = tmp_path / "spec.vnnlib", tmp_path / "witness.txt"
    declared = "(declare-network f (declare-input X float32 [1,2]) (declare-output Y float32 []))\n"
    box = BOX.replace("[", "[0,")
    spec.write_text(HEAD + declared + box + "(assert (>= Y 1.5))\n")
    result = certify("check", file, spec, "--strict", "--counterexample", witness)
    assert result.stdout.splitlines()[0] == "sat", result.output
    assert "Y float32 []\n" in witness.read_text()
    assert certify("spec", "replay", file, spec, witness).exit_code == 0
    spec.write_text(HEAD + declared + box + "(assert (>= Y 2.5))\n")
    assert certify("check", file, spec, "--strict").stdout.splitlines()[0] == "unsat"


@pytest.mark.parametrize(
    ("content", "place", "code"),
    [
        (text("(> Y[0] 0.0)").replace("X real [2]", "X real [2] initialized"), "2:20", "V0406"),
        (text("(> Y[0] 0.0)", y="bool"), "2:66", "V0402"),
        (text("(> Y[0] 0.0)", y="int8"), "2:48", "V0405"),
        (text("(> Y[0] 0.0)", y="uint8"), "2:48", "V0405"),
        (text("(> Y[0] 0.0)").replace("Y real [2]", "Y real [3]"), "2:48", "V0404"),
        (text("(> Y[0] V[0])", two=True, tied=False), "3:21", "V0502"),
        (text("(> (/ Y[0] 2.0) 0.0)"), "4:13", "V0201"),
        (text("(> Y[2] 0.0)"), "4:12", "V0205"),
    ],
)
def test_what_is_refused_names_its_place(certify, content: str, place: str, code: str, tmp_path: Path) -> None:
    spec = tmp_path / "spec.vnnlib"
    spec.write_text(content)
    file = net(tmp_path / "f.onnx")
    models = f"[('f', '{file}'), ('g', '{file}')]" if "declare-network g" in content else file
    result = certify("check", models, spec)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{spec}:{place}: {code} " in result.stderr


def shifted(path: Path) -> Path:
    """y = x + shift, where the model gives shift the value (0.25, -0.5) unless its user does."""
    nodes, weights = [node("Add", "x shift", "y")], {"shift": np.array([0.25, -0.5], np.float32)}
    return save(path, model(nodes, {"x": [2]}, ["y"], weights, listed=True))


SHIFTED = "(declare-network f (declare-input X real [2]) (declare-input S real [2]{0}) (declare-output Y real [2]))\n"
SHIFT_BOX = "(assert (and (>= S[0] 0.0) (<= S[0] 1.0) (== S[1] -0.5)))\n"


@pytest.mark.parametrize(
    ("marked", "more", "assertion", "expected"),
    [
        (" initialized", "", "(> Y[0] 1.375)", "unsat"),
        (" initialized", "", "(>= Y[0] 1.25)", "sat"),
        (" initialized", SHIFT_BOX, "(>= (+ Y[0] S[0]) 1.5)", "sat"),
        ("", SHIFT_BOX, "(>= Y[0] 1.75)", "sat"),
        ("", SHIFT_BOX, "(> Y[0] 2.125)", "unsat"),
    ],
)
def test_an_initialized_input_keeps_the_models_value_and_another_is_free(
    certify, marked: str, more: str, assertion: str, expected: str, tmp_path: Path
) -> None:
    file, spec, witness = shifted(tmp_path / "m.onnx"), tmp_path / "spec.vnnlib", tmp_path / "witness.txt"
    spec.write_text(HEAD.replace("2.0", "2.1") + SHIFTED.format(marked) + BOX + more + f"(assert {assertion})\n")
    result = certify("check", file, spec, "--counterexample", witness)
    assert result.stdout.splitlines()[0] == expected, result.output
    if expected == "sat":
        assert certify("spec", "replay", file, spec, witness).exit_code == 0
        content = witness.read_text()
        assert content.count("-0.5") == 1
        witness.write_text(content.replace("-0.5", "-0.25"))
        assert certify("spec", "replay", file, spec, witness).exit_code == 1
    converted = tmp_path / "again.vnnlib"
    assert certify("spec", "convert", spec, "--out", converted).exit_code == 0
    assert certify("check", file, converted).stdout.splitlines()[0] == expected


def test_half_precision_is_refused_where_it_rounds_too_much(certify, tmp_path: Path) -> None:
    spec = tmp_path / "spec.vnnlib"
    spec.write_text(text("(> Y[0] -99.0)", x="float16", y="float16"))
    result = certify("check", net(tmp_path / "f.onnx", "float16"), spec)
    assert result.exit_code == 2
    assert "the model computes in float16" in result.stderr


@pytest.mark.parametrize("models", ["[('f', 'a.onnx')", "[1]", "[]", "['ab']", "[('f', '')]", "[('f', 1)]"])
def test_a_list_of_models_that_is_none(certify, models: str, tmp_path: Path) -> None:
    result = certify("check", models, tmp_path / "spec.vnnlib")
    assert result.exit_code == 2
    assert "not a list of networks and files" in result.stderr


def test_bounds_call_outputs_as_the_query_does(certify, tmp_path: Path) -> None:
    first, second = net(tmp_path / "f.onnx"), net(tmp_path / "g.onnx", change=0.125)
    spec = tmp_path / "spec.vnnlib"
    spec.write_text(text("(> (+ V[1] (* Y[0] V[1])) H[0,2])", two=True, hidden=HIDDEN))
    result = certify("bounds", f"[('f', '{first}'), ('g', '{second}')]", spec)
    names = [line.rsplit(maxsplit=2)[0].strip() for line in result.stdout.splitlines()[2:5]]
    assert names == ["H[0,2]", "V[1]", "Y[0] * V[1]"]
    spec.write_text(text("(> Y[1] 0.0)"))
    lines = certify("bounds", first, spec).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["Y[0]", "Y[1]"]
