"""Certificates changed at random. What matters: no certificate of a property that is violated is ever accepted.

The properties here are broken by a known point, by little; the certificates prove neighbours that hold, with the hashes
set right. `CERTIFY_FUZZ=10000 python -m pytest tests/checker/test_fuzz.py` tries that many.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import Base, Contents, bases, likely, read, sha256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certify.checker.check import check
from certify.checker.outcome import Bounded, Malformed, Refusal, Rejected

CORPUS = Path(__file__).parent / "corpus"
TRIES = int(os.environ.get("CERTIFY_FUZZ", "100"))
NAMES = ("boxes", "cases", "signs", "deep", "slopes", "rows", "turns")
VIOLATED = bases(violated=True)
LIKELY = likely()
fuzzed = settings(
    max_examples=TRIES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def contents(name: str, base: Base) -> Contents:
    """The certificate of the neighbour, with the hashes of this problem."""
    found = read(CORPUS / "accepted" / f"{name}.cert")
    found.header |= {"model": sha256(base.model), "spec": sha256(base.spec.encode())}
    return found


value = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, 1e-30, 1e30, float("nan"), float("inf"), 1.0000001]),
    st.floats(-2.0, 2.0),
    st.integers(-2, 70),
)
edit = st.tuples(st.sampled_from(["set", "fill", "drop", "repeat", "reverse", "add", "header"]), st.integers(0, 40),
                 st.integers(0, 5000), value)  # fmt: skip


def changed(contents: Contents, edits: list[tuple[str, int, int, float]]) -> None:
    """Apply random edits in place."""
    for kind, which, place, number in edits:
        if kind == "header":
            _edit_header(contents.header, which, place, number)
            continue
        name = sorted(contents.arrays)[which % len(contents.arrays)]
        array = contents.arrays[name]
        if not array.size or array.ndim == 0:
            continue
        if array.dtype.kind in "iu":
            number = int(number) if np.isfinite(number) and abs(number) < 1e6 else 7
            number = number % 256 if array.dtype == np.uint8 else number
        if kind == "set":
            array.reshape(-1)[place % array.size] = number
        elif kind == "fill":
            array[...] = number
        elif kind == "add":
            array.reshape(-1)[place % array.size] += array.dtype.type(number)
        elif kind == "reverse":
            contents.arrays[name] = array[::-1].copy()
        elif kind == "drop":
            contents.arrays[name] = np.delete(array, place % len(array), axis=0)
        elif kind == "repeat":
            contents.arrays[name] = np.insert(array, 0, array[place % len(array)], axis=0)


def _edit_header(header: dict[str, Any], which: int, place: int, number: float) -> None:
    part = header["parts"][place % len(header["parts"])] if header["parts"] else {}
    keys = sorted(part)
    key = keys[which % len(keys)] if keys else ""
    if isinstance(part.get(key), list):
        part[key] = [*part[key], int(number) if np.isfinite(number) else 0] if place % 2 else part[key][1:]
    elif isinstance(part.get(key), bool):
        part[key] = not part[key]
    elif isinstance(part.get(key), int):
        part[key] = int(number) if np.isfinite(number) else 0
    elif place % 3 == 0:
        header["parts"].append(dict(part))


@pytest.mark.parametrize("name", NAMES)
def test_the_properties_are_violated(name: str, tmp_path: Path) -> None:
    from certify import api

    verdict = api.check(*VIOLATED[name].files(tmp_path), timeout=30.0)
    assert verdict.status.value != "unsat"
    base = VIOLATED[name]
    contents(name, base).write(tmp_path / "neighbour.cert")
    with pytest.raises(Rejected):
        check(*base.files(tmp_path), tmp_path / "neighbour.cert")


@fuzzed
@given(st.sampled_from(NAMES), st.lists(edit, min_size=1, max_size=6))
def test_no_changed_certificate_of_a_violated_property_is_accepted(
    tmp_path: Path, name: str, edits: list[tuple[str, int, int, float]]
) -> None:
    base = VIOLATED[name]
    tampered = contents(name, base)
    changed(tampered, edits)
    tampered.write(tmp_path / "tampered.cert")
    with pytest.raises(Refusal), np.errstate(all="ignore"):
        check(*base.files(tmp_path), tmp_path / "tampered.cert")


@fuzzed
@given(st.booleans(), st.lists(edit, max_size=6))
def test_no_changed_certificate_of_a_wrong_probability_is_accepted(
    tmp_path: Path, too_low: bool, edits: list[tuple[str, int, int, float]]
) -> None:
    """The truth lies between the bounds that were found; a claim that leaves it out is no matter of luck."""
    tampered = read(CORPUS / "bounded" / "probability.cert")
    low, high = tampered.header["lower"], tampered.header["upper"]
    tampered.header |= {"lower": 0.0, "upper": low - 1e-6} if too_low else {"lower": high + 1e-6, "upper": 1.0}
    changed(tampered, edits)
    tampered.write(tmp_path / "tampered.cert")
    with pytest.raises(Refusal) as refused, np.errstate(all="ignore"):
        check(*LIKELY.files(tmp_path), tmp_path / "tampered.cert")
    assert not isinstance(refused.value, Bounded)


@fuzzed
@given(st.sampled_from(NAMES), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
       st.integers(0, 10**6))  # fmt: skip
def test_damaged_files_are_refused_without_a_traceback(
    tmp_path: Path, name: str, changes: list[tuple[int, int]], length: int
) -> None:
    base = VIOLATED[name]
    contents(name, base).write(tmp_path / "damaged.cert")
    data = bytearray((tmp_path / "damaged.cert").read_bytes())
    for place, byte in changes:
        data[place % len(data)] = byte
    (tmp_path / "damaged.cert").write_bytes(data if length % 3 else data[: length % len(data)])
    with pytest.raises((Malformed, Refusal)):
        check(*base.files(tmp_path), tmp_path / "damaged.cert")
