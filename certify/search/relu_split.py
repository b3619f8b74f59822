"""Branching on the signs of rectifiers, bounded by beta-CROWN (Wang et al. 2021). For problems where many inputs vary.

Intermediate bounds are computed once, at the root, with optimised slopes; a subproblem is the list of signs it fixes.
Every conjunction that can make the formula true is a task of its own, with its own slopes and multipliers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from certify.arrays import Array, namespace, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.bounds.optimise import Ascent, Optimised, Split, optimise
from certify.network.graph import INPUT
from certify.ops.relu import Relu
from certify.problem import Goal, Problem, clauses
from certify.search.branch_and_bound import Bounded
from certify.search.domain import Domains
from certify.search.pick.relu_gap import relu_gap
from certify.search.tree import Leaves, ReluCut, SearchTree
from certify.settings import Budget

ASCENT = Ascent(iterations=12, slope_rate=0.1, multiplier_rate=0.1)
LAST_ASCENT = Ascent(iterations=300, slope_rate=0.1, multiplier_rate=0.2, decay=0.985)
BATCH_FLOATS = 2**21
LARGEST_BATCH = 256
MOST_CLAUSES = 20_000


class TooManyClausesError(Exception):
    """The formula has more conjunctions than can be searched one by one."""


@dataclass
class Detail:
    """The best split of each domain: number of the node among the nonlinear ones, flat element, score (0: none)."""

    number: np.ndarray
    element: np.ndarray
    score: np.ndarray

    def put(self, index: np.ndarray, other: Detail) -> None:
        """Take the splits of the domains at `index` from another."""
        self.number[index], self.element[index], self.score[index] = other.number, other.element, other.score


class ReluSplit:
    """A `Brancher` that fixes signs. Tasks are the conjunctions left open in one goal."""

    def __init__(self, problem: Problem, goal: Goal, root: Relaxed, margins: np.ndarray, tree_bytes: int) -> None:
        """root: bounds on the goal's box, batch 1; margins: [atoms] lower bounds of the goal's rows proven already."""
        self.problem, self.goal, self.root = problem, goal, root
        self.network = root.network
        found = list(islice(clauses(goal.formula, margins > 0.0), MOST_CLAUSES + 1))
        if len(found) > MOST_CLAUSES:
            raise TooManyClausesError
        self.width = max([1, *(len(clause) for clause in found)])
        self.clauses = np.full((len(found), self.width), -1)
        for number, clause in enumerate(found):
            self.clauses[number, : len(clause)] = clause
        self.margins = margins
        self.tree = SearchTree(np.arange(len(found)), tree_bytes)
        self.values = [n.inputs[0] for n in self.network.nonlinear if isinstance(n.op, Relu)]

    def roots(self) -> Domains:
        """One domain per open conjunction."""
        count = len(self.clauses)
        signs = {v: np.zeros((count, *self.network.shapes[v]), dtype=np.int8) for v in self.values}
        margins = np.where(self.clauses < 0, -1.0, np.append(self.margins, 0.0)[self.clauses])
        return Domains(
            np.repeat(self.goal.lower[None], count, axis=0),
            np.repeat(self.goal.upper[None], count, axis=0),
            np.arange(count),
            np.arange(count),
            np.zeros(count, dtype=int),
            margins,
            margins.max(axis=1),
            signs=signs,
        )

    def batch_size(self, limit: int | None) -> int:
        """As many as keep one walk's arrays moderate."""
        widest = max(int(np.prod(shape)) for shape in self.network.shapes.values())
        size = max(1, min(LARGEST_BATCH, BATCH_FLOATS // (widest * self.width)))
        if limit is not None:
            total = sum(int(np.prod(shape)) for shape in self.network.shapes.values()) * self.width
            size = max(1, min(size, limit // (200 * total)))
        return size

    def bound(self, domains: Domains, budget: Budget) -> Bounded:
        """Optimise slopes and multipliers from where the parent ended; a domain closes when one of its rows does.

        Where no split is left that the bound would feel, the ascent itself has to go further: a long one follows.
        """
        domains, closed, detail, points = self._ascend(domains, ASCENT, budget)
        idle = np.flatnonzero(~closed & ~(detail.score > 0.0))
        if len(idle) and not budget.expired():
            again, closed_now, more, _ = self._ascend(domains.select(idle), LAST_ASCENT, budget)
            domains = domains.replace_at(idle, again)
            closed[idle] = closed_now
            detail.put(idle, more)
            idle = idle[~closed_now & ~(more.score > 0.0)]
        if len(idle):
            detail.put(idle, self._splits_for_feasibility(domains.select(idle), budget))
        return Bounded(domains, closed, points, detail)

    def _splits_for_feasibility(self, domains: Domains, budget: Budget) -> Detail:
        """Splits for domains whose bound feels no open rectifier any more, but whose signs may contradict each other.

        With every multiplier raised, the walk shows which rectifiers blur the constraints of the signs already fixed.
        """
        raised = {value: multiplier + np.float32(1.0) for value, multiplier in domains.multipliers.items()}
        return self._ascend(replace(domains, multipliers=raised), Ascent(iterations=0), budget, record=False)[2]

    def _ascend(
        self, domains: Domains, ascent: Ascent, budget: Budget, record: bool = True
    ) -> tuple[Domains, np.ndarray, Detail, np.ndarray]:
        """(domains with new bounds and parameters, mask of closed ones, the best splits, points worth a try)."""
        relaxed = self._relaxed(domains)
        put = self.network.library.put
        splits = {v: Split(put(signs.astype(np.float64))) for v, signs in domains.signs.items() if signs.any()}
        found = optimise(
            relaxed,
            self._rows(domains.task),
            ascent,
            slopes={n: tuple(put(s) for s in parts) for n, parts in domains.slopes.items()} or None,
            splits=splits,
            multipliers={v: put(m) for v, m in domains.multipliers.items() if v in splits},
            settle=lambda lower: (lower > 0.0).any(axis=1),
            expired=budget.expired,
        )
        margins = np.fmax(domains.margins, to_numpy(found.lower))
        closed = to_numpy(found.settled).copy()
        if record:
            self._record_leaves(domains, closed, margins, found)
        detail = Detail(*relu_gap(relaxed, found.weights, self.clauses[domains.task] >= 0))
        points = to_numpy(found.form.minimiser(relaxed.box))[~closed].reshape(-1, self.network.n_inputs)
        keep = lambda array: to_numpy(array).astype(np.float32)  # noqa: E731
        slopes = {name: tuple(keep(s) for s in parts) for name, parts in found.slopes.items()}
        multipliers = {value: keep(m) for value, m in found.multipliers.items()}
        for value in self.values:
            if value not in multipliers:
                multipliers[value] = np.zeros((len(domains), self.width, *self.network.shapes[value]), np.float32)
        bound = np.fmax(domains.bound, margins.max(axis=1))
        domains = replace(domains, margins=margins, bound=bound, slopes=slopes, multipliers=multipliers)
        return domains, closed, detail, points

    def _record_leaves(self, domains: Domains, closed: np.ndarray, margins: np.ndarray, found: Optimised) -> None:
        """Closed domains with the very parameters that closed them (children start from a rounded copy)."""
        index = np.flatnonzero(closed)
        slopes = {name: tuple(to_numpy(s)[index] for s in parts) for name, parts in found.slopes.items()}
        multipliers = {value: to_numpy(m)[index] for value, m in found.multipliers.items()}
        self.tree.add(Leaves(domains.node[index], margins[index], slopes, multipliers))

    def _relaxed(self, domains: Domains) -> Relaxed:
        """The root's relaxation with the signs put in."""
        library = self.network.library
        box = Interval(library.put(domains.lower), library.put(domains.upper))
        relaxed = Relaxed(self.network, box, noise=self.root.noise)
        for name, interval in self.root.intervals.items():
            relaxed.intervals[name] = _with_signs(interval, domains.signs.get(name), len(domains))
        for node in self.network.nonlinear:
            relaxed.relax(node, node.nonlinear_op.relax(*(relaxed.intervals[name] for name in node.inputs)))
        return relaxed

    def _rows(self, task: np.ndarray) -> Rows:
        """The rows of each domain's conjunction."""
        put = self.network.library.put
        places = self.clauses[task]
        atoms = np.where(places < 0, -1, np.append(self.goal.atoms, -1)[places])
        outputs, inputs, offset = self.problem.margin_rows(atoms)
        coefficients = {self.network.output: put(outputs)}
        if inputs is not None:
            coefficients[INPUT] = put(inputs)
        return Rows(coefficients, put(offset))

    def cut(self, bounded: Bounded) -> tuple[Domains, np.ndarray]:
        """Fix the sign of the rectifier that costs most; domains without an open one are stuck."""
        detail: Detail = bounded.detail
        number, element, score = detail.number, detail.element, detail.score
        open_ = ~bounded.closed
        stuck = open_ & ~(score > 0.0)
        chosen = np.flatnonzero(open_ & (score > 0.0))
        # The easiest come last, so that they are taken up first.
        chosen = chosen[np.argsort(bounded.domains.bound[chosen])]
        domains, number, element = bounded.domains.select(chosen), number[chosen], element[chosen]
        values = [self.network.nonlinear[n].inputs[0] for n in number]
        children = self.tree.new_children(len(chosen))
        self.tree.add(ReluCut(domains.node, values, element, children))
        twice = domains.select(np.repeat(np.arange(len(chosen)), 2))
        signs = {v: s.copy() for v, s in twice.signs.items()}
        for parent, (value, place) in enumerate(zip(values, element, strict=True)):
            flat = signs[value].reshape(len(twice), -1)
            flat[2 * parent, place], flat[2 * parent + 1, place] = 1, -1
        return replace(twice, signs=signs, node=children.reshape(-1), depth=twice.depth + 1), stuck


def _with_signs(interval: Interval, signs: np.ndarray | None, batch: int) -> Interval:
    """Bounds [1, *shape] repeated over the batch and cut at zero where a sign is fixed."""
    xp = namespace(interval.lower)
    shape = (batch, *interval.lower.shape[1:])
    lower, upper = xp.broadcast_to(interval.lower, shape), xp.broadcast_to(interval.upper, shape)
    if signs is None:
        return Interval(lower, upper)
    sign: Array = signs if xp is np else xp.asarray(signs, device=lower.device)
    zero = xp.zeros_like(lower)
    return Interval(
        xp.where((sign > 0) & (lower < 0.0), zero, lower), xp.where((sign < 0) & (upper > 0.0), zero, upper)
    )
