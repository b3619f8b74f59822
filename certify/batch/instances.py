"""Lists of instances: the instances.csv of VNN-COMP in the forms of all years, or folders of models and specs."""

from __future__ import annotations

import ast
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from certify.errors import InputError, ParseError
from certify.files import read_bytes, resolve

LIST = "instances.csv"
# From 2026 on a benchmark has one folder per version of VNN-LIB, each with its list.
VERSIONS = ("1.0", "2.0")
MODELS, SPECS = (".onnx", ".onnx.gz"), (".vnnlib", ".vnnlib.gz")


@dataclass(frozen=True)
class Instance:
    """One question. category: the benchmark. networks: model file by network name ("" where the list names none).

    Paths are as they open from the working folder. timeout: seconds, None where the list says nothing. index: its
    position among all instances given.
    """

    category: str
    networks: dict[str, str]
    spec: str
    timeout: float | None = None
    index: int = 0

    @property
    def name(self) -> str:
        """How VNN-COMP names counterexamples: <model>_<spec> without endings, after the folders below onnx/ if any.

        Several networks go by their names.
        """
        if "" not in self.networks:
            return "_".join((*self.networks, _stem(self.spec)))
        *folders, model = self.networks[""].split("/onnx/")[-1].split("/")
        inside = folders if "/onnx/" in self.networks[""] else []
        return "_".join((*inside, _stem(model), _stem(self.spec)))

    def witness_path(self, folder: Path) -> Path:
        """Where its counterexample lies below the folder of a campaign, as VNN-COMP keeps them."""
        return folder / (self.category or "-") / f"{self.name}.counterexample"

    def certificate_path(self, folder: Path) -> Path:
        """Where the certificate of its verdict lies below the folder of a campaign."""
        return folder / "certificates" / (self.category or "-") / f"{self.name}.cert"

    def plan_path(self, folder: Path) -> Path:
        """Where the plan of its proof lies below the folder of a campaign."""
        return folder / "plans" / (self.category or "-") / f"{self.name}.npz"


def read_instances(sources: Iterable[str | Path]) -> list[Instance]:
    """The instances of several lists or folders, in order.

    A folder with instances.csv in it, or in folders below it, stands for these lists; one without stands, with the
    others like it, for its models and specs. Raises InputError (ParseError for a line of a list) for unusable input.
    """
    found: list[Instance] = []
    loose: list[Path] = []
    for source in map(Path, sources):
        if not source.is_dir():
            found += _read_list(source)
            continue
        lists = [source / LIST] if (source / LIST).exists() else sorted(source.glob(f"**/{LIST}"))
        for path in lists:
            found += _read_list(path)
        if not lists:
            loose.append(source)
    if loose:
        found += _pair(loose)
    if not found:
        raise InputError("there is no instance in what is given", f"give an {LIST}, or folders of models and specs")
    return [replace(instance, index=index) for index, instance in enumerate(found)]


def shard(instances: Sequence[Instance], text: str) -> list[Instance]:
    """Part i of n of the instances, for the text i/n with i from 1; every n-th, so that benchmarks are spread."""
    part, slash, parts = text.partition("/")
    if not (slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise InputError(f"--shard {text}: expected i/n with 1 <= i <= n", "as in --shard 2/8")
    return list(instances[int(part) - 1 :: int(parts)])


def parse_networks(field: str) -> dict[str, str]:
    """Model file by network name: of a plain path, or of a Python list [('f', 'a.onnx'), ('g', 'b.onnx')].

    Raises ValueError for a list that is not one of pairs of texts.
    """
    field = field.strip()
    if not field.startswith("["):
        return {"": field}
    try:
        pairs = ast.literal_eval(field)
        networks: dict[str, str] = dict(pairs)
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{field}: not a list of networks and files") from error
    well_formed = all(isinstance(pair, tuple) and all(isinstance(t, str) and t for t in pair) for pair in pairs)
    if not networks or len(networks) < len(pairs) or not well_formed:
        raise ValueError(f"{field}: not a list of networks and files")
    return networks


def networks_field(networks: dict[str, str]) -> str:
    """The field that `parse_networks` reads."""
    return networks[""] if "" in networks else repr(list(networks.items()))


def _read_list(path: Path) -> Iterator[Instance]:
    """The rows of an instances.csv: onnx,vnnlib[,seconds], with either end of line, paths relative to its folder."""
    folder = path.parent
    named = folder.resolve()
    category = named.parent.name if named.name in VERSIONS else named.name
    rows = csv.reader(read_bytes(path).decode("utf-8-sig", "replace").splitlines())
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if cells[0].startswith("[") and len(cells) > 3:
            # A list literal that somebody forgot to quote.
            cells = [",".join(cells[:-2]), *cells[-2:]]
        if len(cells) not in (2, 3):
            raise ParseError(str(path), number, 1, f"{len(cells)} columns", "expected onnx,vnnlib,seconds")
        try:
            networks = {name: _located(folder, file, "onnx") for name, file in parse_networks(cells[0]).items()}
            timeout = float(cells[2]) if len(cells) == 3 else None
        except ValueError as error:
            raise ParseError(str(path), number, 1, str(error), "expected onnx,vnnlib,seconds") from None
        if timeout is not None and not 0.0 <= timeout < float("inf"):
            raise ParseError(str(path), number, 1, f"the time of {cells[2]} seconds makes no sense", "give seconds")
        yield Instance(category, networks, _located(folder, cells[1], "vnnlib"), timeout)


def _located(folder: Path, name: str, usual: str) -> str:
    """The file's path from the working folder; some lists leave out the folder onnx/ or vnnlib/."""
    path = os.path.normpath(folder / name)
    inside = os.path.normpath(folder / usual / name)
    return inside if not resolve(path).exists() and resolve(inside).exists() else path


def _pair(folders: list[Path]) -> Iterator[Instance]:
    """Every spec with the model whose name its own begins with, or with the only model there is."""
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    models = [file for file in files if file.name.endswith(MODELS)]
    for spec in (file for file in files if file.name.endswith(SPECS)):
        fitting = [m for m in models if len(models) == 1 or _stem(spec).startswith(_stem(m))]
        if not fitting:
            hint = f"begin its name with that of a model, or write an {LIST}"
            raise InputError(f"{spec}: which of {len(models)} models is it about?", hint)
        model = max(fitting, key=lambda m: len(_stem(m)))
        yield Instance(folders[0].resolve().name, {"": str(model)}, str(spec))


def _stem(path: str | Path) -> str:
    """The file's name without its endings."""
    name = Path(path).name.removesuffix(".gz")
    return name.removesuffix(".onnx").removesuffix(".vnnlib")
