"""Tasks on a Ray cluster: files travel by content, each instance is a Ray task with its resources, lost nodes cost
nothing but time.

Needs the extra certify[cluster]. The code that runs on the nodes is this very package, sent along; their Python needs
what certify needs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import certify
from certify.batch.child import Usage
from certify.batch.cold import ColdLane
from certify.batch.instances import Instance
from certify.batch.lane import now, record_of
from certify.batch.record import Record, read_record
from certify.batch.runner import ATTEMPTS, run
from certify.batch.task import Options, Task, data_files
from certify.errors import BackendError, InputError
from certify.files import read_bytes, resolve, write_text

INSTALL = "pip install ray"
LOCAL = "local"
# Tasks handed to Ray at a time, for each core that it has: enough to keep it busy, few enough to stop soon.
AHEAD = 2
# Seconds to wait for a cluster to take a connection.
PATIENCE = 10.0


@dataclass(frozen=True)
class Resources:
    """What a task is given: cores, GPUs (parts of one count too), memory in MiB or None."""

    cpus: int = 1
    gpus: float = 0.0
    memory: float | None = None


def run_on_cluster(
    tasks: Sequence[Task], address: str, resources: Resources, out: Path
) -> Generator[Record]:  # fmt: skip
    """The record of each task, in the order in which they end.

    address: of the cluster, as Ray writes it, or "local" for one on this machine. A task whose node or process is lost
    is run again elsewhere. Raises BackendError without Ray, InputError for a cluster that cannot be reached.
    """
    ray = _connected(address)
    try:
        remote = ray.remote(_run_there).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            memory=None if resources.memory is None else int(resources.memory * 2**20),
            max_retries=ATTEMPTS - 1,
        )
        yield from _collect(ray, remote, tasks, out)
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    """The module ray, connected."""
    try:
        import ray
    except ImportError:
        raise BackendError("--cluster needs Ray, which is not installed", f"install it with: {INSTALL}") from None
    _check_reachable(address)
    environment = {"py_modules": [str(Path(certify.__file__).parent)], "env_vars": {"OPENBLAS_NUM_THREADS": "1"}}
    options: dict[str, Any] = {"runtime_env": environment, "log_to_driver": False, "logging_level": logging.ERROR}
    try:
        ray.init(**options, **({"include_dashboard": False} if address == LOCAL else {"address": address}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_cluster(address, str(error).strip().splitlines()[0]) from None
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        except OSError as error:
            raise _no_cluster(address, error.strerror or str(error)) from None


def _no_cluster(address: str, why: str) -> InputError:
    hint = "ray start --head starts one, or --cluster local; RAY_AUTH_MODE=token if it asks for a token"
    return InputError(f"--cluster {address}: no cluster answers there: {why}", hint)


def _collect(ray: Any, remote: Any, tasks: Sequence[Task], out: Path) -> Generator[Record]:
    """Keep as many tasks with Ray as it can use, and take what ends."""
    sent: dict[str, Any] = {}
    waiting = list(reversed(tasks))
    running: dict[Any, Task] = {}
    ahead = max(1, int(AHEAD * ray.cluster_resources().get("CPU", 1.0)))
    while waiting or running:
        while waiting and len(running) < ahead:
            task = waiting.pop()
            try:
                running[remote.remote(_packed(task), _shipped(ray, task, sent))] = task
            except InputError as error:
                yield record_of(task, now(), Usage(0.0, 0.0, 0.0), None, str(error), error.exit_code)
        done, _ = ray.wait(list(running), num_returns=1) if running else ([], [])
        for reference in done:
            yield _taken(ray, reference, running.pop(reference), out)


def _taken(ray: Any, reference: Any, task: Task, out: Path) -> Record:
    """The record that a task on the cluster ended with, with the names that the files have here."""
    try:
        line, witness = ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = f"lost on the cluster, {ATTEMPTS} times: {str(error).strip().splitlines()[0]}"
        return record_of(task, now(), Usage(0.0, 0.0, 0.0), None, reason, 4)
    if witness is not None:
        path = task.instance.witness_path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, witness)
    record = read_record(line, "the cluster", 1)
    return replace(record, networks=task.instance.networks, spec=task.instance.spec, sha256=task.sha256)


def _packed(task: Task) -> dict[str, Any]:
    """The task as values that need no class on the other side."""
    return {
        "key": task.key, "timeout": task.timeout, "instance": asdict(task.instance), "options": asdict(task.options)
    }  # fmt: skip


def _shipped(ray: Any, task: Task, sent: dict[str, Any]) -> dict[str, list[tuple[str, str, list[Any]]]]:
    """For each file of the task, it and what belongs to it: (name, sha256, contents in Ray's store).

    The contents stand in a list, so that a node fetches them only if it has no copy. sent: those in the store, by
    sha256.
    """
    found = {}
    for file in (*task.instance.networks.values(), task.instance.spec):
        main = resolve(file)
        data = read_bytes(main)
        # Unpacked, as it was read, beside its data files: those go by their names.
        contents = [(main.name.removesuffix(".gz"), data)]
        contents += [(f.name, f.read_bytes()) for f in data_files(file, data)]
        entries = []
        for name, content in contents:
            digest = hashlib.sha256(content).hexdigest()
            if digest not in sent:
                sent[digest] = ray.put(content)
            entries.append((name, digest, [sent[digest]]))
        found[file] = entries
    return found


def _run_there(
    packed: Mapping[str, Any], files: Mapping[str, list[tuple[str, str, list[Any]]]]
) -> tuple[str, str | None]:
    """On a node: the record as a line, and the text of the counterexample."""
    here = {file: _unpacked(entries) for file, entries in files.items()}
    values = packed["instance"]
    networks = {name: here[file] for name, file in values["networks"].items()}
    instance = Instance(**{**values, "networks": networks, "spec": here[values["spec"]]})
    options = Options(**{**packed["options"], "extra": tuple(packed["options"]["extra"])})
    task = Task(packed["key"], instance, options, packed["timeout"], {})
    with tempfile.TemporaryDirectory(prefix="certify-") as scratch:
        (record,) = run([task], [ColdLane(Path(scratch))])
        witness = instance.witness_path(Path(scratch))
        text = witness.read_text() if witness.exists() else None
    return record.line(), text


def _unpacked(entries: list[tuple[str, str, list[Any]]]) -> str:
    """Where the first of these files lies on this node, with the others beside it; fetched once per content."""
    import ray

    whole = hashlib.sha256("".join(digest for _, digest, _ in entries).encode()).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"certify-files-{os.getuid()}" / whole
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, digest, (reference,) in entries:
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            part = folder / f".{name}.{os.getpid()}"
            part.write_bytes(ray.get(reference))
            part.replace(path)
    return str(folder / entries[0][0])
