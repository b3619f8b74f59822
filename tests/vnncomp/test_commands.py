"""The commands that measure are run by hand; here only that what they import is still there."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

COMMANDS = sorted((Path(__file__).resolve().parents[2] / "vnncomp").glob("*.py"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.stem)
def test_every_command_explains_itself(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(command.parent)
    monkeypatch.setattr(sys, "argv", [str(command), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(command), run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
