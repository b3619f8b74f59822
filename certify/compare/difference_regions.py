"""The boxes that two models are compared on: those of a specification, or balls around samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from certify.dataset import Dataset
from certify.errors import InputError
from certify.network.graph import Network
from certify.query.columns import Columns
from certify.query.formula import Region
from certify.query.normal_form import lower
from certify.query.read import read_query
from certify.query.robustness import ball_box
from certify.query.syntax import Query

MOST_REGIONS = 10_000


@dataclass(frozen=True)
class Regions:
    """names: [regions]; lower, upper: [regions, n_inputs], float64, the inputs of a model laid end to end."""

    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def regions_of_spec(spec: str | Path, network: Network) -> Regions:
    """The input boxes of a VNN-LIB file, each once; what it asserts of outputs does not matter here.

    Of a file about several networks, these must share their inputs. Raises InputError where the boxes do not fit the
    network, or are none.
    """
    query = read_query(spec)
    unsafe = lower(query)
    found: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    for region in unsafe.regions:
        box = _box(region, unsafe.columns, query, network.n_inputs)
        found.setdefault(box[0].tobytes() + box[1].tobytes(), box)
        if len(found) > MOST_REGIONS:
            raise InputError(f"{spec} has more than {MOST_REGIONS} regions", "compare on fewer at a time")
    if not found:
        raise InputError(f"{spec} has no region", "its input bounds contradict each other")
    boxes = list(found.values())
    names = [Path(spec).name] if len(boxes) == 1 else [f"{Path(spec).name} #{number}" for number in range(len(boxes))]
    return Regions(tuple(names), np.stack([low for low, _ in boxes]), np.stack([high for _, high in boxes]))


def _box(region: Region, columns: Columns | None, query: Query, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The region's box over the inputs of one network."""
    declared = [sum(tensor.size for tensor in network.inputs) for network in query.networks]
    if set(declared) != {size}:
        raise InputError(f"{query.file} declares {declared[0]} inputs, the models take {size}")
    if columns is None:
        return region.lower, region.upper
    sources = columns.source.reshape(len(declared), size)
    if columns.weight.any() or (sources != sources[0]).any():
        hint = "name a specification of one network, or one whose networks share all inputs (X_f == X_g)"
        raise InputError(f"{query.file} gives its networks different inputs", hint)
    ends = (np.concatenate([end, columns.shift])[sources[0]] for end in (region.lower, region.upper))
    low, high = ends
    return low, high


def regions_of_data(
    samples: Dataset,
    network: Network,
    eps: float,
    clip: tuple[float, float] | None = None,
    numbers: Sequence[int] | None = None,
) -> Regions:
    """The boxes of all inputs within eps (maximum norm) of samples, and within clip. numbers: which; default: all.

    Raises InputError for samples that do not fit the network or are not there.
    """
    rows = samples.flat(network.n_inputs)
    chosen = list(range(len(rows)) if numbers is None else numbers)
    if not chosen:
        raise InputError(f"{samples.name}: no sample is left to look at", "--count is at least 1")
    for number in chosen:
        if not 0 <= number < len(rows):
            raise InputError(f"there is no sample {number}: the data has {len(rows)}", "samples count from 0")
    dtypes = {spec.dtype for spec in network.inputs}
    dtype = "float64" if dtypes == {"float64"} else "float32"
    centers = rows[chosen].astype(dtype).astype(np.float64)
    boxes = [ball_box(center, eps, clip, dtype) for center in centers]
    names = tuple(f"sample {number}" for number in chosen)
    return Regions(names, np.stack([low for low, _ in boxes]), np.stack([high for _, high in boxes]))
