"""Prove that no goal can be met, or find who breaks it: cheap bounds first, then the search that fits the problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from certify.arrays import Array, Library, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.methods.alpha_crown import ASCENT, tighten
from certify.bounds.optimise import optimise
from certify.errors import NumericalError
from certify.network.graph import INPUT, Network
from certify.network.passes.drop_dead_neurons import drop_dead_neurons
from certify.ops.relu import Relu
from certify.problem import Goal, Problem, worst_margin
from certify.search.branch_and_bound import Accept, Outcome, Progress, branch_and_bound
from certify.search.input_split import InputSplit
from certify.search.relu_split import ReluSplit, TooManyClausesError
from certify.search.tree import Leaves, SearchTree
from certify.settings import Budget

# Up to this many varying inputs, halving boxes beats fixing signs.
FEW_INPUTS = 20
# Share of the time that may go into the root's bounds.
ROOT_SHARE = 0.4
# Memory that the record of each search tree may take, also as a share of the limit given.
TREE_BYTES = 2**28
TREE_SHARE = 0.125


@dataclass
class Proof:
    """What proving came to: an outcome, and the search trees with how each was grown."""

    outcome: Outcome = Outcome(True, True, float("inf"))
    trees: list[tuple[str, SearchTree]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take in the outcome of one part: all is closed or finished only if every part is."""
        both = self.outcome
        self.outcome = Outcome(
            both.closed and outcome.closed,
            both.finished and outcome.finished,
            min(both.bound, outcome.bound),
            outcome.witness if both.witness is None else both.witness,
        )


@dataclass(frozen=True)
class OpenGoal:
    """A goal that cheap bounds left open, with the mask of atoms they refuted on its box."""

    goal: Goal
    refuted: np.ndarray


class Prover:
    """Refutes goals with bounds and search. `screen` once, then `search`."""

    def __init__(self, problem: Problem, library: Library, budget: Budget, progress: Progress) -> None:
        self.problem, self.budget, self.progress = problem, budget, progress
        self.network = problem.network.on(library)
        goals = list(problem.goals())
        self.few = [goal for goal in goals if splits_inputs(self.network, goal)]
        self.roots = [Root(problem, g, self.network, budget) for g in goals if not splits_inputs(self.network, g)]
        self.proof = Proof()
        self.tree_bytes = int(min(TREE_BYTES, TREE_SHARE * budget.memory)) if budget.memory else TREE_BYTES

    def screen(self) -> list[OpenGoal]:
        """Bound what one CROWN pass may settle; the goals left open. (Boxes of few inputs go to search at once.)"""
        for root in self.roots:
            if not self.budget.expired():
                self._take_stage(root, "CROWN", root.crown)
        open_roots = [OpenGoal(r.goal, r.margins > 0.0) for r in self.roots if not r.bound > 0.0]
        return [OpenGoal(goal, np.zeros(len(goal.atoms), dtype=bool)) for goal in self.few] + open_roots

    def search(self, accept: Accept) -> Proof:
        """Refute what is open. accept: takes proposed points [k, n_inputs], returns a witness or None."""
        if self.few:
            brancher = InputSplit(self.problem, self.few, self.network, self.tree_bytes)
            self._branch("input splits", brancher, accept)
        for root in self.roots:
            if self.proof.outcome.witness is not None:
                break
            if not root.bound > 0.0 and not self._tighten(root, accept):
                self._split(root, accept)
        return self.proof

    def _tighten(self, root: Root, accept: Accept) -> bool:
        """Optimised bounds at the root; True if that decided the goal."""
        for name, stage in (("alpha-CROWN", root.alpha_rows), ("alpha-CROWN on every layer", root.alpha_everywhere)):
            witness = accept(root.points) if len(root.points) else None
            if witness is not None:
                self.proof.add(Outcome(False, True, float("-inf"), witness))
                return True
            if self.budget.expired() or root.broken:
                return False
            if self._take_stage(root, name, stage):
                return True
        return False

    def _take_stage(self, root: Root, name: str, stage: Callable[[], None]) -> bool:
        """One more step at the root; True if it refuted the goal. Bounds that break down leave the goal open."""
        self.progress.stage = name
        try:
            stage()
        except NumericalError as error:
            root.broken = True
            self.progress.notes.append(str(error))
        return self._settle(root, name)

    def _settle(self, root: Root, name: str) -> bool:
        """Record where the root stands; True if its goal is refuted."""
        self.progress.domains = max(self.progress.domains, 1)
        self.progress.bound = root.bound
        if not root.bound > 0.0:
            return False
        self.progress.leaves += 1
        self.proof.trees.append((name, root.as_tree()))
        self.proof.add(Outcome(True, True, root.bound))
        return True

    def _split(self, root: Root, accept: Accept) -> None:
        """Search by splits of rectifiers, where there is time and there are bounds to start from."""
        if self.budget.expired() or root.broken:
            self.progress.abandoned += root.broken
            self.proof.add(Outcome(False, root.broken, root.bound))
            return
        try:
            brancher = ReluSplit(self.problem, root.goal, root.reduced(), root.margins, self.tree_bytes)
        except TooManyClausesError:
            self.progress.notes.append("the specification has too many conjunctions to search one by one")
            self.proof.add(Outcome(False, True, root.bound))
            return
        self._branch("ReLU splits", brancher, accept)

    def _branch(self, name: str, brancher: InputSplit | ReluSplit, accept: Accept) -> None:
        self.progress.stage = name
        self.proof.trees.append((name, brancher.tree))
        self.proof.add(branch_and_bound(brancher, self.budget, accept, self.progress))


