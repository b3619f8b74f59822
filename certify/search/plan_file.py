"""Plans as files: an .npz of arrays and one header in JSON."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from certify.errors import InputError
from certify.files import read_bytes, write_bytes
from certify.search.plan import Plan, PlannedTree

FORMAT = {"format": "certify-plan", "version": 1}
ARRAYS = ("value", "element", "point", "cut", "bound")
ADVICE = "make it again with: certify check MODEL SPEC --keep-plan FILE"


def write_plan(path: Path, plan: Plan, spec: str) -> int:
    """Write it and return its size in bytes. spec: sha256 of the specification. Raises InputError if that fails."""
    header: dict[str, Any] = FORMAT | {"spec": spec, "trees": [], "slopes": []}
    arrays: dict[str, np.ndarray] = {}
    for number, tree in enumerate(plan.trees):
        header["trees"].append({"roots": tree.roots, "values": tree.values})
        arrays |= {f"tree_{number}_{name}": getattr(tree, name) for name in ARRAYS}
    for goal, slopes in plan.slopes.items():
        for node, parts in slopes.items():
            for i, part in enumerate(parts):
                arrays[f"slopes_{len(header['slopes'])}"] = part
                header["slopes"].append([goal, node, i])
    file = io.BytesIO()
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez_compressed(file, allow_pickle=False, **arrays)
    write_bytes(path, file.getvalue())
    return len(file.getvalue())


def read_plan(path: Path, spec: str) -> Plan:
    """The plan in a file. Raises InputError if it is none, or about another specification (`spec` is the sha256)."""
    data = read_bytes(path)
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError("no .npz file")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if {key: header[key] for key in FORMAT} != FORMAT:
                raise ValueError(f"format and version are not {FORMAT}")
            about = header["spec"]
            trees = tuple(_tree(arrays, number, fields) for number, fields in enumerate(header["trees"]))
            slopes: dict[int, dict[str, tuple[np.ndarray, ...]]] = {}
            for number, (goal, node, i) in enumerate(header["slopes"]):
                parts = slopes.setdefault(int(goal), {})
                parts[node] = (*parts.get(node, ()), _finite(arrays[f"slopes_{number}"]))
                if len(parts[node]) != i + 1:
                    raise ValueError("slopes out of order")
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        EOFError,
        OSError,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"{path}: not a plan: {error}", ADVICE) from error
    if about != spec:
        raise InputError(f"{path}: the plan is about another specification", "follow the plan of this one")
    return Plan(trees, slopes)


def _tree(arrays: Any, number: int, fields: dict[str, Any]) -> PlannedTree:
    """A tree whose numbers all mean something. Raises ValueError otherwise."""
    roots = tuple((int(goal), tuple(map(int, clause))) for goal, clause in fields["roots"])
    values = tuple(map(str, fields["values"]))
    value, element, point, cut, bound = (arrays[f"tree_{number}_{name}"] for name in ARRAYS)
    count, nodes = len(value), len(roots) + 2 * len(value)
    if any(part.dtype.kind != "i" for part in (value, element, cut)) or bound.dtype.kind != "f":
        raise ValueError("numbers of the wrong kind")
    if not (value.shape == element.shape == point.shape == (count,) and cut.shape == bound.shape == (nodes,)):
        raise ValueError("arrays of the wrong length")
    is_cut = np.flatnonzero(cut >= 0)
    if sorted(cut[is_cut].tolist()) != list(range(count)) or (len(roots) + 2 * cut[is_cut] <= is_cut).any():
        raise ValueError("cuts that make no tree")
    if count and (value.min() < 0 or value.max() >= len(values) or element.min() < 0):
        raise ValueError("cuts of values that are not there")
    return PlannedTree(roots, values, value, element, _finite(point), cut, bound)


def _finite(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError("an array with something else than finite numbers")
    return array
