"""What is written reads back as the same unsafe set, bit for bit, and stays in the language every tool reads."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_queries import queries

from certify.errors import InputError, ParseError
from certify.query.formula import AllOf, AnyOf, Formula, all_of, any_of
from certify.query.normal_form import UnsafeSet, lower
from certify.query.read import parse_query, read_query
from certify.query.region_query import region_query
from certify.query.syntax import Query, Tensor
from certify.query.write import write_query

VALID = sorted((Path(__file__).parent / "valid").glob("*.vnnlib"))


def _same(first: UnsafeSet, second: UnsafeSet) -> None:
    assert (first.n_inputs, first.n_outputs) == (second.n_inputs, second.n_outputs)
    for name in ("outputs", "inputs", "rhs", "strict"):
        one, other = getattr(first.atoms, name), getattr(second.atoms, name)
        assert (one is None and other is None) or one.tobytes() == other.tobytes()
    regions = [
        [(region.lower.tobytes(), region.upper.tobytes(), region.formula) for region in unsafe.regions]
        for unsafe in (first, second)
    ]
    assert regions[0] == regions[1]


def _round_trip(query: Query, version: str) -> None:
    written = write_query(query, version=version)  # type: ignore[arg-type]
    again = parse_query(written)
    assert all(found.code == "V1402" or found.count > 1 for found in again.warnings), again.warnings
    assert again.version == version
    _same(lower(query), lower(again))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_files_round_trip_in_version_2(path: Path) -> None:
    query = read_query(path)
    if path.stem == "v2_lenient_types":
        query = replace(
            query, networks=(replace(query.networks[0], inputs=(replace(query.inputs[0], dtype="float32"),)),)
        )
    _round_trip(query, "2.0")


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_files_round_trip_in_version_1_where_it_can_say_it(path: Path) -> None:
    query = read_query(path)
    try:
        _round_trip(query, "1.0")
    except InputError as error:
        assert not isinstance(error, ParseError)
        assert "VNN-LIB 1.0 has no common way" in str(error)
        assert query.warnings or query.version == "2.0"


@settings(max_examples=100, deadline=None)
@given(queries(), st.sampled_from(["1.0", "2.0"]))
def test_random_queries_round_trip(text: str, version: str) -> None:
    query = parse_query(text)
    try:
        lower(query)
        _round_trip(query, version)
    except InputError as error:
        assume("lower bound" not in error.message and "common way" not in error.message)
        raise


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_every_float_survives(values: list[float]) -> None:
    low, high = sorted(values[:2])
    text = f"(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 {low!r}))(assert (<= X_0 {high!r}))"
    query = parse_query(text + f"(assert (or (and (<= Y_0 {values[2]!r})) (and (>= Y_0 {values[3]!r}))))")
    _round_trip(query, "1.0")
    _round_trip(query, "2.0")


def test_version_2_text_is_the_portable_subset() -> None:
    query = parse_query(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 1e-7))(assert (<= X_0 1))"
        "(assert (or (and (<= 3 Y_0)) (and (= Y_0 1e22) (<= (+ (* 2 Y_0)) 1))))"
    )
    assert write_query(query, version="2.0", comment="two\nlines") == (
        "; two\n; lines\n(vnnlib-version <2.0>)\n(declare-network N\n  (declare-input X real [1])\n"
        "  (declare-output Y real [1])\n)\n(assert (>= X[0] 0.0000001))\n(assert (<= X[0] 1.0))\n"
        "(assert (or (>= Y[0] 3.0) (and (== Y[0] 10000000000000000000000.0) (<= (* 2.0 Y[0]) 1.0))))\n"
    )


def test_integer_tensors_have_integer_constants() -> None:
    text = "(vnnlib-version <2.0>)\n(declare-network N (declare-input X int8 [1]) (declare-output Y float32 [1]))\n"
    written = write_query(parse_query(text + "(assert (== X[0] 2))(assert (<= Y[0] 2.0))"))
    assert "(== X[0] 2)" in written
    assert "(<= Y[0] 2.0)" in written
    assert parse_query(written, strict=True).warnings == ()


@pytest.mark.parametrize(
    ("assertion", "what"),
    [
        ("(< Y_0 1)", "the relation '<'"),
        ("(<= (+ Y_0 Y_1) 1)", "a constraint other than"),
        ("(<= (- Y_0 Y_1) 1)", "a constraint other than"),
        ("(<= (* 2 Y_0) 1)", "a constraint other than"),
        ("(<= X_0 Y_0)", "a constraint other than"),
        ("(<= 2 1)", "a constraint other than"),
        ("(or (and (or (<= Y_0 1) (<= Y_1 1)) (<= Y_0 2)) (<= Y_0 7))", "'or' inside 'and' inside 'or'"),
    ],
)
def test_what_version_1_cannot_say(assertion: str, what: str) -> None:
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (== X_0 0))"
    with pytest.raises(InputError, match=re.escape(what)):
        write_query(parse_query(f"{text}(assert {assertion})"))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_region_is_a_query_of_its_own(version: str) -> None:
    query = read_query(VALID[0].parent / "v1_mixed_disjuncts.vnnlib")
    unsafe = lower(query)
    for region in unsafe.regions:
        written = write_query(region_query(region, unsafe.atoms), version=version)  # type: ignore[arg-type]
        (again,) = lower(parse_query(written, strict=True)).regions
        assert again.lower.tobytes() == region.lower.tobytes()
        assert again.upper.tobytes() == region.upper.tobytes()


@settings(max_examples=100, deadline=None)
@given(queries())
def test_regions_written_alone_mean_the_same(text: str) -> None:
    try:
        unsafe = lower(parse_query(text))
    except ParseError:
        assume(False)
    for region in list(unsafe.regions)[:3]:
        again = lower(parse_query(write_query(region_query(region, unsafe.atoms), version="2.0")))
        (found,) = again.regions
        assert found.lower.tobytes() == region.lower.tobytes()
        assert found.upper.tobytes() == region.upper.tobytes()
        _same_formula(unsafe, _plain(region.formula), again, _plain(found.formula))


def _plain(formula: Formula) -> Formula:
    """The formula without repeated parts: telling a term's sides apart a second time leaves `a or a` behind."""
    if isinstance(formula, int):
        return formula
    parts = dict.fromkeys(_plain(part) for part in formula.parts)
    return all_of(parts) if isinstance(formula, AllOf) else any_of(parts)


