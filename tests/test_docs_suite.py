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


def rows_of(page: str) -> list[list[str]]:
    """The cells of the table of a page, headings first."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.replace("\\|", "").strip("|").split("|")] for line in lines]


def test_the_page_shows_what_the_suite_prints_and_the_readme_a_part_of_it() -> None:
    page = (ROOT / "docs" / "suite.md").read_text()
    whole = rows_of(page[page.index("suite:begin") : page.index("suite:end")])
    assert whole[0] == [heading.replace("|", "") for heading in table.HEADINGS]
    assert len(whole) == 16
    readme = (ROOT / "README.md").read_text()
    part = rows_of(readme[: readme.index("## Try it")])
    places = [whole[0].index(heading) for heading in part[0]]
    by_name = {row[0]: [row[place] for place in places] for row in whole[1:]}
    assert len(part) > 10
    assert [row for row in part[1:] if row != by_name[row[0]]] == []
