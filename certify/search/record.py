"""Keeping what a recheck of hidden bounds needs, in as little memory as that takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from certify.arrays import Array, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed
from certify.bounds.optimise import Optimised, Record
from certify.ops.relu import Relu
from certify.search.tree import SLOPE_LEVELS, HiddenWalk, RowForest


def walk_recorder(walks: list[HiddenWalk]) -> Record:
    """A `Record` that appends to the list. Slopes and multipliers are kept in float32, in which they were found."""

    def record(relaxed: Relaxed, rows: Rows, found: Optimised) -> None:
        assert rows.elements is not None
        keep = lambda array: to_numpy(array).astype(np.float32)  # noqa: E731
        slopes = {name: tuple(map(keep, parts)) for name, parts in found.slopes.items()}
        multipliers = {name: keep(part) for name, part in found.multipliers.items()}
        walks.append(HiddenWalk(relaxed.network.output, np.atleast_2d(rows.elements), slopes, multipliers))

    return record


def row_recorder(forests: list[RowForest]) -> Record:
    """A `Record` of rows of one box, which no split helped: trees that are roots only."""

    def record(relaxed: Relaxed, rows: Rows, found: Optimised) -> None:
        trees = RowRecord(relaxed, rows)
        trees.rooted(to_numpy(found.lower)[0], found.slopes)
        forest = trees.forest(to_numpy(found.lower)[0])
        if forest is not None:
            forests.append(forest)

    return record


class RowRecord:
    """Trees of some rows over one box while they grow. Node r < rows is root r; others are numbered by who cuts."""

    def __init__(self, relaxed: Relaxed, rows: Rows) -> None:
        """relaxed: batch 1; rows: as `rows_of` makes them."""
        self._value, self._rows = relaxed.network.output, rows
        self._nodes: list[str] = []
        self._open: dict[str, np.ndarray] = {}
        for node in relaxed.network.nonlinear:
            value = node.inputs[0]
            if isinstance(node.op, Relu) and value not in self._open:
                low, high = (to_numpy(side)[0].reshape(-1) for side in relaxed.intervals[value])
                self._nodes.append(node.name)
                self._open[value] = np.flatnonzero((low < 0.0) & (high > 0.0))
        self._starts = dict(zip(self._open, np.cumsum([0, *map(len, self._open.values())])[:-1], strict=True))
        # Of bounded nodes, batch by batch; of cuts, batch by batch: node, column and first of two children.
        self._number: list[np.ndarray] = []
        self._bound: list[np.ndarray] = []
        self._slopes: list[np.ndarray] = []
        self._multipliers: list[np.ndarray] = []
        self._count: list[np.ndarray] = []
        self._cuts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def rooted(self, lower: np.ndarray, slopes: Mapping[str, tuple[Array, ...]]) -> None:
        """The rows before any split: bounds [rows], slopes [1, rows, *shape]."""
        parts = {name: np.swapaxes(to_numpy(found[0]), 0, 1) for name, found in slopes.items()}
        self._add(np.arange(len(lower)), lower, parts, {}, {})

    def bounded(
        self, node: np.ndarray, found: Optimised, signs: Mapping[str, np.ndarray], multipliers: Mapping[str, Array]
    ) -> None:
        """Nodes with one row each, what bounded them, and the signs, [nodes, *shape], that were fixed there."""
        parts = {name: to_numpy(part[0]) for name, part in found.slopes.items()}
        given = {value: to_numpy(part) for value, part in multipliers.items()}
        self._add(node, to_numpy(found.lower)[:, 0], parts, signs, given)

    def _add(
        self,
        node: np.ndarray,
        bound: np.ndarray,
        slopes: Mapping[str, np.ndarray],
        signs: Mapping[str, np.ndarray],
        multipliers: Mapping[str, np.ndarray],
    ) -> None:
        self._number.append(node)
        self._bound.append(bound)
        found = self._columns(slopes, self._nodes, len(node))
        self._slopes.append(np.rint(np.clip(found, 0.0, 1.0) * SLOPE_LEVELS).astype(np.uint8))
        fixed = self._columns(signs, list(self._open), len(node)) != 0.0
        self._count.append(fixed.sum(axis=1))
        given = self._columns(multipliers, list(self._open), len(node))
        self._multipliers.append(np.maximum(given[fixed], 0.0).astype(np.float32))

    def _columns(self, parts: Mapping[str, np.ndarray], names: list[str], count: int) -> np.ndarray:
        """The open elements of arrays [nodes, .., *shape] by name, side by side; zero where there is no array."""
        flat = [
            parts[name].reshape(count, -1)[:, open_] if name in parts else np.zeros((count, len(open_)))
            for name, open_ in zip(names, self._open.values(), strict=True)
        ]
        return np.concatenate([np.zeros((count, 0)), *flat], axis=1)

    def cut(self, node: np.ndarray, values: list[str], element: np.ndarray, first: np.ndarray) -> None:
        """Nodes cut by the sign of an element of a value each; first: of both children, whose numbers follow."""
        column = [self._starts[v] + np.searchsorted(self._open[v], e) for v, e in zip(values, element, strict=True)]
        self._cuts.append((node, np.array(column, dtype=int), first))

    def forest(self, least: np.ndarray) -> RowForest | None:
        """What shows that rows are at least `least` [rows], which is what their leaves have in common.

        Nodes that show it already become leaves. None where nothing was open: plain CROWN knows as much then.
        """
        if not any(map(len, self._open.values())):
            return None
        number = np.concatenate(self._number)
        place = np.full(int(number.max()) + 1, -1)
        place[number] = np.arange(len(number))
        bound = np.concatenate(self._bound)
        child, column = np.full(len(place), -1), np.full(len(place), -1)
        for node, cut, first in self._cuts:
            child[node], column[node] = first, cut
        level = new = row = np.arange(len(least))
        made = len(least)
        nodes, columns, leaves, ranks = ([np.zeros(0, dtype=int)] for _ in range(4))
        while len(level):
            shown = (bound[place[level]] >= least[row]) | (child[level] < 0)
            leaves.append(level[shown])
            ranks.append(new[shown])
            level, row = level[~shown], np.repeat(row[~shown], 2)
            nodes.append(new[~shown])
            columns.append(column[level])
            level = (child[level][:, None] + np.arange(2)).reshape(-1)
            new = made + np.arange(len(level))
            made += len(level)
        leaf = place[np.concatenate(leaves)[np.argsort(np.concatenate(ranks))]]
        count = np.concatenate(self._count)
        start, length = (np.cumsum(count) - count)[leaf], count[leaf]
        # Of each leaf the places start, start + 1, ...
        given = np.arange(length.sum()) + np.repeat(start - np.cumsum(length) + length, length)
        assert self._rows.elements is not None
        return RowForest(
            self._value,
            self._rows.elements,
            dict(self._open),
            np.concatenate(nodes),
            np.concatenate(columns),
            np.concatenate(self._slopes)[leaf],
            np.concatenate(self._multipliers)[given],
        )
