"""Verdicts with certificates: what is written, and what becomes of a verdict whose proof nobody accepts."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from bundled import CNN, FAILS, HOLDS, MODEL, ROOT

from certify import api
from certify.certificate import certified as room
from certify.checker.check import check
from certify.search.branches import Branches
from certify.search.tree import InputCut
from certify.settings import Settings


def test_a_proof_is_written_and_accepted(tmp_path: Path) -> None:
    path = tmp_path / "proof.cert"
    verdict = api.check(MODEL, HOLDS, settings=Settings(certificate=path))
    assert verdict.status.value == "unsat"
    assert any(note.startswith("certificate: ") for note in verdict.notes)
    assert check(Path(MODEL), Path(HOLDS), path).startswith("unsat, real")


def test_a_proof_of_a_convolutional_network_by_signs_is_accepted(tmp_path: Path) -> None:
    spec = ROOT / "specs" / "digits_cnn_3_eps0.1.vnnlib"
    verdict = api.check(CNN, spec, timeout=120.0, settings=Settings(certificate=tmp_path / "proof.cert"))
    assert verdict.status.value == "unsat"
    assert check(Path(CNN), spec, tmp_path / "proof.cert").startswith("unsat, real")


def test_a_witness_is_written_and_accepted(tmp_path: Path) -> None:
    path = tmp_path / "witness.cert"
    verdict = api.check(MODEL, FAILS, settings=Settings(certificate=path))
    assert verdict.status.value == "sat"
    assert check(Path(MODEL), Path(FAILS), path).startswith("sat, float32")


@pytest.mark.parametrize("word", ["rejected", "malformed", "unsupported", "timeout", "failed"])
def test_without_acceptance_unsat_becomes_unknown(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "recheck", lambda *_: (word, "for no reason", 0.0))
    verdict = api.check(MODEL, HOLDS, settings=Settings(recheck=True))
    assert verdict.status.value == "unknown"
    assert word in verdict.reason
    assert verdict.proof is None


def test_float32_always_asks_the_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "recheck", lambda *_: ("rejected", "for no reason", 0.0))
    assert api.check(MODEL, HOLDS, settings=Settings(semantics="float32")).status.value == "unknown"


def test_a_tampered_certificate_is_seen_by_the_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real checker runs, on a certificate whose hash was changed after it was written."""
    write = room.write_certificate

    def tampered(path: Path, *rest: object) -> None:
        write(path, *rest)  # type: ignore[arg-type]
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members.items():
                file.writestr(name, data.replace(b'"model": "', b'"model": "0') if name == "certificate.json" else data)

    monkeypatch.setattr(room, "write_certificate", tampered)
    verdict = api.check(MODEL, HOLDS, settings=Settings(recheck=True))
    assert verdict.status.value == "unknown"
    assert "another model" in verdict.reason


def test_a_proof_that_cannot_be_written_stays_a_verdict_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "x.cert"
    verdict = api.check(MODEL, HOLDS, settings=Settings(backend="auto-lirpa", certificate=path))
    assert verdict.status.value == "unsat"
    assert "keeps no proof" in verdict.notes[-1]
    assert not list(tmp_path.iterdir())
    verdict = api.check(MODEL, HOLDS, settings=Settings(backend="auto-lirpa", recheck=True))
    assert verdict.status.value == "unknown"


def test_nodes_are_numbered_parents_first_in_whatever_order_the_record_is() -> None:
    """Cuts of two processes: the children 1000.. were cut before the record got to their parent."""
    late = InputCut(
        np.array([1]), np.array([1]), np.array([0.5]), np.array([0.5]), np.array([[1000, 1001]]), np.zeros(1)
    )
    later = InputCut(
        np.array([1001]), np.array([2]), np.array([0.75]), np.array([0.75]), np.array([[3, 4]]), np.zeros(1)
    )
    first = InputCut(np.array([0]), np.array([0]), np.array([0.25]), np.array([0.25]), np.array([[1, 2]]), np.zeros(1))
    branches = Branches.of([later, late, first], 1)
    assert branches.node.tolist() == [0, 1, 4]
    assert branches.ordered([c.axis for c in (later, late, first)]).tolist() == [0, 1, 2]
    new, known = branches.renumbered(np.array([4, 1000, 7]))
    assert new[:2].tolist() == [6, 3]
    assert known.tolist() == [True, True, False]
