"""What is known of one goal before any split: bounds of its whole box, made tighter stage by stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from certify.arrays import Array, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import BoundRows, Relaxed, crown_rows, intermediate_bounds, needed_for
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.methods.alpha_crown import ASCENT, tighten
from certify.bounds.optimise import Ascent, optimise
from certify.network.graph import INPUT, Network
from certify.network.passes.drop_dead_neurons import drop_dead_neurons
from certify.ops.relu import Relu
from certify.problem import Goal, Problem, worst_margin
from certify.search.record import row_recorder
from certify.search.tree import SLOPE_LEVELS, Ground, Leaves, RowForest, SearchTree
from certify.settings import Budget

# Share of the time that may go into the root's bounds.
ROOT_SHARE = 0.4
# Steps of ascent for every hidden value must fit into this share of what is left of that, by the time of plain CROWN,
# which costs about as much as one. Measured on attention: six steps gain 97 % of what twenty do.
STEPS_SHARE = 0.5
LEAST_STEPS = 4
# Smaller walks through all layers than this, rows times values, are not worth a second process.
SHARED_FLOATS = 2**20
# Splits for hidden values are tried again if at most so many unstable rectifiers, or so much of the bound, are left.
LEAST_FEWER = 0.9
LEAST_NEARER = 0.7


class Sharing(Protocol):
    """Who else takes part in bounding rows."""

    def __call__(self, bound_rows: BoundRows, record: list[RowForest] | None) -> BoundRows:
        """A way made of another. record: the list in which that one keeps what shows its bounds, if it does."""


class OutOfTimeError(Exception):
    """A stage did not end within its time."""


class Root:
    """The bounds of one goal before any split, made tighter stage by stage."""

    def __init__(self, problem: Problem, goal: Goal, network: Network, budget: Budget, number: int = 0) -> None:
        """network: in the array library to work in; number: of the goal, among all."""
        self.problem, self.goal, self.network = problem, goal, network
        put = network.library.put
        self.box = Interval(put(goal.lower[None]), put(goal.upper[None]))
        self.margins = np.full(len(goal.atoms), -np.inf)
        self.points = np.empty((0, network.n_inputs))
        self.relaxed = Relaxed(network, self.box)
        self.slopes: dict[str, tuple[Array, ...]] = {}
        self.broken = False
        self.bounded = False
        self._finished: dict[tuple[str, str], Interval] = {}
        self._seconds = 0.0
        self.row_trees_pay = True
        self.budget = budget.share(ROOT_SHARE)
        self.number = number
        # The elements that the network of `relaxed`, and the one that `reduced` made of it, have of the problem's.
        self.shrunk: dict[str, np.ndarray] = {}
        self.kept: dict[str, np.ndarray] = {}
        # Where the ascents of the margins' slopes begin, by node; {}: where plain CROWN has them.
        self.start: dict[str, tuple[Array, ...]] = {}
        self.before_trees: Relaxed | None = None
        self.turns: list[list[RowForest]] = [[]]
        self.obstacle = ""

    @property
    def bound(self) -> float:
        """Lower bound of the goal's margin."""
        return float(worst_margin(self.goal.formula, self.margins[None])[0])

    def rows(self) -> Rows:
        """The margin rows of all atoms."""
        put = self.network.library.put
        outputs, inputs, offset = self.problem.margin_rows(self.goal.atoms)
        coefficients = {self.network.output: put(outputs[None])}
        if inputs is not None:
            coefficients[INPUT] = put(inputs[None])
        return Rows(coefficients, put(offset[None]))

    def needed(self, network: Network) -> dict[str, np.ndarray]:
        """The elements of each value of this form of the network that the margins can depend on, as flat masks."""
        return needed_for(network, self.rows())

    def crown(self, within: Budget | None = None) -> None:
        """Plain CROWN; not `bounded` if that is not done within the budget: the next call goes on from there."""

        def bound_rows(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm]:
            if within is not None and within.expired():
                raise OutOfTimeError
            return crown_rows(relaxed, rows)

        began = time.monotonic()
        try:
            relaxed = intermediate_bounds(
                self.network,
                self.box,
                bound_rows=bound_rows,
                needed=self.needed(self.network),
                finished=self._finished,
            )
            lower, form = bound_rows(relaxed, self.rows())
        except OutOfTimeError:
            return
        finally:
            self._seconds += time.monotonic() - began
        self.relaxed, self.bounded = relaxed, True
        self._take(lower, form)

    def take_crown(self, known: Mapping[str, Interval], lower: Array, form: LinearForm) -> None:
        """What plain CROWN found of this box in a batch: bounds of relaxed values, margins [1, atoms], their form."""
        self.bounded = True
        self._take(lower, form)
        if not self.bound > 0.0:
            self.relaxed = intermediate_bounds(self.network, self.box, known=known, bound_rows=None)

    def begin_with(self, slopes: Mapping[str, tuple[np.ndarray, ...]]) -> None:
        """The margins with slopes that somebody else found, by node, [1, atoms, *shape]; ascents begin there."""
        put, shapes = self.network.library.put, self.network.shapes
        fits = lambda name, part: name in shapes and part.shape == (1, len(self.goal.atoms), *shapes[name])  # noqa: E731
        self.start = {
            name: tuple(map(put, parts)) for name, parts in slopes.items() if all(fits(name, part) for part in parts)
        }
        self._optimise_rows(replace(ASCENT, iterations=0))

    def alpha_rows(self) -> None:
        """Optimised slopes for the margin rows alone."""
        self._optimise_rows()

    def alpha_everywhere(self, shared: Sharing, evidence: bool = False) -> None:
        """Optimised slopes for every inexact hidden value too, layer by layer.

        As many steps as there is time for, by how long plain CROWN took; nothing if that is less than a few. evidence:
        whether to keep the slopes.
        """
        affordable = STEPS_SHARE * self.budget.remaining() / max(self._seconds, 1e-9)
        if affordable < LEAST_STEPS:
            return
        floats = sum(unstable(self.relaxed).values()) * sum(int(np.prod(s)) for s in self.network.shapes.values())
        forests = self.turns[0] if evidence else None
        way = (lambda rows: rows) if floats < SHARED_FLOATS else (lambda rows: shared(rows, forests))
        known, needed = self.relaxed.intervals, self.needed(self.network)
        ascent = replace(ASCENT, iterations=min(ASCENT.iterations, int(affordable)))
        ascent = replace(ascent, levels=SLOPE_LEVELS if evidence else None)
        record = None if forests is None else row_recorder(forests)
        self.relaxed = tighten(self.network, self.box, known, self.budget.expired, way, record, needed, ascent)
        self._optimise_rows()

    @property
    def deep(self) -> bool:
        """Whether open rectifiers depend on others, so that `row_trees` can do anything."""
        rectified = {node.inputs[0] for node in self.network.nonlinear if isinstance(node.op, Relu)}
        return sum(count > 0 and name in rectified for name, count in unstable(self.relaxed).items()) > 1

    def row_trees(self, work: int, nbytes: int, shared: Sharing, budget: Budget, evidence: bool = False) -> None:
        """Every inexact hidden value by branch and bound, on the network without dead rectifiers.

        work, nbytes: see `RowTrees`, nbytes also for what is kept if evidence is wanted.
        """
        from certify.search.row_trees import RowTrees

        self.before_trees = self.before_trees or self.relaxed
        known, before = self.reduced(), self.bound
        self.shrunk, self.start = self.kept, {}
        evidence = evidence and not self.obstacle
        record: list[RowForest] | None = [] if evidence else None
        inexact = unstable(known)
        rows = {name: 2 * count for name, count in inexact.items()}
        way = shared(RowTrees(work, rows, nbytes, budget.expired, record), record)
        self.relaxed = intermediate_bounds(
            known.network,
            self.box,
            known=known.intervals,
            bound_rows=way,
            needed=self.needed(known.network),
            whole=evidence,
        )
        self._keep_turn(record, nbytes)
        self.budget = budget
        self._optimise_rows()
        fewer = sum(unstable(self.relaxed).values()) < LEAST_FEWER * sum(inexact.values())
        self.row_trees_pay = fewer or self.bound > LEAST_NEARER * before

    def _keep_turn(self, record: list[RowForest] | None, nbytes: int) -> None:
        """Add what a turn recorded, unless everything together outgrows its memory."""
        self.turns.append([forest.renumbered(self.shrunk) for forest in record or []])
        if record is None:
            self.obstacle = self.obstacle or "nothing was kept of how hidden values were split"
        elif sum(forest.nbytes for turn in self.turns for forest in turn) > nbytes:
            self.turns.clear()
            self.obstacle = "the record of the splits of hidden values outgrew its memory (--memory)"

    def _optimise_rows(self, ascent: Ascent = ASCENT) -> None:
        found = optimise(self.relaxed, self.rows(), ascent, slopes=self.start or None, expired=self.budget.expired)
        self.slopes = found.slopes
        self._take(found.lower, found.form)

    def _take(self, lower: Array, form: LinearForm) -> None:
        self.margins = np.fmax(self.margins, to_numpy(lower)[0])
        self.points = to_numpy(form.minimiser(self.box))[0][~(self.margins > 0.0)]

    def reduced(self) -> Relaxed:
        """The bounds, on the network without the rectifiers that are dead on the whole box. Sets `kept`."""
        alive = {name: to_numpy(i.upper > 0.0).reshape(-1) for name, i in self.relaxed.intervals.items()}
        network, kept = drop_dead_neurons(self.relaxed.network, alive)
        before = {name: self.shrunk[name][index] if name in self.shrunk else index for name, index in kept.items()}
        self.kept = self.shrunk | before
        known = {
            name: Interval(*(b[..., kept[name]] for b in i)) if name in kept else i
            for name, i in self.relaxed.intervals.items()
        }
        return intermediate_bounds(network, self.box, known=known, bound_rows=None)

    def as_tree(self) -> SearchTree:
        """The one closed leaf of a goal that needs no search."""
        tree = SearchTree(np.zeros(1, dtype=int), 2**30)
        slopes = {name: tuple(to_numpy(s) for s in parts) for name, parts in self.slopes.items()}
        tree.add(Leaves(np.zeros(1, dtype=int), self.margins[None], slopes, {}))
        tree.ground = replace(self.ground([]), kept={})
        return tree

    def ground(self, clauses: list[tuple[int, ...]]) -> Ground:
        """What trees stand on that prove conjunctions of the goal, in the network that `reduced` made."""
        return Ground(
            np.array([self.number]),
            clauses,
            self.before_trees or self.relaxed,
            self.kept,
            tuple(tuple(turn) for turn in self.turns),
            self.slopes,
            self.shrunk,
            self.obstacle,
        )


def unstable(relaxed: Relaxed) -> dict[str, int]:
    """How many elements of each relaxed value are inexact."""
    found: dict[str, int] = {}
    for node in relaxed.network.nonlinear:
        inputs = [relaxed.intervals[name] for name in node.inputs]
        count = int(to_numpy(node.nonlinear_op.inexact(*inputs)).any(axis=0).sum())
        for name in node.inputs:
            found[name] = max(count, found.get(name, 0))
    return found
