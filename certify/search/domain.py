"""Subproblems in batches: everything about B of them as arrays with a leading axis of length B."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from certify.arrays import Array, to_numpy
from certify.bounds.interval import Interval

T = TypeVar("T")


@dataclass(frozen=True)
class Domains:
    """A batch of subproblems.

    lower, upper: [batch, n_inputs] their boxes; task: [batch] which goal (and clause) they belong to; node: [batch]
    their numbers in the search tree; depth: [batch]; margins: [batch, rows] best lower bounds of the task's rows;
    bound: [batch] the lower bound of the formula that follows. hidden: bounds of hidden values that hold in the domain.
    signs: by value, [batch, *shape], +1 / -1 where a split fixed the sign of an element, else 0; slopes, multipliers:
    where to start optimising, as in `bounds.optimise`. points: by value, [batch, *shape], where a sign is about a point
    other than zero. marks: [batch] each, whatever else the brancher remembers.
    """

    lower: np.ndarray
    upper: np.ndarray
    task: np.ndarray
    node: np.ndarray
    depth: np.ndarray
    margins: np.ndarray
    bound: np.ndarray
    hidden: dict[str, Interval] = field(default_factory=dict)
    signs: dict[str, Array] = field(default_factory=dict)
    slopes: dict[str, tuple[Array, ...]] = field(default_factory=dict)
    multipliers: dict[str, Array] = field(default_factory=dict)
    points: dict[str, np.ndarray] = field(default_factory=dict)
    marks: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.task)

    @property
    def nbytes(self) -> int:
        """Memory held by the arrays."""
        return sum(array.nbytes for array in _leaves(self))

    def select(self, index: np.ndarray) -> Domains:
        """The domains at these places (an index array or a mask)."""
        index = np.flatnonzero(index) if index.dtype == bool else index
        return _map(lambda arrays: arrays[0][index], [self])

    def replace_at(self, index: np.ndarray, other: Domains) -> Domains:
        """These domains with those at `index` taken from `other`."""
        place = np.arange(len(self))
        place[index] = len(self) + np.arange(len(index))
        return concatenate([self, other]).select(place)


def concatenate(parts: Sequence[Domains]) -> Domains:
    """The domains of all parts in order; all carry the same keys."""
    return parts[0] if len(parts) == 1 else _map(_stack, parts)


def _stack(arrays: Sequence[Array]) -> Array:
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import torch

    return torch.cat(list(arrays))


def _map(function: Any, trees: Sequence[Any]) -> Any:
    """The function applied to the arrays at each place of equally built trees of dicts, tuples and dataclasses."""
    first = trees[0]
    if isinstance(first, dict):
        return {key: _map(function, [tree[key] for tree in trees]) for key in first}
    if isinstance(first, tuple):
        made = [_map(function, [tree[i] for tree in trees]) for i in range(len(first))]
        return type(first)(*made) if hasattr(first, "_fields") else tuple(made)
    if isinstance(first, Domains):
        names = [f.name for f in dataclasses.fields(first)]
        return Domains(**{n: _map(function, [getattr(tree, n) for tree in trees]) for n in names})
    return function(trees)


def _leaves(tree: Any) -> list[Array]:
    found: list[Array] = []
    _map(lambda arrays: found.append(arrays[0]), [tree])
    return found


def narrow(interval: Interval, batch: int) -> Interval:
    """Bounds in half the memory: [batch or 1, *shape] rounded outward to float32, [batch, *shape]."""
    down, up = (to_numpy(side).astype(np.float32) for side in interval)
    down = np.where(down > to_numpy(interval.lower), np.nextafter(down, np.float32(-np.inf)), down)
    up = np.where(up < to_numpy(interval.upper), np.nextafter(up, np.float32(np.inf)), up)
    shape = (batch, *down.shape[1:])
    return Interval(np.broadcast_to(down, shape), np.broadcast_to(up, shape))


def wide(interval: Interval) -> Interval:
    """Back to float64."""
    return Interval(interval.lower.astype(np.float64), interval.upper.astype(np.float64))
