"""Reading: damaged files, leniency and strictness, hostile texts, and that both ways of reading agree bit for bit."""

from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certify.errors import InputError, ParseError
from certify.query.assertions import MAX_DEPTH
from certify.query.normal_form import lower
from certify.query.read import parse_query, read_query
from certify.query.syntax import Query

V1 = "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(assert (>= X_0 0))\n(assert (<= X_0 1))\n"
V2 = (
    "(vnnlib-version <2.0>)\n(declare-network N (declare-input X float32 [1,2]) (declare-output Y float32 [1,2]))\n"
    "(assert (and (>= X[0,0] 0.0) (<= X[0,0] 1.0) (>= X[0,1] 0.0) (<= X[0,1] 1.0)))\n"
)


def _said(query: Query) -> list[str]:
    return [f"line {warning.line}: {warning.message}" for warning in query.warnings]


def _fails(text: str, place: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        lower(parse_query(text))
    assert f"{caught.value.line}:{caught.value.column}" == place
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (gzip.compress(V1.encode())[:-9], "not a whole gzip file"),
        (b"\x1f\x8bnot really", "not a whole gzip file"),
    ],
)
def test_damaged_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "spec.vnnlib"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_query(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"; only a comment\n\n", "1:1", "the file is empty"),
        (b"(declare-const X_0 Real)\n; caf\xe9\n", "2:6", "not UTF-8"),
        (b"\x00\x00", "1:1", "begins no statement"),
    ],
)
def test_senseless_file(tmp_path: Path, content: bytes, place: str, message: str) -> None:
    path = tmp_path / "spec.vnnlib"
    path.write_bytes(content)
    with pytest.raises(ParseError, match=message) as caught:
        read_query(path)
    assert str(caught.value).startswith(f"{path}:{place}: ")


def test_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_query(tmp_path)


def test_a_packed_file_is_found_under_its_plain_name(tmp_path: Path) -> None:
    (tmp_path / "a.vnnlib.gz").write_bytes(gzip.compress(V1.encode()))
    assert read_query(tmp_path / "a.vnnlib").text == V1