def splits_inputs(network: Network, goal: Goal) -> bool:
    """Whether to branch on inputs rather than on rectifiers."""
    varying = int((goal.upper > goal.lower).sum())
    return varying <= FEW_INPUTS or not any(isinstance(node.op, Relu) for node in network.nonlinear)


class Root:
    """The bounds of one goal before any split, made tighter stage by stage."""

    def __init__(self, problem: Problem, goal: Goal, network: Network, budget: Budget) -> None:
        """network: in the array library to work in."""
        self.problem, self.goal, self.network = problem, goal, network
        put = network.library.put
        self.box = Interval(put(goal.lower[None]), put(goal.upper[None]))
        self.margins = np.full(len(goal.atoms), -np.inf)
        self.points = np.empty((0, network.n_inputs))
        self.relaxed = Relaxed(network, self.box)
        self.slopes: dict[str, tuple[Array, ...]] = {}
        self.broken = False
        self.budget = budget.share(ROOT_SHARE)

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

    def crown(self) -> None:
        """Plain CROWN."""
        self.relaxed = intermediate_bounds(self.network, self.box)
        lower, form = crown_rows(self.relaxed, self.rows())
        self._take(lower, form)

    def alpha_rows(self) -> None:
        """Optimised slopes for the margin rows alone."""
        self._optimise_rows()

    def alpha_everywhere(self) -> None:
        """Optimised slopes for every inexact hidden value too, layer by layer."""
        self.relaxed = tighten(self.network, self.box, self.relaxed.intervals, self.budget.expired)
        self._optimise_rows()

    def _optimise_rows(self) -> None:
        found = optimise(self.relaxed, self.rows(), ASCENT, expired=self.budget.expired)
        self.slopes = found.slopes
        self._take(found.lower, found.form)

    def _take(self, lower: Array, form: LinearForm) -> None:
        self.margins = np.fmax(self.margins, to_numpy(lower)[0])
        self.points = to_numpy(form.minimiser(self.box))[0][~(self.margins > 0.0)]

    def reduced(self) -> Relaxed:
        """The bounds, on the network without the rectifiers that are dead on the whole box."""
        alive = {name: to_numpy(i.upper > 0.0).reshape(-1) for name, i in self.relaxed.intervals.items()}
        network, kept = drop_dead_neurons(self.network, alive)
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
        return tree
