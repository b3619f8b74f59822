"""docs/ci.md works as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bundled import ROOT

TEXT = (ROOT / "docs" / "ci.md").read_text()
BLOCKS = {name: re.findall(rf"```{name}\n(.*?)```", TEXT, re.DOTALL) for name in ("sh", "yaml", "python", "toml")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the bundled models and specs, and certify on the path."""
    for name in ("models", "specs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    program = tmp_path / "bin" / "certify"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m certify "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    environment.pop("GITHUB_STEP_SUMMARY", None)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)


def test_the_blocks_are_all_there() -> None:
    assert {name: len(blocks) for name, blocks in BLOCKS.items()} == {"sh": 2, "yaml": 2, "python": 1, "toml": 1}


@pytest.mark.parametrize("number", range(2))
def test_the_commands(folder: Path, number: int) -> None:
    done = run(["bash", "-e", "-c", BLOCKS["sh"][number]], folder)
    assert done.returncode == 0, done.stderr
    if number == 0:
        assert "gate: 1 tolerated (fail on violated,error)" in done.stdout
    else:
        named = re.findall(r"\w+=([\w.]+)", " ".join(re.findall(r"--report (\S+)", BLOCKS["sh"][1])))
        assert len(named) == 7
        assert all((folder / name).stat().st_size for name in named)


def test_pytest(folder: Path) -> None:
    (folder / "test_networks.py").write_text(BLOCKS["python"][0])
    (folder / "digits.certify.toml").write_text(BLOCKS["toml"][0])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "certify.pytest_plugin",
        "-c",
        "/dev/null",
        "--rootdir=.",
        "-q",
        ".",
    ]
    done = run(command, folder)
    assert "5 passed" in done.stdout, done.stdout


def test_the_workflows() -> None:
    github, gitlab = (yaml.safe_load(block) for block in BLOCKS["yaml"])
    action = yaml.safe_load((ROOT / ".github" / "actions" / "certify" / "action.yml").read_text())
    (step,) = [step for step in github["jobs"]["certify"]["steps"] if "certify/.github" in step.get("uses", "")]
    assert step["uses"].partition("@")[0].endswith("/certify/.github/actions/certify")
    assert step["with"].keys() <= action["inputs"].keys()
    assert gitlab["certify"]["artifacts"]["reports"]["junit"] in gitlab["certify"]["script"][1]
