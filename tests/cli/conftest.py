"""The command line in-process and as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from bundled import ROOT
from typer.testing import CliRunner, Result

from certify.cli.main import app


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
