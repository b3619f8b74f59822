"""Which specifications a comparison is about: those of files, folders, patterns and lists of instances."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from certify.batch.instances import LIST, SPECS, Instance, read_instances
from certify.batch.task import Digests
from certify.errors import InputError


def find_specs(sources: Sequence[str | Path], model: str) -> list[Instance]:
    """The questions to ask of every model, numbered in order; `model` stands for it in each of them.

    sources: a .vnnlib file, a pattern with wildcards, a folder (all specifications below it, or the instances.csv in
    it), or a list of instances. Of a list, those rows count that name `model` (by contents); where none does, all rows
    do, if they name one model between them. Raises InputError for what is not there or would mix models up.
    """
    found: list[Instance] = []
    for source in _expanded(sources):
        if source.is_dir() and not (source / LIST).exists():
            files = sorted(file for file in source.rglob("*") if file.name.endswith(SPECS))
            if not files:
                raise InputError(f"{source}: no specification in this folder", "they end with .vnnlib or .vnnlib.gz")
            found += [Instance(source.resolve().name, {"": model}, str(file)) for file in files]
        elif source.name.endswith(SPECS):
            found.append(Instance(source.resolve().parent.name, {"": model}, str(source)))
        else:
            found += _rows(source, model)
    unique = {(instance.category, instance.spec): instance for instance in found}.values()
    return [Instance(i.category, {"": model}, i.spec, i.timeout, number) for number, i in enumerate(unique)]


def of_model(instances: Iterable[Instance], model: str) -> list[Instance]:
    """The same questions about another model."""
    return [Instance(i.category, {"": model}, i.spec, i.timeout, i.index) for i in instances]


def _expanded(sources: Iterable[str | Path]) -> list[Path]:
    paths: list[Path] = []
    for source in map(str, sources):
        if Path(source).exists() or not glob.has_magic(source):
            paths.append(Path(source))
            continue
        matching = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - absolute patterns too
        if not matching:
            raise InputError(f"--specs {source}: no file matches this pattern")
        paths += map(Path, matching)
    return paths


def _rows(path: Path, model: str) -> list[Instance]:
    instances = read_instances([path])
    if any(set(instance.networks) != {""} for instance in instances):
        raise InputError(f"{path}: a row names several networks", "compare runs specifications of one network")
    digests = Digests()
    ours = digests(model)
    same = [i for i in instances if Path(i.networks[""]).exists() and digests(i.networks[""]) == ours]
    named = {i.networks[""] for i in instances}
    if not same and len(named) > 1:
        message = f"{path}: the rows are about {len(named)} models, and {model} is none of them"
        raise InputError(message, "give the model that the list names as BEFORE, or a list for it alone")
    return same or instances
