"""The bundled models and specs are what their manifests say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import certify

ROOT = Path(__file__).resolve().parent.parent
ENTRIES = [
    (folder, entry)
    for folder in ("models", "specs")
    for entry in json.loads((ROOT / folder / "manifest.json").read_text())
]


@pytest.mark.parametrize(("folder", "entry"), ENTRIES, ids=lambda e: e["file"] if isinstance(e, dict) else e)
def test_hashes(folder: str, entry: dict) -> None:
    assert hashlib.sha256((ROOT / folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]


def test_every_file_is_listed() -> None:
    for folder, pattern in (("models", "*.onnx"), ("specs", "*.vnnlib")):
        listed = {entry["file"] for place, entry in ENTRIES if place == folder}
        assert {path.name for path in (ROOT / folder).glob(pattern)} == listed


@pytest.mark.parametrize(
    "entry", [e for folder, e in ENTRIES if folder == "specs" and e["expected"] != "hard"], ids=lambda e: e["file"]
)
def test_expected_verdicts(entry: dict) -> None:
    verdict = certify.check(ROOT / "models" / entry["model"], ROOT / "specs" / entry["file"], timeout=300)
    assert verdict.status.value == entry["expected"]


def test_some_hold_some_fail_one_is_hard() -> None:
    expected = [entry["expected"] for folder, entry in ENTRIES if folder == "specs"]
    assert {"sat", "unsat", "hard"} == set(expected)
