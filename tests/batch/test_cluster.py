"""A real Ray cluster on the loopback interface; skipped where Ray is not installed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from bundled import FAILS, HOLDS, MODEL, ROOT

from certify.batch.cluster import Resources, run_on_cluster
from certify.batch.instances import Instance
from certify.batch.journal import read_journal
from certify.batch.task import Options, make_tasks
from certify.errors import BackendError, InputError

INSTANCES = [Instance("digits", {"": MODEL}, spec, 60.0, index) for index, spec in enumerate((HOLDS, FAILS))]


def test_without_ray_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BackendError, match="pip install ray"):
        next(run_on_cluster(make_tasks(INSTANCES, Options()), "local", Resources(), tmp_path))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Address and process of a head node that was started as people start it, and the environment that reaches it."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'certify[cluster]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))
    environment = {
        **os.environ,
        # Ray replaces 127.0.0.1 by an address that others can reach, but for this switch.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Whether Ray asks for a token must not depend on what this user has done before.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    command = Path(sys.executable).with_name("ray")
    # A short path: Ray puts sockets there.
    place = Path("/tmp") / f"certify-ray-{os.getpid()}"
    options = ["--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={place}"]
    head = subprocess.Popen(
        [command, "start", "--head", "--block", f"--port={port}", "--node-ip-address=127.0.0.1", *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True, start_new_session=True,
    )  # fmt: skip
    assert head.stdout is not None
    said = []
    for line in head.stdout:
        said.append(line)
        if "Ray runtime started" in line:
            break
    else:
        pytest.fail("ray start: " + "".join(said))
    yield f"127.0.0.1:{port}", head.pid, environment
    for pid in (*below(head.pid), head.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    head.wait()
    shutil.rmtree(place, ignore_errors=True)


def parents() -> dict[int, tuple[int, bytes]]:
    """(parent, command line) of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            found[int(folder.name)] = parent, (folder / "cmdline").read_bytes()
        except OSError:
            continue
    return found


def below(head: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    tree, found, before = parents(), {head}, set[int]()
    while found != before:
        before = set(found)
        found |= {pid for pid, (parent, _) in tree.items() if parent in found}
    return found - {head}


def workers_at_work(head: int) -> list[int]:
    """Workers of this cluster that have a child of ours."""
    tree, own = parents(), below(head)
    return [tree[pid][0] for pid in own if b"certify.batch.leash" in tree.get(pid, (0, b""))[1]]


def test_no_cluster_there(tmp_path: Path):
    pytest.importorskip("ray")
    with pytest.raises(InputError, match="no cluster answers"):
        next(run_on_cluster(make_tasks(INSTANCES, Options()), "127.0.0.1:1", Resources(), tmp_path))


def test_a_campaign_with_a_worker_killed(cluster: tuple[str, int, dict[str, str]], tmp_path: Path):
    address, head, environment = cluster
    listed = tmp_path / "digits" / "instances.csv"
    listed.parent.mkdir()
    listed.write_text(f"{MODEL},{HOLDS},60\n{MODEL},{FAILS},60\n{tmp_path}/absent.onnx,{HOLDS},60\n")
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            for pid in workers_at_work(head):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    out = tmp_path / "out"
    command = [sys.executable, "-m", "certify", "batch", str(listed), "--out", str(out), "--cluster", address]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    killer.join(60.0)
    assert killed
    records = sorted(read_journal(out), key=lambda record: record.index)
    assert [record.status for record in records] == ["unsat", "sat", "error"]
    # The names are those of the list, wherever it ran.
    assert (records[0].networks, records[0].spec) == ({"": MODEL}, HOLDS)
    assert "absent.onnx: no such file" in records[2].reason
    witness = out / "digits" / "digits_mlp_digits_mlp_1_eps0.08.counterexample"
    assert witness.read_text().startswith("((X_0 ")
