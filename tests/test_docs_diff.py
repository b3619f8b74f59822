"""docs/diff.md works as written."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from bundled import ROOT
from typer.testing import CliRunner

from certify.cli.main import app

TEXT = (ROOT / "docs" / "diff.md").read_text()


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    for name in ("models", "specs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (python,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(python, "docs/diff.md", "exec"), {})
    (shell,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    lines = shell.strip().splitlines()
    assert len(lines) == 5 and Path("pruned.onnx").exists()
    for line in lines:
        # Less time than the page gives: bounds are there at once.
        words = re.sub(r"--timeout \d+", "--timeout 2", line)
        result = CliRunner().invoke(app, shlex.split(words)[1:])
        assert result.exit_code == 0, (line, result.output)
        assert "(proven)" in result.stdout or result.stdout.startswith("unsat")