def test_gzip_is_transparent_and_hashed_uncompressed(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.vnnlib", tmp_path / "a.vnnlib.gz"
    plain.write_text(V1)
    packed.write_bytes(gzip.compress(V1.encode()))
    assert read_query(plain).sha256 == read_query(packed).sha256 == hashlib.sha256(V1.encode()).hexdigest()
    assert read_query(str(packed)).text == V1


def test_byte_order_mark_earns_a_note() -> None:
    query = parse_query("\ufeff" + V1)
    assert _said(query) == ["line 1: a byte order mark"]
    with pytest.raises(ParseError, match="byte order mark"):
        parse_query("\ufeff" + V1, strict=True)


LENIENT = [
    (V1 + "(assert (and (<= Y_0 1) (>= Y_0 0)))", "line 5: a top-level 'and'"),
    (V1 + "(assert (< Y_0 1))", "line 5: the relation '<'"),
    (V1 + "(assert (>\nY_0 1))", "line 5: the relation '>'"),
    (V1 + "(assert (== Y_0 1))", "line 5: the relation '=='"),
    (V1 + "(assert (!= Y_0 1))", "line 5: the relation '!='"),
    (V1 + "(assert (<= 0 X_0))", "line 5: a number left of an input"),
    (V1 + "(assert (<= X_0 Y_0))", "line 5: a comparison of an input with an output"),
    (V1 + "(assert (<= X_0 X_0))", "line 5: a comparison of two inputs"),
    (V1 + "(assert (<= (+ Y_0 (* 2 Y_0)) 1))", "line 5: arithmetic"),
    (V1 + "(assert (or (<= Y_0 1)))", "line 5: a comparison directly inside 'or'"),
    (V1 + "(assert (or (and (<= Y_0 1) (and (<= Y_0 2)))))", "line 5: 'and' inside 'and'"),
    (V1 + "(assert (or (or (and (<= Y_0 1)))))", "line 5: 'or' inside 'or'"),
    (V1 + "(set-logic QF_LRA)", "line 5: (set-logic ...), ignored"),
    (V1 + "(check-sat)", "line 5: (check-sat ...), ignored"),
    (V1.replace("declare-const Y_0", "declare-fun Y_0 ()"), "line 2: declare-fun written for declare-const"),
    (V1.replace("Y_0 Real", "Y_0 real"), "line 2: 'real' written for 'Real'"),
    (V1 + "(assert (<= Y_0 +1))", "line 5: a number with '+'"),
    (V1 + "(declare-const Y_1 Real)", "line 5: a declaration after an assertion"),
    (V2 + "(assert (== Y[0,0] 5))", "line 4: an integer literal for float32"),
    (V2 + "(assert (== Y[0,0] 5e-1))", "line 4: a number with an exponent"),
    (V2 + "(assert (= Y[0,0] 0.5))", "line 4: '=' written for '=='"),
    (V2 + "( assert (== Y[0,0] 0.5))", "line 4: a blank between '(' and its keyword"),
    (V2 + "(assert (<= Y[1] 0.5))", "line 4: a flat index"),
    (V2 + "(assert (<= X[1] 0.5))", "line 4: a flat index"),
    (V2 + "(assert (or (<= Y[0,0] 0.5)))", "line 4: 'or' with a single operand"),
    (V2 + "(assert (not (<= Y[0,0] 0.5)))", "line 4: 'not'"),
    (V2 + "(assert (<= 1.0 2.0))", "line 4: a comparison without a variable"),
    (V2.replace("Y float32", "Y float64") + "(assert (<= Y[0,0] X[0,0]))", "line 4: a comparison of float32 with"),
    (V2.replace("Y float32", "Y real"), "line 2: 'real' beside other element types"),
    (V2.replace("float32", "Real"), "line 2: 'Real' written for 'real'"),
    (V2.replace("<2.0>", "2.0"), "line 1: the version written '2.0'"),
    (V2.replace("(vnnlib-version <2.0>)", ""), "line 2: no (vnnlib-version <2.0>) at the beginning"),
    (V2.replace("\n", "\r\n"), "line 1: carriage returns"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "note"), LENIENT)
def test_each_leniency_gives_one_note_and_is_an_error_in_strict_mode(text: str, note: str) -> None:
    (found,) = [found for found in _said(parse_query(text)) if "'=' written" in note or "'=' written" not in found]
    assert found.startswith(note)
    with pytest.raises(ParseError) as caught:
        parse_query(text, strict=True)
    assert caught.value.line == int(note.split(":")[0].removeprefix("line "))


def test_notes_count_repetitions() -> None:
    assert parse_query(V1 + "(assert (< Y_0 1))\n" * 3).warnings[0].count == 3


def test_positions_survive_blanking_of_comments_and_tightening_of_brackets() -> None:
    _fails(V1 + "; (assert\n(assert ; (\n   (<= Z 1))", "7:8", "unknown variable Z")
    _fails(V2 + "(assert (<= X [ 0 ,\n 1 ] Z))", "5:6", "unknown variable Z")


@pytest.mark.parametrize("opening", ["(and ", "(or ", "(not ", "(- ", "(", "(<= ", "(<= (0.5 "])
@pytest.mark.parametrize("head", [V1, V2])
def test_deep_nesting_is_one_quick_error(head: str, opening: str) -> None:
    with pytest.raises(ParseError, match="nested deeper"):
        parse_query(head + "(assert " + opening * 100_000)


def test_the_deepest_nesting_allowed_works_throughout() -> None:
    depth = MAX_DEPTH // 2 - 1
    formula = "(or (<= Y_0 0) (and (>= Y_0 0) " * depth + "(<= (- X_0 Y_0) 3)" + "))" * depth
    assert len(list(lower(parse_query(f"{V1}(assert {formula})")).regions)) == 1
    unions = "(or (<= X_0 0) (and (>= Y_0 0) " * depth + "(<= X_0 3)" + "))" * depth
    assert len(list(lower(parse_query(f"{V1}(assert {unions})")).regions)) == depth + 1
    term = "(+ 1.0 (* 0.5 " * depth + "Y_0" + "))" * depth
    assert len(lower(parse_query(f"{V1}(assert (<= {term} 3))")).atoms) == 1


@pytest.mark.parametrize(
    "text",
    [
        "(assert (<= X_0 " + "1" * 200_000,
        "(assert (<= X_0 " + "1" * 200_000 + "))",
        "(assert" + " " * 300_000,
        "(" + " " * 300_000 + "(" + " " * 300_000,
        "(assert (<= X[" + " " * 300_000,
        "(assert (<= " + "X" * 300_000 + " 1))",
        "(assert (<= X" + " " * 300_000 + "[0] 1.0))",
        "(vnnlib-version <2.0>)" + "[ " * 100_000,
        "(vnnlib-version <2.0>) [" + " " * 300_000,
        "; (" * 100_000,
        "(declare-const X_" + "9" * 5000 + " Real)",
        "(vnnlib-version <2.0>)(declare-network N (declare-input X real ["
        + "9" * 5000
        + "]) (declare-output Y real []))",
    ],
    ids=lambda text: text[:40].strip() + "...",
)
def test_hostile_text_is_an_error(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_query(text)
    assert len(str(caught.value)) < 600


@given(st.text(alphabet='()[]; \n"<=>!+-*.,01eXY_andorsetclr', max_size=60), st.sampled_from([V1, V2, ""]))
def test_any_text_reads_or_is_a_parse_error(text: str, head: str) -> None:
    for strict in (False, True):
        try:
            lower(parse_query(head + text, strict=strict))
        except ParseError as error:
            assert error.line >= 1
            assert error.column >= 1


@given(st.integers(0, len(V2)), st.integers(0, len(V2)), st.sampled_from([V1, V2]))
def test_any_damage_reads_or_is_a_parse_error(start: int, length: int, text: str) -> None:
    try:
        lower(parse_query(text[:start] + text[start + length :]))
    except ParseError:
        return


def _numbers() -> st.SearchStrategy[str]:
    finite = st.floats(allow_nan=False, allow_infinity=False)
    digits = st.text("0123456789", min_size=1, max_size=25)
    decimal = st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), digits, digits)
    scientific = st.builds("{}e{}".format, decimal, st.integers(-330, 250))
    every = st.one_of(finite.map(repr), st.integers(-(10**20), 10**20).map(str), decimal, scientific)
    return every.filter(lambda text: float(text) != 0.0 or not set("123456789") & set(text.partition("e")[0]))


