"""`certify check`: first line, exit code, and what is written."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bundled import CNN, FAILS, HARD, HOLDS, MODEL, ROOT

from certify.query.read import read_query
from certify.witness.replay import Replay
from certify.witness.runtime import Runtime


@pytest.mark.parametrize(
    ("spec", "options", "word", "code"),
    [
        (HOLDS, [], "unsat", 0),
        (FAILS, [], "sat", 1),
        (HOLDS, ["--no-attack"], "unsat", 0),
        (HOLDS, ["--expect", "unsat"], "unsat", 0),
        (HOLDS, ["--expect", "sat"], "unsat", 1),
        (FAILS, ["--expect", "sat"], "sat", 0),
        (FAILS, ["--exit-zero"], "sat", 0),
        (HOLDS, ["--strict"], "unsat", 0),
    ],
)
def test_first_line_and_exit_code(certify, spec: str, options: list[str], word: str, code: int) -> None:
    result = certify("check", MODEL, spec, *options)
    assert result.stdout.splitlines()[0] == word
    assert result.exit_code == code


@pytest.mark.parametrize(("options", "code"), [([], 3), (["--expect", "unsat"], 3), (["--exit-zero"], 0)])
def test_no_time(process, options: list[str], code: int) -> None:
    result = process("check", MODEL, HOLDS, "--timeout", 0, *options)
    assert result.stdout.splitlines()[0] == "timeout"
    assert result.returncode == code


def test_the_answer_says_what_it_means(certify) -> None:
    text = certify("check", MODEL, HOLDS).stdout
    assert "property proved" in text
    assert "evidence:" in text
    assert "bound: margin >= " in text
    assert "time: load" in text
    assert "property violated" in certify("check", MODEL, FAILS).stdout


def test_the_process_says_the_same(process) -> None:
    result = process("check", MODEL, FAILS)
    assert result.returncode == 1
    assert result.stdout.startswith("sat\n")
    assert result.stderr == ""


def test_counterexample_file_replays(certify, tmp_path: Path) -> None:
    path = tmp_path / "ce.txt"
    assert certify("check", MODEL, FAILS, "--counterexample", path).exit_code == 1
    text = path.read_text()
    assert text.startswith("((X_0 ")
    values = [
        float(pair.rsplit(" ", 1)[1].rstrip(")")) for pair in text.strip().splitlines() if pair.strip("(")[0] == "X"
    ]
    assert Replay(Runtime(MODEL), read_query(FAILS))(np.array(values)) is not None


def test_json(certify, tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    certify("check", MODEL, FAILS, "--json", path)
    data = json.loads(path.read_text())
    assert data["verdict"] == data["status"] == "sat"
    assert len(data["witness"]["X"]) == 64
    assert len(data["model_sha256"]) == len(data["spec_sha256"]) == 64
    whole = certify("check", MODEL, HOLDS, "--json", "-")
    assert json.loads(whole.stdout)["bound"] > 0
    assert whole.exit_code == 0


def test_packed_files(certify, tmp_path: Path) -> None:
    for source, name in ((MODEL, "m.onnx"), (HOLDS, "s.vnnlib")):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(Path(source).read_bytes()))
    for suffix in ("", ".gz"):
        result = certify("check", tmp_path / f"m.onnx{suffix}", tmp_path / f"s.vnnlib{suffix}")
        assert result.stdout.startswith("unsat\n")


def test_the_same_seed_gives_the_same_witness(certify) -> None:
    texts = [certify("check", MODEL, FAILS, "--seed", 3).stdout.split("time:")[0] for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="the system has no sigtimedwait")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_best_bound_so_far(number: int) -> None:
    command = [sys.executable, "-m", "certify", "check", CNN, HARD, "--timeout", "600", "--json", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    while cpu_seconds(process.pid) < 3.0:  # far beyond start and attack, far from done
        time.sleep(0.1)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    data = json.loads(out)
    assert process.returncode == 3
    assert data["verdict"] == "unknown"
    assert "interrupted" in data["reason"]
    assert data["bound"] is not None


def cpu_seconds(pid: int) -> float:
    """User time of a process so far."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")


def test_out_of_time_while_searching(process) -> None:
    result = process("check", CNN, HARD, "--timeout", 5, "--json", "-")
    data = json.loads(result.stdout)
    assert result.returncode == 3
    assert data["verdict"] == "timeout"
    assert data["bound"] < 0
    assert data["seconds"]["search"] > 0


def test_small_dense_problems_do_not_import_torch() -> None:
    code = (
        "import sys\nfrom certify.cli import main\nfrom typer.testing import CliRunner\n"
        f"r = CliRunner().invoke(main.app, ['check', {MODEL!r}, {HOLDS!r}])\n"
        "assert r.stdout.startswith('unsat'), r.stdout\n"
        "print([m for m in ('torch', 'scipy', 'pydantic', 'auto_LiRPA') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.strip() == "[]"


def test_help_imports_nothing_heavy() -> None:
    heavy = ("numpy", "onnx", "onnxruntime", "torch")
    code = f"import sys, certify.cli.main; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.strip() == "[]"


def test_nothing_but_the_answer_in_a_pipe(process) -> None:
    result = process("check", MODEL, HOLDS, env={**os.environ, "TERM": "xterm-256color"})
    assert "\x1b" not in result.stdout + result.stderr


def test_too_little_memory_is_undecided_not_wrong(process) -> None:
    result = process("check", CNN, HARD, "--timeout", 5, "--memory", 128, "--json", "-")
    assert result.returncode == 3
    assert json.loads(result.stdout)["status"] in ("out-of-memory", "timeout")
    assert "Traceback" not in result.stderr


def test_the_counterexample_is_kept_from_a_reader_who_leaves(tmp_path: Path) -> None:
    target = tmp_path / "ce.txt"
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "certify", "check", MODEL, FAILS, "--counterexample", str(target)]
    subprocess.run(command, stdout=writer, cwd=ROOT, timeout=120)
    os.close(writer)
    assert target.read_text().startswith("((X_0 ")
