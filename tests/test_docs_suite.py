"""docs/suite.md works as written, and the table in the README is one that the suite prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bundled import ROOT

from certify.studies import table


def test_the_page(tmp_path: Path) -> None:
    for module in ("torch", "sklearn", "jinja2", "matplotlib"):
        pytest.importorskip(module)
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "suite.md").read_text(), re.DOTALL)
    command = block.strip().replace("certify ", "", 1).split()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "certify", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("trojaned", "clean reference", "fine-tuned", "scoped"))
    assert {path.name for path in (tmp_path / "runs" / "suite").iterdir()} >= {"index.html", "suite.json", "bed"}


def test_the_readme_shows_what_the_suite_prints() -> None:
    text = (ROOT / "README.md").read_text()
    shown = text[text.index("suite:begin") : text.index("suite:end")]
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    cells = [cell.strip() for cell in rows[0].replace("\\|f-g\\|", "f-g").strip("|").split("|")]
    assert cells == [heading.replace("|", "") for heading in table.HEADINGS]
    assert len(rows) == 17
