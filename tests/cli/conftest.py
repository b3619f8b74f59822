"""The bundled models and specs, and the command line in-process and as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from certify.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
MODEL = str(ROOT / "models" / "digits_mlp.onnx")
HOLDS = str(ROOT / "specs" / "digits_mlp_0_eps0.1.vnnlib")
FAILS = str(ROOT / "specs" / "digits_mlp_1_eps0.08.vnnlib")
CNN = str(ROOT / "models" / "digits_cnn.onnx")
HARD = str(ROOT / "specs" / "digits_cnn_6_eps0.12.vnnlib")


@pytest.fixture
def certify() -> Callable[..., Result]:
    """Run a command in this process: certify("check", MODEL, SPEC)."""
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as the script would: process("check", MODEL, SPEC)."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "certify", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, **options)

    return run
