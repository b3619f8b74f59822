"""The command line in this process, and models with a specification in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bundled import ROOT
from shifted_models import OPEN, SAFE, UNSAFE, asks, shifted
from typer.testing import CliRunner, Result

from certify.cli.main import app


@pytest.fixture
def certify() -> Callable[..., Result]:
    """Run a command in this process: certify("compare", BEFORE, AFTER, ...)."""
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with safe.onnx, unsafe.onnx, open.onnx and specs/point.vnnlib."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, shift in {"safe": SAFE, "unsafe": UNSAFE, "open": OPEN}.items():
        shifted(tmp_path / f"{name}.onnx", shift)
    asks(tmp_path / "specs" / "point.vnnlib")
    return tmp_path
