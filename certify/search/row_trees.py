"""Bounds of hidden values by branch and bound: each row of a layer grows a small tree of its own, all in one batch.

What a few splits gain in an early layer is passed on: tighter values there leave fewer unstable rectifiers, and smaller
gaps, in every layer after it. (alpha-beta-CROWN and others get the same from a mixed-integer program per neuron; Tjeng
et al. 2019.) Where walks alone leave a deep network's last layers without any meaning, twenty splits per row prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from certify.arrays import Array, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, crown_rows
from certify.bounds.linear_form import LinearForm
from certify.bounds.methods.alpha_crown import ASCENT
from certify.bounds.optimise import Ascent, optimise
from certify.ops.relu import Relu
from certify.search.domain import Domains, concatenate
from certify.search.pick.relaxation_gap import Ranking, relaxation_gap
from certify.search.record import RowRecord
from certify.search.signs import as_splits, places, relaxed_under_signs, sign_children
from certify.search.tree import SLOPE_LEVELS, RowForest

# Children start where their parent ended, so that little is left to climb: a further split is worth more.
CHILD_ASCENT = Ascent(iterations=2, slope_rate=0.1, multiplier_rate=0.1)
BATCH = 512
# Of a row's leaves, how many are cut in one step.
CUT_SHARE = 0.2


class RowTrees:
    """A way to bound rows (a `BoundRows`): optimised slopes first, then splits for each row that is not positive."""

    def __init__(
        self,
        work: int,
        rows: Mapping[str, int],
        nbytes: int,
        expired: Callable[[], bool],
        record: list[RowForest] | None = None,
    ) -> None:
        """work: subproblems that each value may cost, times the rectifier layers they are walked through.

        So every layer costs about the same, which leaves most to the early ones: they are the cheapest to bound, and
        all others gain by them. rows: by value, how many there may be in all; where they come in several calls,
        each gets its part. nbytes: what the leaves may take. record: receives what shows the bounds, if that is wanted.
        """
        self._work, self._rows, self._nbytes, self._expired, self._record = work, rows, nbytes, expired, record
        self._levels = None if record is None else SLOPE_LEVELS

    def __call__(self, relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm | None]:
        """Lower bounds [1, rows]; no single form gives them."""
        if self._expired():
            return crown_rows(relaxed, rows)
        found = optimise(relaxed, rows, replace(ASCENT, levels=self._levels), expired=self._expired)
        kept = None if self._record is None else RowRecord(relaxed, rows)
        if kept is not None:
            kept.rooted(to_numpy(found.lower)[0], found.slopes)
        trees = _Trees(relaxed, rows, replace(CHILD_ASCENT, levels=self._levels), kept)
        leaves = trees.roots(to_numpy(found.lower)[0], found.slopes, found.weights)
        share = min(1.0, rows.count / self._rows.get(relaxed.network.output, rows.count))
        most = share * self._work / max(1, len(trees.values))
        while len(leaves) and trees.bounded < most and leaves.nbytes < self._nbytes and not self._expired():
            try:
                leaves = trees.grow(leaves)
            except MemoryError:
                break
        lower = trees.lower(leaves)
        if self._record is not None and kept is not None:
            forest = kept.forest(lower)
            self._record.extend([] if forest is None else [forest])
        return relaxed.network.library.put(lower[None]), None


class _Trees:
    """The trees of some rows over one box. A domain's task is its row; its marks hold the split it is to be cut by."""

    def __init__(self, relaxed: Relaxed, rows: Rows, ascent: Ascent, record: RowRecord | None) -> None:
        """relaxed: batch 1; rows: [1, rows]; ascent: of children; record: told of them, if there is one."""
        self.relaxed, self.rows, self.network = relaxed, rows, relaxed.network
        self.ascent, self.record = ascent, record
        rectifiers = [node for node in self.network.nonlinear if isinstance(node.op, Relu)]
        self.rectifiers = [node.name for node in rectifiers]
        self.values = list(dict.fromkeys(node.inputs[0] for node in rectifiers))
        self.places = places(self.network)
        # The least lower bound of each row's leaves that are not kept any more.
        self.done = np.full(rows.count, np.inf)
        self.bounded = 0
        self.n_nodes = rows.count

    def roots(self, lower: np.ndarray, slopes: dict[str, tuple[Array, ...]], weights: dict[str, Array]) -> Domains:
        """The rows before any split, given what an ascent of all of them found; those that can be cut."""
        count = self.rows.count
        by_row = lambda array: np.swapaxes(to_numpy(array), 0, 1)  # noqa: E731
        lower_box, upper_box = (np.repeat(to_numpy(side), count, axis=0) for side in self.relaxed.box)
        number = np.arange(count)
        shape = lambda value: (count, *self.network.shapes[value])  # noqa: E731
        domains = Domains(
            lower_box,
            upper_box, number, number, np.zeros(count, dtype=int), lower[:, None], lower,
            signs={v: np.zeros(shape(v), dtype=np.int8) for v in self.values},
            slopes={name: tuple(by_row(s).astype(np.float32) for s in parts) for name, parts in slopes.items()},
            multipliers={v: np.zeros((count, 1, *self.network.shapes[v]), dtype=np.float32) for v in self.values},
        )  # fmt: skip
        felt = {name: by_row(weights[name]) for name in self.rectifiers if name in weights}
        ranking = relaxation_gap(self.relaxed, felt, np.ones((count, 1), dtype=bool))
        return self._kept(domains, ranking)

    def grow(self, leaves: Domains) -> Domains:
        """Cut the worst leaves of every row: a share of them, for each step copies all."""
        order = np.lexsort((leaves.bound, leaves.task))
        task = leaves.task[order]
        first = np.searchsorted(task, task, side="left")
        count = np.searchsorted(task, task, side="right") - first
        worst = np.arange(len(task)) - first < count * CUT_SHARE
        parents = leaves.select(order[worst])
        number, element = parents.marks["number"], parents.marks["element"]
        children = sign_children(self.network, parents, number, element)
        children = replace(children, node=self.n_nodes + np.arange(len(children)))
        self.n_nodes += len(children)
        parts = [
            children.select(np.arange(at, min(at + BATCH, len(children)))) for at in range(0, len(children), BATCH)
        ]
        grown = concatenate([leaves.select(order[~worst]), *map(self._bounded, parts)])
        if self.record is not None:
            values = [self.places[n].value for n in number]
            self.record.cut(parents.node, values, element, children.node[::2])
        return grown

    def lower(self, leaves: Domains) -> np.ndarray:
        """What the leaves of every row have in common, [rows]."""
        least = self.done.copy()
        np.minimum.at(least, leaves.task, leaves.bound)
        return least

    def _bounded(self, domains: Domains) -> Domains:
        """The domains with their bounds; only those that are worth cutting again."""
        self.bounded += len(domains)
        library = self.network.library
        relaxed, splits = relaxed_under_signs(self.relaxed, domains), as_splits(domains, library)
        found = optimise(
            relaxed,
            self._rows_of(domains.task),
            self.ascent,
            slopes={name: tuple(map(library.put, parts)) for name, parts in domains.slopes.items()},
            splits=splits,
            multipliers={v: library.put(m) for v, m in domains.multipliers.items() if v in splits},
            settle=lambda lower: (lower > 0.0).any(axis=1),
        )
        if self.record is not None:
            self.record.bounded(domains.node, found, domains.signs, found.multipliers)
        margins = np.fmax(domains.margins, to_numpy(found.lower))
        keep = lambda array: to_numpy(array).astype(np.float32)  # noqa: E731
        domains = replace(
            domains,
            margins=margins,
            bound=margins[:, 0],
            slopes={name: tuple(map(keep, parts)) for name, parts in found.slopes.items()},
            multipliers=domains.multipliers | {v: keep(m) for v, m in found.multipliers.items()},
        )
        weights = {name: to_numpy(found.weights[name]) for name in self.rectifiers if name in found.weights}
        return self._kept(domains, relaxation_gap(relaxed, weights, np.ones((len(domains), 1), dtype=bool)))

    def _kept(self, domains: Domains, ranking: Ranking) -> Domains:
        """Those that can be cut further with some use, marked with where; of the others only the bound is kept."""
        over = (domains.bound > 0.0) | ~(ranking.score[:, 0] > 0.0)
        np.minimum.at(self.done, domains.task[over], domains.bound[over])
        marks = {"number": ranking.number[:, 0], "element": ranking.element[:, 0]}
        return replace(domains, marks=marks).select(~over)

    def _rows_of(self, task: np.ndarray) -> Rows:
        """One row for each domain."""
        part = lambda array: array[0][list(task)][:, None]  # noqa: E731
        return Rows({name: part(c) for name, c in self.rows.coefficients.items()}, part(self.rows.offset))
