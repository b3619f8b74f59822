"""docs/interventions.md works as written, with fewer epochs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from bundled import ROOT
from typer.testing import CliRunner

from certify.cli.main import app
from certify.interventions.base import method_names

TEXT = (ROOT / "docs" / "interventions.md").read_text()


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).splitlines()
    assert len(lines) == 5
    for line in lines:
        name, *arguments = shlex.split(line)
        assert name == "certify"
        shorter = ["--epochs", "1"] if "-o" in arguments else []
        result = CliRunner().invoke(app, [*arguments, *shorter])
        assert result.exit_code == 0, line + result.output
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(block.replace('settings={"eps": 0.6}', 'training={"epochs": 1}, settings={"eps": 0.6}'), {})
    assert {path.name for path in tmp_path.glob("*.onnx")} == {"scoped.onnx", "lat.onnx"}


def test_the_page_names_every_method_of_this_room() -> None:
    for name in method_names():
        assert f"| `{name}`" in TEXT
