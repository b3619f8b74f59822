"""The specifications in valid/ read as they promise, those in malformed/ fail where they say. Add files, not tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from certify.errors import ParseError
from certify.query.normal_form import lower
from certify.query.read import read_query

HERE = Path(__file__).parent
EXPECT = re.compile(r"; expect: (.*)")


def _files(folder: str) -> list[Path]:
    found = sorted((HERE / folder).glob("*.vnnlib"))
    assert found
    return found


def _expectation(path: Path) -> str:
    matched = EXPECT.search(path.read_text())
    assert matched, f"{path} has no '; expect:' comment"
    return matched[1].strip()


@pytest.mark.parametrize("path", _files("valid"), ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    query = read_query(path)
    unsafe = lower(query)
    found = {
        "regions": len(list(unsafe.regions)),
        "atoms": len(unsafe.atoms),
        "warnings": len(query.warnings),
        "inputs": unsafe.n_inputs,
        "outputs": unsafe.n_outputs,
    }
    expected = dict(item.split("=") for item in _expectation(path).split())
    assert {key: str(found[key]) for key in expected} == expected, query.warnings


@pytest.mark.parametrize("path", _files("valid"), ids=lambda path: path.stem)
def test_strict_mode_accepts_exactly_what_needs_no_note(path: Path) -> None:
    warnings = read_query(path).warnings
    if not warnings:
        assert read_query(path, strict=True).warnings == ()
        return
    with pytest.raises(ParseError) as caught:
        read_query(path, strict=True)
    error = caught.value
    assert (error.code, error.line, error.column) in [(found.code, found.line, found.column) for found in warnings]


@pytest.mark.parametrize("path", _files("malformed"), ids=lambda path: path.stem)
def test_malformed(path: Path) -> None:
    place, _, substring = _expectation(path).partition(" ")
    with pytest.raises(ParseError) as caught:
        lower(read_query(path))
    assert f"{caught.value.line}:{caught.value.column}" == place, caught.value
    assert substring in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{place}: ")