@pytest.mark.parametrize("number", ["1e-400", "-0.1e-323", "0." + "0" * 330 + "1"])
@pytest.mark.parametrize("version", ["1", "2"])
def test_a_number_that_would_be_read_as_zero_is_an_error(version: str, number: str) -> None:
    """However it is read: as a bound of its own, in a conjunction, or in a disjunction."""
    head, name = "(declare-const X_0 Real)(declare-const Y_0 Real)\n", "X_0"
    if version == "2":
        head, name = (
            "(vnnlib-version <2.0>)(declare-network N (declare-input X real [1]) (declare-output Y real []))\n",
            "X[0]",
        )
    for text in (
        f"(assert (<= {name} {number}))",
        f"(assert (and (<= {name} {number})))",
        f"(assert (or (<= {name} {number})))",
    ):
        with pytest.raises(ParseError, match="V0108"):
            parse_query(head + text)
    parse_query(f"{head}(assert (<= {name} 0e-400))")


def _boxes(query: Query) -> list[tuple[bytes, bytes]]:
    return [(region.lower.tobytes(), region.upper.tobytes()) for region in lower(query).regions]


ROWS = st.lists(st.tuples(st.integers(0, 3), _numbers()), min_size=1, max_size=20)
LARGEST = "1.7976931348623157e+308"


def _three_readings(head: str, variables: list[str], atoms: list[str]) -> list[Query]:
    """The same bounds as statements of their own, in one conjunction, and each where no bulk path takes it.

    All atoms bound the same side, so none contradict; every variable is bounded by the largest numbers beforehand.
    """
    for variable in variables:
        head += f"(assert (and (>= {variable} -{LARGEST}) (<= {variable} {LARGEST})))\n"
    texts = ["".join(f"(assert {atom})\n" for atom in atoms), f"(assert (and {' '.join(atoms)}))"]
    texts.append("".join(f"(assert (or {atom}))\n" for atom in atoms))
    return [parse_query(head + text) for text in texts]


@given(st.booleans(), ROWS)
def test_bulk_and_general_path_agree_bit_for_bit_in_version_1(upper: bool, rows: list[tuple[int, str]]) -> None:
    variables = [f"X_{i}" for i in range(4)]
    head = "".join(f"(declare-const {variable} Real)" for variable in [*variables, "Y_0"])
    atoms = [f"({'<=' if upper else '>='} {variables[i]} {number})" for i, number in rows]
    bulk, in_and, general = _three_readings(head, variables, atoms)
    assert not bulk.assertions
    assert len(general.assertions) == len(rows)
    values = bulk.bounds[0].value[2 * len(variables) :]
    assert values.tobytes() == b"".join(struct.pack("d", float(number)) for _, number in rows)
    assert _boxes(bulk) == _boxes(in_and) == _boxes(general)


@given(st.booleans(), ROWS)
def test_bulk_and_general_path_agree_bit_for_bit_in_version_2(upper: bool, rows: list[tuple[int, str]]) -> None:
    variables = [f"X[0,{i},{j}]" for i in range(2) for j in range(2)]
    head = "(vnnlib-version <2.0>)(declare-network N (declare-input X real [1,2,2]) (declare-output Y real []))\n"
    atoms = [f"({'<=' if upper else '>='} {variables[i]} {number})" for i, number in rows]
    bulk, in_and, general = _three_readings(head, variables, atoms)
    assert not general.bounds
    assert _boxes(bulk) == _boxes(in_and) == _boxes(general)


def test_importing_the_reader_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'onnx', 'onnxruntime', 'typer', 'rich'}"
    code = f"import sys, certify.query.read, certify.query.normal_form; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
