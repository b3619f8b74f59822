"""Keeping what a recheck of hidden bounds needs, in as little memory as that takes."""

from __future__ import annotations

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import Rows
from certify.bounds.optimise import Optimised, Record
from certify.search.tree import HiddenWalk


def walk_recorder(walks: list[HiddenWalk]) -> Record:
    """A `Record` that appends to the list. Slopes and multipliers are kept in float32, in which they were found."""

    def record(value: str, rows: Rows, found: Optimised) -> None:
        assert rows.elements is not None
        keep = lambda array: to_numpy(array).astype(np.float32)  # noqa: E731
        slopes = {name: tuple(map(keep, parts)) for name, parts in found.slopes.items()}
        multipliers = {name: keep(part) for name, part in found.multipliers.items()}
        walks.append(HiddenWalk(value, np.atleast_2d(rows.elements), slopes, multipliers))

    return record
