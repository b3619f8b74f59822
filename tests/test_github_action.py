"""The GitHub action: its steps, run as the runner of GitHub would, with the inputs it declares."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bundled import FAILS, HOLDS, MODEL, ROOT

FOLDER = ROOT / ".github" / "actions" / "certify"
ACTION = yaml.safe_load((FOLDER / "action.yml").read_text())
CHECK = ACTION["runs"]["steps"][1]


@pytest.fixture
def step(tmp_path: Path):
    """Run the step `Check` with some inputs, the others at their defaults: (exit code, outputs, standard output)."""
    # A command of the name that the script calls, wherever certify is installed.
    program = tmp_path / "bin" / "certify"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m certify "$@"\n')
    program.chmod(0o755)

    def run(**inputs: str) -> tuple[int, dict[str, str], str]:
        assert inputs.keys() <= ACTION["inputs"].keys()
        values = {name: text["default"] for name, text in ACTION["inputs"].items()}
        values |= {"reports": str(tmp_path / "reports of it")} | inputs
        environment = {name: values[text[len("${{ inputs.") : -len(" }}")]] for name, text in CHECK["env"].items()}
        output, summary = tmp_path / "output", tmp_path / "summary"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", CHECK["run"]],
            env={
                **os.environ, **environment, "GITHUB_ACTION_PATH": str(FOLDER), "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": str(ROOT), "PYTHONPATH": str(ROOT),
                "PATH": f"{program.parent}:{os.environ['PATH']}",
            },
            capture_output=True, text=True, cwd=tmp_path, timeout=300,
        )  # fmt: skip
        outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        assert outputs["exit-code"] == str(done.returncode), done.stderr
        return done.returncode, outputs, done.stdout

    return run


def test_every_output_is_one_that_the_script_writes(step) -> None:
    _, outputs, _ = step(model=MODEL, spec=HOLDS)
    assert outputs.keys() == ACTION["outputs"].keys()
    for name, text in ACTION["outputs"].items():
        assert text["value"] == f"${{{{ steps.{CHECK['id']}.outputs.{name} }}}}"


def test_a_property_that_holds(step) -> None:
    code, outputs, text = step(model=MODEL, spec=HOLDS)
    assert (code, "::" in text) == (0, False)
    assert json.loads(Path(outputs["sarif"]).read_text())["runs"][0]["results"] == []


def test_a_property_that_does_not(step, tmp_path: Path) -> None:
    shutil.copy(FAILS, tmp_path / "with a blank.vnnlib")
    code, outputs, text = step(model=MODEL, spec="with a blank.vnnlib", timeout="30", options="--seed 3 --no-attack")
    assert code == 1
    assert f"::error file={tmp_path / 'with a blank.vnnlib'},line=" in text
    assert len(json.loads(Path(outputs["sarif"]).read_text())["runs"][0]["results"]) == 1
    assert "# certify" in (tmp_path / "summary").read_text()
    assert step(model=MODEL, spec="with a blank.vnnlib", **{"fail-on": "undecided"})[0] == 0


def test_networks_by_name(step, tmp_path: Path) -> None:
    spec = ROOT / "tests" / "query" / "valid" / "v2_two_networks.vnnlib"
    _, _, text = step(spec=str(spec), networks=f"f={MODEL}\ng={MODEL}\n")
    assert "::error file=tests/query/valid/v2_two_networks.vnnlib" in text  # it is about other networks


def test_a_list(step, tmp_path: Path) -> None:
    (tmp_path / "instances.csv").write_text(f"{MODEL},{HOLDS},30\n{MODEL},{FAILS},30\n")
    code, outputs, text = step(instances="instances.csv")
    assert code == 1
    assert 'tests="2"' in Path(outputs["junit"]).read_text()
    assert "gate: 1 passed, 1 failed" in text
