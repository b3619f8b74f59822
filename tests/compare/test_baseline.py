"""A baseline is the same byte for byte, and later models are held to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from shifted_models import SAFE, asks, shifted

from certify.compare.baseline import read_baseline, rounded_down


@pytest.fixture
def saved(certify, folder: Path) -> Path:
    """kept/baseline.json of safe.onnx, for two specifications."""
    asks(folder / "specs" / "line.vnnlib", 0.5)
    (folder / "kept").mkdir()
    found = certify("baseline", "save", "safe.onnx", "--specs", "specs", "-o", "kept/baseline.json", "--warm")
    assert found.exit_code == 0 and "2 specifications: 2 proved" in found.output
    return folder / "kept" / "baseline.json"


def test_the_file(certify, saved: Path, folder: Path) -> None:
    text = saved.read_text()
    entries = json.loads(text)["specs"]
    assert [entry["spec"] for entry in entries] == ["../specs/line.vnnlib", "../specs/point.vnnlib"]
    assert [(entry["verdict"], entry["margin"]) for entry in entries] == [("proved", 0.9999)] * 2
    assert str(folder) not in text and "second" not in text and len(text.splitlines()) == 12
    shuffled = ["--specs", "specs/point.vnnlib", "--specs", str(folder / "specs" / "line.vnnlib")]
    assert certify("baseline", "save", "safe.onnx", *shuffled, "-o", "kept/again.json").exit_code == 0
    assert (folder / "kept" / "again.json").read_bytes() == saved.read_bytes()
    assert read_baseline(saved).text() == text


@pytest.mark.parametrize(
    ("shift", "options", "code", "words"),
    [
        (SAFE, [], 0, "gate: 2 passed"),
        (-2.0, [], 1, "regressed: specs/point.vnnlib: was proved, is violated now"),
        (-1.0, [], 3, "weakened: specs/point.vnnlib: was proved, is undecided now"),
        (-0.5, [], 0, "gate: 2 tolerated"),
        (-0.5, ["--fail-on", "weakened"], 1, "weakened: specs/point.vnnlib: the margin was 0.9999, is 0.5 now"),
        (-0.5, ["--fail-on", "weakened:60%"], 0, "gate: 2 passed"),
    ],
)
def test_later_models(certify, saved: Path, folder: Path, shift: float, options: list[str], code: int, words: str):
    if shift == -1.0:  # what is open on a line takes the search all its time
        entries = saved.read_text().splitlines()
        saved.write_text("\n".join([*entries[:8], *entries[9:]]))
    shifted(folder / "next.onnx", shift)
    found = certify("baseline", "check", "next.onnx", "--baseline", saved, "--warm", *options)
    assert found.exit_code == code and words in found.output.replace(f"{folder}/", ""), found.output


def test_what_cannot_be_used(certify, saved: Path, folder: Path) -> None:
    def fails(message: str, *options: str) -> None:
        found = certify("baseline", "check", "safe.onnx", "--baseline", saved, *options)
        assert found.exit_code == 2 and message in found.stderr, found.output

    fails("is not an outcome", "--fail-on", "slower:2x")
    whole = saved.read_text()
    asks(folder / "specs" / "line.vnnlib", 0.25)
    fails("is not the specification that the baseline was saved with")
    for text, message in (
        (whole[:100], "not JSON"),
        ("[]", "not a baseline"),
        (whole.replace('_baseline": 1', '_baseline": 9'), "format 9"),
        (whole.replace('"proved"', '"sure"'), "not a baseline"),
        (whole[: whole.index('"specs"')] + '"specs": []}', "has no specification"),
        (re.sub(r'"margin": [-.0-9]+', '"margin": NaN', whole), "margin of"),
    ):
        saved.write_text(text)
        fails(message)


@pytest.mark.parametrize(
    ("value", "down"),
    [(0.99999, 0.9999), (1.0, 1.0), (-1.00001, -1.001), (123456.0, 123400.0), (1e-20, 9.999e-21), (0.0, 0.0)],
)
def test_rounding_down(value: float, down: float) -> None:
    assert rounded_down(value) == down <= value
