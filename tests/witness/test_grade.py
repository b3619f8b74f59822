"""The organisers' words for counterexamples: each class, each year, on a network that doubles its second input."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, save

from certify.witness.grade import grade

SPEC = """
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (>= X_0 0.1))
(assert (<= X_0 0.1))
(assert (>= X_1 -1))
(assert (<= X_1 1))
(assert (or (and (<= Y_0 -1.5)) (and (>= Y_0 1.5))))
"""
SECOND = """
(vnnlib-version <2.0>)
(declare-network N (declare-input X float32 [1,2]) (declare-output Y float32 [1,1]))
(assert (and (>= X[0,0] 0.1) (<= X[0,0] 0.1) (>= X[0,1] -1.0) (<= X[0,1] 1.0)))
(assert (>= Y[0,0] 1.5))
"""
BELOW = float(np.nextafter(np.float32(1.5), np.float32(0)))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """y = 2 x_1, and the property."""
    weights = {"w": np.array([[0.0], [2.0]], dtype=np.float32)}
    (tmp_path / "p.vnnlib").write_text(SPEC)
    network = model([node("MatMul", "x w", "y")], {"x": ["batch", 2]}, ["y"], weights)
    return save(tmp_path / "m.onnx", network), tmp_path / "p.vnnlib"


def word(files: tuple[Path, Path], text: str | None, year: int) -> str:
    path = files[0].with_name("ce")
    if text is not None:
        path.write_text(text)
    return grade(*files, path, year)


def pairs(x0: float, x1: float, y: float | None = None) -> str:
    return f"((X_0 {x0!r})\n(X_1 {x1!r})" + ("" if y is None else f"\n(Y_0 {y!r})") + ")"


@pytest.mark.parametrize(
    ("text", "year", "expected"),
    [
        # 2026: outputs are computed, bounds on inputs are compared as float32 and then with slack.
        (pairs(0.1, 0.75), 2026, "correct"),
        (pairs(0.1, 0.75, -7.0), 2026, "correct"),
        (pairs(float(np.float32(0.1)), 0.75), 2026, "correct"),
        (pairs(0.1, 1.00005), 2026, "correct_up_to_tolerance"),
        (pairs(0.1, 1.0002), 2026, "spec_not_violated"),
        (pairs(0.1, BELOW / 2), 2026, "spec_not_violated"),
        (None, 2026, "no_ce"),
        ("", 2026, "no_ce"),
        ("((X_0 0.1))", 2026, "wrong_shape"),
        # 2024 and 2025: outputs are those in the file, near those computed; slack everywhere, but then not "correct".
        (pairs(0.1, 0.75, 1.5), 2025, "correct"),
        (pairs(0.1, 0.75, 1.5001), 2025, "correct_up_to_tolerance"),
        (pairs(0.10005, 0.75, 1.5), 2024, "correct_up_to_tolerance"),
        (pairs(0.1, 0.74997, 1.49994), 2025, "correct_up_to_tolerance"),
        (pairs(0.1, 0.75, 1.6), 2025, "exec_doesnt_match"),
        (pairs(0.1, 0.75), 2025, "exec_doesnt_match"),
        (pairs(0.1, 0.7, 1.4), 2025, "spec_not_violated"),
        # 2023: the same without that word; 2022: outputs within an absolute 0.0001.
        (pairs(0.10005, 0.75, 1.5), 2023, "correct"),
        (pairs(0.1, 0.75, 1.501), 2023, "correct"),
        (pairs(0.1, 0.75, 1.501), 2022, "exec_doesnt_match"),
        (pairs(0.1, 0.75, 1.50005), 2022, "correct"),
    ],
)
def test_words(files: tuple[Path, Path], text: str | None, year: int, expected: str):
    assert word(files, text, year) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X float32 [1,2]\n0.1\n0.75\nY float32 [1,1]\n1.5\n", "correct"),
        ("sat\nX float32 [1,2]\n0.1\n1.00005\nY float32 [1,1]\n0\n", "correct_up_to_tolerance"),
        ("X float32 [1,2]\n0.1\n0.5\nY float32 [1,1]\n1.5\n", "spec_not_violated"),
        ("X float32 [1,2]\n0.1\n0.75\n", "malformed_ce"),
        ("X float32 [1,2]\n0.1\n", "malformed_ce"),
        ("0.1 0.75", "malformed_ce"),
    ],
)
def test_words_for_the_second_format(files: tuple[Path, Path], text: str, expected: str):
    files[1].write_text(SECOND)
    assert word(files, text, 2026) == expected


def test_hidden_values_are_not_supported(files: tuple[Path, Path]):
    files[1].write_text(SECOND.replace("(declare-output", '(declare-hidden H float32 [1,1] "y") (declare-output'))
    assert word(files, "X float32 [1,2]\n0.1\n0.75\n", 2026) == "unsupported"


def test_packed_files(files: tuple[Path, Path]):
    path = files[0].with_name("ce.gz")
    path.write_bytes(gzip.compress(pairs(0.1, 0.75).encode()))
    assert grade(*files, path, 2026) == "correct"
