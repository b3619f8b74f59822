"""Exit codes and files do not depend on who reads standard output; options are refused before any work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundled import ROOT

MLP, SAT, UNSAT = (
    "models/digits_mlp.onnx", "specs/digits_mlp_1_eps0.08.vnnlib", "specs/digits_mlp_0_eps0.1.vnnlib",
)  # fmt: skip
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="needs /dev/full")


def run(*arguments: object, **streams: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "certify", *map(str, arguments)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=120, **streams)  # type: ignore[call-overload, no-any-return]


def test_a_reader_that_has_gone_does_not_change_the_exit_code(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = run("check", MLP, SAT, "--json", tmp_path / "a.json", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
    assert (tmp_path / "a.json").exists()


@needs_full
@pytest.mark.parametrize("arguments", [("check", MLP, UNSAT), ("check", MLP, UNSAT, "--json", "-"), ("--help",)])
def test_a_full_disk_is_no_proof(arguments: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "standard output: cannot be written" in done.stderr


def test_standard_output_may_be_closed() -> None:
    command = f"{sys.executable} -m certify check {MLP} {SAT} >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")


@needs_full
@pytest.mark.parametrize("option", ["--counterexample", "--json", "--report=junit"])
def test_the_answer_is_said_where_a_file_cannot_be_written(certify, option: str) -> None:
    given = [f"{option}={FULL}"] if "=" in option else [option, str(FULL)]
    done = certify("check", ROOT / MLP, ROOT / SAT, *given)
    assert done.exit_code == 2
    assert done.stdout.startswith("sat\n")
    assert "No space left" in done.stderr


@pytest.mark.parametrize(
    "option",
    [
        ("--timeout", "nan"), ("--timeout", "inf"), ("--memory", "inf"), ("--seed", "-1"), ("--json", "."),
        ("--counterexample", "."), ("--certificate", "pyproject.toml/x"), ("--report", "junit=."),
    ],
)  # fmt: skip
def test_what_an_option_cannot_mean_is_refused_before_the_work(certify, monkeypatch, option: tuple[str, str]) -> None:
    monkeypatch.chdir(ROOT)
    done = certify("check", MLP, SAT, *option)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert option[0] in done.stderr or option[1].split("=")[-1] in done.stderr


def test_options_of_groups_are_looked_at_too(certify, tmp_path: Path) -> None:
    done = certify("baseline", "save", ROOT / MLP, "--specs", ROOT / UNSAT, "--timeout", "nan", "-o", tmp_path / "b")
    assert done.exit_code == 2
    assert "--timeout nan" in done.stderr


def test_a_picture_of_another_kind_is_refused_before_the_work(certify) -> None:
    done = certify("radius", "no.onnx", "--data", "no.npz", "--plot", "curve.xyz")
    assert done.exit_code == 2
    assert "curve.xyz" in done.stderr
