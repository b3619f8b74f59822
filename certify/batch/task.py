"""An instance ready to run: with options, and with a key over everything that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from certify import __version__
from certify.batch.instances import Instance
from certify.errors import InputError
from certify.files import read_bytes, resolve

DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True)
class Options:
    """What every instance of a campaign is run with.

    timeout: seconds instead of the instance's own; memory: MiB, None for no limit; extra: more options of `certify
    check`. processes: how many one instance may use, None for as many as there are cores. certificates: whether one of
    every verdict is kept beside the results; recheck: whether the checker must accept it before an answer is unsat.
    plans: whether how each proof divided its problem is kept beside the results.
    """

    timeout: float | None = None
    memory: float | None = None
    backend: str = "native"
    extra: tuple[str, ...] = ()
    processes: int | None = None
    certificates: bool = False
    recheck: bool = False
    plans: bool = False

    @property
    def evidence(self) -> tuple[str, ...]:
        """What is asked of a proof, if anything."""
        return tuple(name for name in ("certificates", "recheck") if getattr(self, name))


@dataclass(frozen=True)
class Task:
    """An instance with its options. sha256: of each file, by its path. timeout: seconds. follow: a plan's file."""

    key: str
    instance: Instance
    options: Options
    timeout: float
    sha256: dict[str, str]
    follow: str | None = None

    def following(self, plan: Path) -> Task:
        """The same with a plan to follow, which makes another result of it."""
        key = hashlib.sha256(f"{self.key} follows {Digests()(str(plan))}".encode()).hexdigest()
        return replace(self, key=key, follow=str(plan))

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What a record of this task has in common with it, wherever the files lie now."""
        return identity(self.key, self.instance)


def identity(key: str, instance: Instance) -> tuple[str, str, str, str]:
    """Key, benchmark and names: a list may hold one content under several names."""
    models = ",".join(Path(file).name for file in instance.networks.values())
    return key, instance.category, models, Path(instance.spec).name


class Digests:
    """The sha256 of files, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        """Over the uncompressed bytes, and those of the data files that a model keeps beside itself."""
        if path not in self._known:
            data = read_bytes(path)
            digest = hashlib.sha256(data)
            for file in data_files(path, data):
                digest.update(read_bytes(file))
            self._known[path] = digest.hexdigest()
        return self._known[path]


def data_files(path: str, data: bytes) -> list[Path]:
    """The files beside a model that hold its weights."""
    # The word stands in every model that has such files, and in few others: most need not be decoded.
    if b"location" not in data or ".onnx" not in Path(path).name:
        return []
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError:
        return []
    names = {e.value for t in proto.graph.initializer for e in t.external_data if e.key == "location"}
    found = [resolve(path).parent / name for name in sorted(names)]
    return [file for file in found if file.is_file()]


def make_tasks(instances: Iterable[Instance], options: Options) -> list[Task]:
    """A task for each instance; one whose files cannot be read gets a key all the same, and will end in an error."""
    digests, tasks = Digests(), []
    for instance in instances:
        sha256 = {}
        for file in (*instance.networks.values(), instance.spec):
            try:
                sha256[file] = digests(file)
            except InputError:
                sha256[file] = ""
        timeout = next((t for t in (options.timeout, instance.timeout) if t is not None), DEFAULT_TIMEOUT)
        content = (
            [(name, sha256[file]) for name, file in instance.networks.items()],
            sha256[instance.spec],
            (timeout, options.memory, options.backend, options.extra, *options.evidence),
            __version__,
        )
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        tasks.append(Task(key, instance, options, timeout, sha256))
    return tasks