def _same_formula(first: UnsafeSet, one: object, second: UnsafeSet, other: object) -> None:
    if isinstance(one, int):
        assert isinstance(other, int)
        assert first.atoms.outputs[one].tolist() == second.atoms.outputs[other].tolist()
        assert first.atoms.rhs[one] == second.atoms.rhs[other]
        assert first.atoms.strict[one] == second.atoms.strict[other]
        return
    assert isinstance(one, (AllOf, AnyOf))
    assert type(one) is type(other)
    assert len(one.parts) == len(other.parts)  # type: ignore[attr-defined]
    for part, match in zip(one.parts, other.parts, strict=True):  # type: ignore[attr-defined]
        _same_formula(first, part, second, match)


def test_a_region_takes_the_names_and_shapes_it_is_given() -> None:
    unsafe = lower(read_query(VALID[0].parent / "v1_core.vnnlib"))
    (region,) = unsafe.regions
    tensors = Tensor("img", "input", "float32", (1, 2), 0), Tensor("cls", "output", "float32", (1, 3), 0)
    query = region_query(region, unsafe.atoms, tensors)
    written = write_query(query)
    assert "(declare-input img float32 [1,2])" in written
    assert "(or (<= cls[0,0] cls[0,1]) (<= cls[0,0] cls[0,2]))" in written
    assert np.array_equal(next(iter(lower(parse_query(written, strict=True)).regions)).lower, region.lower)
