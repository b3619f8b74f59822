"""Branching on the input: boxes are halved, each is bounded afresh by CROWN. For problems where few inputs vary.

Bounds of hidden values are inherited from the parent box, so that neurons found stable stay so and drop out of the
matrices; the unsafe side of the margin rows clips the box before it is cut (Clip-and-Verify, Chen et al. 2025).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import Rows, Walk, backward
from certify.bounds.bend import bend
from certify.bounds.clip import clip_box, joint_bound
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.network.graph import INPUT, Network
from certify.network.passes.drop_dead_neurons import drop_dead_neurons
from certify.network.table import Table
from certify.problem import Goal, Problem, worst_margin
from certify.search.branch_and_bound import Bounded
from certify.search.cuts import BOTH, Cuts
from certify.search.domain import Domains, concatenate
from certify.search.pick.input_gap import input_gap
from certify.search.rounded import rounded_inputs, whole_cut
from certify.search.tree import Clip, InputCut, Leaves, SearchTree
from certify.settings import Budget

# Floats one batch may hold in one array of a walk, so that the arrays stay near the cache of one core.
BATCH_FLOATS = 2**20
LARGEST_BATCH = 1024


@dataclass
class Detail:
    """What cutting needs: the relaxations, the forms of hidden values and rows, and which rows were bounded."""

    relaxed: Relaxed
    forms: dict[str, tuple[np.ndarray, LinearForm]]
    walk: Walk
    rows: np.ndarray


class InputSplit:
    """A `Brancher` that halves boxes. Tasks are the goals; all goals' rows are padded to one number."""

    def __init__(self, problem: Problem, goals: list[Goal], network: Network, tree_bytes: int) -> None:
        """network: the problem's network in the array library to work in."""
        self.problem, self.goals, self.network = problem, goals, network
        self.tree = SearchTree(np.arange(len(goals)), tree_bytes)
        self.clipped = False
        self.rounded = rounded_inputs(network)
        if problem.atoms.inputs is not None:
            self.rounded &= ~(problem.atoms.inputs != 0.0).any(axis=0)
        self.tables = [node.name for node in network.nodes if isinstance(node.op, Table)] if self.rounded.any() else []
        width = max(len(goal.atoms) for goal in goals)
        self.atoms = np.full((len(goals), width), -1)
        for number, goal in enumerate(goals):
            self.atoms[number, : len(goal.atoms)] = goal.atoms

    def roots(self) -> Domains:
        """One domain per goal."""
        count = len(self.goals)
        return Domains(
            np.stack([goal.lower for goal in self.goals]),
            np.stack([goal.upper for goal in self.goals]),
            np.arange(count),
            np.arange(count),
            np.zeros(count, dtype=int),
            np.full(self.atoms.shape, -np.inf),
            np.full(count, -np.inf),
        )

    def batch_size(self, limit: int | None) -> int:
        """As many as keep one walk's arrays small."""
        sizes = [int(np.prod(shape)) for shape in self.network.shapes.values()]
        rows = max([self.atoms.shape[1], *(int(np.prod(self.network.shapes[n])) for n in self.network.relaxed_inputs)])
        per_domain = max(sizes) * rows
        stored = 16 * sum(int(np.prod(self.network.shapes[n])) for n in self.network.relaxed_inputs)
        size = max(1, min(LARGEST_BATCH, BATCH_FLOATS // max(1, per_domain)))
        return size if limit is None else max(1, min(size, limit // max(1, 64 * stored)))

    def bound(self, domains: Domains, budget: Budget) -> Bounded:
        """Fresh CROWN on every box, the inherited bounds helping; only rows still needed somewhere are bounded."""
        put = self.network.library.put
        box = Interval(put(domains.lower), put(domains.upper))
        waiting = self._waiting(domains, box)
        if waiting.any():
            return Bounded(domains, np.zeros(len(domains), dtype=bool), (domains.lower + domains.upper) / 2.0, waiting)
        network, kept = self._shrink(domains)
        forms: dict[str, tuple[np.ndarray, LinearForm]] = {}
        known = {
            name: Interval(*(put(side) for side in _columns(interval, kept.get(name))))
            for name, interval in domains.hidden.items()
        }
        relaxed = intermediate_bounds(network, box, known=known or None, forms=forms)
        needed = np.flatnonzero((~(domains.margins > 0.0)).any(axis=0))
        walk = backward(network, self._rows(domains.task, needed), relaxed.planes, noise=relaxed.noise, keep=True)
        walk = bend(walk, relaxed)
        found = np.full(domains.margins.shape, -np.inf)
        found[:, needed] = to_numpy(walk.form.lower(box))
        margins = np.fmax(domains.margins, found)
        bound = self._formula_bounds(domains.task, margins)
        bound = np.fmax(bound, self._joint(domains, walk.form, needed, bound))
        closed = bound > 0.0
        hidden = {
            name: _merge(domains.hidden.get(name), Interval(*map(to_numpy, interval)), kept.get(name))
            for name, interval in relaxed.intervals.items()
        }
        domains = replace(domains, margins=margins, bound=np.fmax(domains.bound, bound), hidden=hidden)
        self.tree.add(Leaves(domains.node[closed], margins[closed], {}, {}))
        points = to_numpy(walk.form.minimiser(box))[~closed].reshape(-1, self.network.n_inputs)
        detail = Detail(relaxed, forms, walk, needed)
        domains, empty = self._clipped(domains, detail, np.flatnonzero(~closed))
        return Bounded(domains, closed | empty, points, detail)

    def _waiting(self, domains: Domains, box: Interval) -> np.ndarray:
        """Mask of boxes to be halved before they are worth a bound: rounded inputs leave several entries of a table.

        What is computed from the hull of these says little, and costs more than the cases one by one.
        """
        waiting = np.zeros(len(domains), dtype=bool)
        for name in self.tables:
            cone = self.network.cone(name)
            op, inputs = cone.by_name[name].op, cone.by_name[name].inputs
            assert isinstance(op, Table)
            intervals = intermediate_bounds(cone, box, bound_rows=None).intervals
            waiting |= op.varies(*(intervals[value] for value in inputs))
        return waiting & (self.rounded & (domains.lower < domains.upper)).any(axis=1)

    def _joint(self, domains: Domains, form: LinearForm, needed: np.ndarray, bound: np.ndarray) -> np.ndarray:
        """What the rows that every unsafe point satisfies say together, [batch]; -inf where they are fewer than two."""
        found = np.full(len(domains), -np.inf)
        coefficient, offset, error = map(to_numpy, form)
        place = {row: i for i, row in enumerate(needed.tolist())}
        for number in sorted(set(domains.task.tolist())):
            required = [place[r] for r in self.goals[number].required.tolist() if r in place]
            mine = np.flatnonzero((domains.task == number) & ~(bound > 0.0))
            if len(required) < 2 or not len(mine):
                continue
            source = (mine if coefficient.shape[0] > 1 else np.zeros(len(mine), dtype=int))[:, None]
            a, c = coefficient[source, required], (offset - error)[source, required]
            box = Interval(domains.lower[mine], domains.upper[mine])
            found[mine] = joint_bound(a, c, np.ones(c.shape, dtype=bool), box.center, box.radius)
        return found

    def _shrink(self, domains: Domains) -> tuple[Network, dict[str, np.ndarray]]:
        """The network without neurons that are known dead on every box of the batch."""
        if not domains.hidden:
            return self.network, {}
        alive = {name: (i.upper > 0.0).any(axis=0).reshape(-1) for name, i in domains.hidden.items()}
        return drop_dead_neurons(self.network, alive)

    def _rows(self, task: np.ndarray, needed: np.ndarray) -> Rows:
        """The margins' rows of each domain's goal; one shared batch entry where all domains have the same goal."""
        put = self.network.library.put
        atoms = self.atoms[task[:1] if (task == task[0]).all() else task][:, needed]
        outputs, inputs, offset = self.problem.margin_rows(atoms)
        coefficients = {self.network.output: put(outputs)}
        if inputs is not None:
            coefficients[INPUT] = put(inputs)
        return Rows(coefficients, put(offset))

    def _formula_bounds(self, task: np.ndarray, margins: np.ndarray) -> np.ndarray:
        """The formula's bound for each domain."""
        bound = np.empty(len(task))
        for number in sorted(set(task.tolist())):
            mine = task == number
            bound[mine] = worst_margin(self.goals[number].formula, margins[mine])
        return bound

    def cut(self, bounded: Bounded) -> tuple[Domains, np.ndarray]:
        """Halve each open box along the input that the relaxation errors come from."""
        if isinstance(bounded.detail, np.ndarray):
            return self._cut_waiting(bounded.domains, bounded.detail), np.zeros(len(bounded.closed), dtype=bool)
        detail: Detail = bounded.detail
        open_ = np.flatnonzero(~bounded.closed)
        stuck = np.zeros(len(bounded.closed), dtype=bool)
        scores = input_gap(detail.relaxed, detail.forms, detail.walk, ~(bounded.domains.margins[:, detail.rows] > 0.0))
        domains = bounded.domains.select(open_)
        below, above = self._ends(domains)
        axis, possible = _place(domains, scores[open_], below, above)
        stuck[open_[~possible]] = True
        every = np.flatnonzero(possible)
        axis = axis[every]
        return self._halve(domains.select(every), axis, below[every, axis], above[every, axis]), stuck

    def sides(self, domains: Domains, cuts: Cuts) -> np.ndarray:
        """[batch] whether each box lies wholly below (0) or above (1) a cut, or on both sides (BOTH)."""
        every = np.arange(len(domains))
        below = domains.upper[every, cuts.element] <= cuts.point
        above = domains.lower[every, cuts.element] >= cuts.point
        return np.where(below, 0, np.where(above, 1, BOTH))

    def divide(self, domains: Domains, cuts: Cuts) -> Domains:
        """Both parts of each box, one after the other."""
        return self._halve(domains, cuts.element, cuts.point, cuts.point)

    def _cut_waiting(self, domains: Domains, waiting: np.ndarray) -> Domains:
        """The boxes that wait, halved along their widest rounded input, and the others as they are."""
        mine = domains.select(waiting)
        axis = np.where(self.rounded, mine.upper - mine.lower, -1.0).argmax(axis=1)
        below, above = (ends[np.arange(len(mine)), axis] for ends in self._ends(mine))
        return concatenate([domains.select(~waiting), self._halve(mine, axis, below, above)])

    def _ends(self, domains: Domains) -> tuple[np.ndarray, np.ndarray]:
        """(below, above), [batch, n_inputs] each: where the lower half of each axis ends and the upper one begins."""
        middle = domains.lower + (domains.upper - domains.lower) / 2.0
        if not self.rounded.any():
            return middle, middle
        below, above = whole_cut(domains.lower, domains.upper)
        return np.where(self.rounded, below, middle), np.where(self.rounded, above, middle)

    def _halve(self, domains: Domains, axis: np.ndarray, below: np.ndarray, above: np.ndarray) -> Domains:
        count = len(domains)
        every = np.arange(count)
        numbers = self.tree.new_children(count)
        self.tree.add(InputCut(domains.node, axis, below, above, numbers, domains.bound))
        twice = domains.select(np.repeat(np.arange(count), 2))
        lower, upper = twice.lower.copy(), twice.upper.copy()
        upper[2 * every, axis] = below
        lower[2 * every + 1, axis] = above
        return replace(twice, lower=lower, upper=upper, node=numbers.reshape(-1), depth=twice.depth + 1)

    def _clipped(self, domains: Domains, detail: Detail, open_: np.ndarray) -> tuple[Domains, np.ndarray]:
        """The open boxes without what a row that every unsafe point must satisfy proves safe; the mask of empty ones.

        Unsafe x have  a . x + b <= 0  for each such row, so x_j is bounded by what the others leave at their best.
        """
        lower, upper = domains.lower.copy(), domains.upper.copy()
        coefficient, offset, error = map(to_numpy, detail.walk.form)
        place = {row: i for i, row in enumerate(detail.rows.tolist())}
        for number in sorted(set(domains.task[open_].tolist())):
            required = [r for r in self.goals[number].required.tolist() if r in place]
            mine = open_[domains.task[open_] == number]
            source = mine if coefficient.shape[0] > 1 else np.zeros(len(mine), dtype=int)
            for row in required:
                clip_box(lower, upper, mine, coefficient[source, place[row]], (offset - error)[source, place[row]])
        empty = (lower > upper).any(axis=1)
        shrunk = ((lower > domains.lower) | (upper < domains.upper)).any(axis=1)
        if shrunk.any():
            self.clipped = True
            self.tree.add(Clip(domains.node[shrunk], lower[shrunk], upper[shrunk]))
        if not empty.any():
            return replace(domains, lower=lower, upper=upper), empty
        self.tree.add(Leaves(domains.node[empty], domains.margins[empty], {}, {}))
        # Nothing is left of an empty box, whose margin is as good as positive.
        lower, upper = np.where(empty[:, None], domains.lower, lower), np.where(empty[:, None], domains.upper, upper)
        return replace(domains, lower=lower, upper=upper, bound=np.where(empty, 0.0, domains.bound)), empty


def _place(domains: Domains, scores: np.ndarray, below: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(axis, possible): which to halve in each box; impossible where no axis has room between its ends.

    below, above: where the halves of each axis would end and begin.
    """
    room = np.asarray((domains.lower < above) & (below < domains.upper))
    width = domains.upper - domains.lower
    scores = np.where(np.isfinite(scores), scores, 0.0)
    scored = np.asarray((np.where(room, scores, 0.0) > 0.0).any(axis=1))
    ranked = np.where(room, np.where(scored[:, None], scores, width), -1.0)
    axis = ranked.argmax(axis=1)
    return axis, room[np.arange(len(domains)), axis]


def _columns(interval: Interval, index: np.ndarray | None) -> Interval:
    """The kept elements of a hidden value's bounds."""
    if index is None:
        return interval
    return Interval(interval.lower[..., index], interval.upper[..., index])


def _merge(before: Interval | None, now: Interval, index: np.ndarray | None) -> Interval:
    """Bounds of the whole value: the inherited ones where elements were left out."""
    if index is None or before is None:
        return now
    lower, upper = before.lower.copy(), before.upper.copy()
    lower[..., index], upper[..., index] = now.lower, now.upper
    return Interval(lower, upper)
