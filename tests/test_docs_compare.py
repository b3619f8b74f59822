"""docs/compare.md works as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bundled import FAILS, HOLDS, ROOT

TEXT = (ROOT / "docs" / "compare.md").read_text()


def test_the_page(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "specs").mkdir()
    for spec in (HOLDS, FAILS):  # the third of the pattern takes longest, and is not what the page is about
        shutil.copy(spec, tmp_path / "specs")
    command = tmp_path / "bin" / "certify"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m certify "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{command.parent}:{os.environ['PATH']}"}
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    (python,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 4

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first, _, _, last = [run("bash", "-e", "-c", block) for block in blocks]
    assert "digits_mlp (rows) to digits_cnn (columns)" in first and "no proof is lost" in first
    assert all((tmp_path / name).stat().st_size for name in ("all.json", "junit.xml", "certify.sarif", "page.html"))
    assert last.endswith("gate: 1 passed, 1 tolerated (fail on regressed,weakened,error)\n")
    assert run(sys.executable, "-c", python).startswith("[[1, 0, 0, 0], [0, 1, 0, 0]")
