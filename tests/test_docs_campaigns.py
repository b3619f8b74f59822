"""docs/campaigns.md and the Slurm array work as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundled import FAILS, HOLDS, MODEL, ROOT

from certify.batch.journal import read_journal

TEXT = (ROOT / "docs" / "campaigns.md").read_text()
ARRAY = ROOT / "docs" / "campaign.sbatch"
SBATCH = re.compile(r"#SBATCH --(job-name|array|cpus-per-task|mem|time|output)=\S+|#SBATCH --requeue")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell that finds certify."""
    command = tmp_path / "bin" / "certify"
    command.parent.mkdir()
    command.write_text(f'#!/bin/bash\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m certify "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}


def shell(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-e", "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_page(tmp_path: Path, environment: dict[str, str]) -> None:
    for name in ("models", "specs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    # What takes long is not what the page is about.
    for spec in (tmp_path / "specs").glob("*.vnnlib"):
        if spec.name not in (Path(HOLDS).name, Path(FAILS).name):
            spec.unlink()
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        done = shell(block, tmp_path, environment)
        assert done.returncode == 0, block + done.stderr
    for name in ("first", "warm", "proofs", "all"):
        statuses = {Path(r.spec).name: r.status for r in read_journal(tmp_path / "runs" / name)}
        assert statuses == {Path(HOLDS).name: "unsat", Path(FAILS).name: "sat"}


def test_the_array(tmp_path: Path, environment: dict[str, str]) -> None:
    lines = [line for line in ARRAY.read_text().splitlines() if line.startswith("#SBATCH")]
    assert lines and all(SBATCH.fullmatch(line) for line in lines)
    (tmp_path / "instances.csv").write_text(f"{MODEL},{HOLDS},60\n{MODEL},{FAILS},60\n")
    for i in (1, 2):
        array = {"SLURM_ARRAY_TASK_ID": str(i), "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "2"}
        done = shell(f"bash {ARRAY} instances.csv out", tmp_path, {**environment, **array})
        assert done.returncode == 0, done.stderr
    done = shell("certify merge out/* --out all", tmp_path, environment)
    assert done.stdout == "all: 2 instances: 1 sat, 1 unsat\n", done.stderr
