"""The examples of docs/specifications.md run as written and print what stands below them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from bundled import ROOT

from certify.query.read import read_query

TEXT = (ROOT / "docs" / "specifications.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own with the bundled models."""
    shutil.copytree(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == TEXT.count("```python") == 3


@pytest.mark.parametrize("number", range(3))
def test_an_example(folder: Path, capsys: pytest.CaptureFixture[str], number: int) -> None:
    code, printed = EXAMPLES[number]
    exec(compile(code, "docs/specifications.md", "exec"), {})
    assert capsys.readouterr().out == printed
    for path in folder.glob("*.vnnlib"):
        assert not read_query(path, strict=True).warnings
