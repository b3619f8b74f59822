from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundled import CNN, FAILS, HARD, HOLDS, MODEL, ROOT

from certify.batch.journal import JOURNAL, Journal, read_journal
from certify.batch.results import read_results


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Two easy instances in an instances.csv."""
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "instances.csv").write_text(f"{MODEL},{HOLDS},60\r\n{MODEL},{FAILS},60\r\n")
    return folder / "instances.csv"


def statuses(out: Path) -> list[str]:
    return [record.status for record in read_journal(out)]


@pytest.mark.parametrize("warm", [[], ["--warm"]], ids=["cold", "warm"])
def test_a_campaign(certify, listed: Path, tmp_path: Path, warm: list[str]):
    out = tmp_path / "out"
    result = certify("batch", listed, "--out", out, *warm)
    assert result.exit_code == 0, result.output
    first, second, counts, where = result.output.splitlines()
    assert first.startswith("[1/2] unsat ") and second.startswith("[2/2] sat ")
    assert first.endswith("digits digits_mlp.onnx digits_mlp_0_eps0.1.vnnlib")
    assert counts == "2 of 2 instances: 1 sat, 1 unsat"
    assert where == f"{out}: results.csv, results.jsonl"
    assert [row.result for row in read_results(out / "results.csv")] == ["unsat", "sat"]
    assert (out / "digits" / "digits_mlp_digits_mlp_1_eps0.08.counterexample").exists()


def test_resume_runs_what_is_missing(certify, listed: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert certify("batch", listed, "--out", out, "--shard", "2/2").exit_code == 0
    again = certify("batch", listed, "--out", out)
    assert again.exit_code == 2 and "--resume" in again.stderr
    result = certify("batch", listed, "--out", out, "--resume")
    assert result.output.splitlines()[0] == "1 of 2 instances are done already"
    assert statuses(out) == ["sat", "unsat"]
    assert [row.result for row in read_results(out / "results.csv")] == ["unsat", "sat"]


def test_retry_runs_again_what_ended_so(certify, tmp_path: Path):
    model, out = tmp_path / "digits_mlp.onnx", tmp_path / "out"
    (tmp_path / "instances.csv").write_text(f"digits_mlp.onnx,{HOLDS}\n{MODEL},{FAILS}\n")
    result = certify("batch", tmp_path, "--out", out)
    assert result.exit_code == 0 and "digits_mlp.onnx: no such file" in result.output
    assert statuses(out) == ["error", "sat"]
    certify("batch", tmp_path, "--out", out, "--resume")
    assert statuses(out) == ["error", "sat"]
    shutil.copy(MODEL, model)
    result = certify("batch", tmp_path, "--out", out, "--retry", "error,oom")
    assert result.exit_code == 0
    assert statuses(out) == ["unsat", "sat"]
    assert [row.result for row in read_results(out / "results.csv")] == ["unsat", "sat"]


def test_fail_fast_stops_at_the_first_violation(certify, tmp_path: Path):
    (tmp_path / "instances.csv").write_text(f"{MODEL},{FAILS}\n{MODEL},{HOLDS}\n")
    result = certify("batch", tmp_path, "--out", tmp_path / "out", "--fail-fast")
    assert result.exit_code == 3
    assert statuses(tmp_path / "out") == ["sat"]
    assert "--resume goes on" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "absent.csv: no such file"),
        ([str(ROOT / "models"), str(ROOT / "specs"), "--shard", "3/2"], "--shard 3/2"),
        ([str(ROOT / "models"), str(ROOT / "specs"), "--retry", "sat"], "--retry sat"),
        ([str(ROOT / "models"), str(ROOT / "specs"), "--backend", "magic"], "magic"),
        ([str(ROOT / "docs")], "no instance"),
        ([str(ROOT / "models"), "--warm", "--cluster", "local"], "do not go together"),
    ],
)
def test_unusable_input(certify, tmp_path: Path, arguments: list[str], message: str):
    result = certify("batch", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_second_run_is_refused(certify, listed: Path, tmp_path: Path):
    with Journal(tmp_path / "out"):
        result = certify("batch", listed, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "another run is writing there" in result.stderr


def test_the_parent_may_be_killed(tmp_path: Path, listed: Path):
    out = tmp_path / "out"
    listed.write_text(f"{MODEL},{HOLDS},60\n{CNN},{HARD},600\n{MODEL},{FAILS},60\n")
    command = [sys.executable, "-m", "certify", "batch", str(listed), "--out", str(out)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    assert parent.stdout.readline().startswith("[1/3] unsat")
    # The second instance, which takes long, is about to start or has started.
    parent.kill()
    parent.wait()
    assert statuses(out) == ["unsat"]
    with (out / JOURNAL).open("a") as file:
        file.write('{"key": "cut sho')
    listed.write_text(f"{MODEL},{HOLDS},60\n{MODEL},{FAILS},60\n")
    end = subprocess.run([*command, "--resume"], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert end.returncode == 0, end.stderr
    assert statuses(out) == ["unsat", "sat"]


def test_merge_joins_shards_and_finds_conflicts(certify, listed: Path, tmp_path: Path):
    for i in (1, 2):
        assert certify("batch", listed, "--out", tmp_path / str(i), "--shard", f"{i}/2").exit_code == 0
    result = certify("merge", tmp_path / "2", tmp_path / "1", "--out", tmp_path / "all")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'all'}: 2 instances: 1 sat, 1 unsat\n")
    assert [row.result for row in read_results(tmp_path / "all" / "results.csv")] == ["unsat", "sat"]
    wrong = (tmp_path / "1" / JOURNAL).read_text().replace('"status":"unsat"', '"status":"sat"')
    (tmp_path / "1" / JOURNAL).write_text(wrong)
    result = certify("merge", tmp_path / "all", tmp_path / "1", "--out", tmp_path / "again")
    assert result.exit_code == 1
    assert result.output.splitlines()[1].startswith(f"CONFLICT: {MODEL} {HOLDS}: proved on ")


def test_unwritable_folder(certify, listed: Path, tmp_path: Path):
    if os.geteuid() == 0:
        target = Path("/proc/certify")
    else:
        target = tmp_path / "closed" / "out"
        target.parent.mkdir(mode=0o500)
    result = certify("batch", listed, "--out", target)
    assert result.exit_code == 2 and "cannot be written" in result.stderr


def test_a_terminal_shows_what_runs(listed: Path, tmp_path: Path):
    pty = pytest.importorskip("pty")
    reader, writer = pty.openpty()
    listed.write_text(f"{CNN},{HARD},2\n{MODEL},{HOLDS},60\n")
    command = [sys.executable, "-m", "certify", "batch", str(listed), "--out", str(tmp_path / "out")]
    run = subprocess.Popen(command, stdout=writer, stderr=writer, cwd=ROOT, env={**os.environ, "TERM": "xterm"})
    os.close(writer)
    shown = b""
    while True:
        try:
            heard = os.read(reader, 2**16)
        except OSError:
            break
        if not heard:
            break
        shown += heard
    assert run.wait(60.0) == 0
    text = shown.decode()
    assert "0 of 2 done, 0 decided" in text
    assert "running: digits digits_cnn.onnx digits_cnn_6_eps0.125.vnnlib" in text
    assert "[1/2]" not in text
    assert "2 of 2 instances: 1 timeout, 1 unsat" in text
