"""Prove that no goal can be met, or find who breaks it: cheap bounds first, then the search that fits the problem."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from certify.arrays import Library
from certify.bounds.intermediate import BoundRows
from certify.errors import NumericalError
from certify.network.graph import Network
from certify.problem import Goal, Problem
from certify.search.branch_and_bound import Accept, Brancher, Helper, Outcome, Progress, branch_and_bound
from certify.search.input_split import InputSplit
from certify.search.tree import Ground, RowForest, SearchTree
from certify.settings import Budget

if TYPE_CHECKING:
    from certify.search.plan import Plan
    from certify.search.root import Root
    from certify.search.value_split import ValueSplit

# Attacks do not wait longer than this share of the time for cheap bounds, which are then done after them.
SCREEN_SHARE = 0.1
# Up to this many varying inputs, halving boxes beats fixing signs.
FEW_INPUTS = 20
# Memory that the record of each search tree may take, also as a share of the limit given.
TREE_BYTES = 2**28
TREE_SHARE = 0.125
# Subproblems that hidden values may cost at first, by what factor more each time, and the share of the time for it.
FIRST_WORK = 10_000
MORE_WORK = 4
ROWS_SHARE = 0.5
SHORTEST_TURN = 1.0
# Hidden values may take so many times as long as everything before them: a layer that time ran out for spoils the rest.
ROWS_TURN = 3.0
# A turn of splits ends early if after this share of it less than so much of the search tree is closed.
JUDGED_AFTER = 0.25
LEAST_COVERED = 0.02


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
    """Refutes goals with bounds and search. `screen` once, then `search`.

    programs: whether a linear program bounds every subproblem of a search by signs. evidence: whether to keep all that
    a certificate needs. plan: of an earlier search that this one should follow.
    """

    programs = False
    evidence = False
    plan: Plan | None = None

    def __init__(
        self, problem: Problem, library: Library, budget: Budget, progress: Progress, few_inputs: int | None = None
    ) -> None:
        """few_inputs: up to how many varying inputs boxes are halved instead of fixing signs."""
        self.problem, self.budget, self.progress = problem, budget, progress
        self.network = problem.network.on(library)
        goals = list(problem.goals())
        few = FEW_INPUTS if few_inputs is None else few_inputs
        halved = np.array([splits_inputs(self.network, goal, few) for goal in goals], dtype=bool)
        self.few_numbers = np.flatnonzero(halved)
        self.few = [goals[number] for number in self.few_numbers]
        if not halved.all():
            from certify.search.root import Root
        self.roots = [Root(problem, goals[n], self.network, budget, n) for n in np.flatnonzero(~halved).tolist()]
        self.proof = Proof()
        self.tree_bytes = int(min(TREE_BYTES, TREE_SHARE * budget.memory)) if budget.memory else TREE_BYTES

    def screen(self) -> list[OpenGoal]:
        """Bound what one CROWN pass may settle; the goals left open. (Boxes of few inputs go to search at once.)"""
        soon = self.budget.share(SCREEN_SHARE)
        self._screen_together(soon)
        for root in self.roots:
            if not root.bounded and not soon.expired():
                self._take_stage(root, "CROWN", partial(root.crown, soon))
        open_roots = [OpenGoal(r.goal, r.margins > 0.0) for r in self.roots if not r.bound > 0.0]
        return [OpenGoal(goal, np.zeros(len(goal.atoms), dtype=bool)) for goal in self.few] + open_roots

    def _screen_together(self, budget: Budget) -> None:
        if len(self.roots) > 1:
            from certify.search.screen import screen

            self.progress.stage = "CROWN"
            for root in screen(self.roots, budget.expired):
                self._settle(root, "CROWN")

    def search(self, accept: Accept) -> Proof:
        """Refute what is open. accept: takes proposed points [k, n_inputs], returns a witness or None."""
        if self.few:
            brancher = InputSplit(self.problem, self.few, self.network, self.tree_bytes)
            brancher.tree.ground = Ground(self.few_numbers)
            self.proof.trees.append(("input splits", brancher.tree))
            self.proof.add(self._branch("input splits", brancher, accept, self.budget, lambda: False))
        if self.proof.outcome.witness is None:
            self._screen_together(self.budget)
        for root in self.roots:
            if self.proof.outcome.witness is not None:
                break
            began = time.monotonic()
            if not root.bound > 0.0 and not self._tighten(root, accept):
                self._split(root, accept, began)
        return self.proof

    def _tighten(self, root: Root, accept: Accept) -> bool:
        """Optimised bounds at the root; True if that decided the goal."""
        stages: list[tuple[str, Callable[[], None]]] = [] if root.bounded else [("CROWN", root.crown)]
        if self.plan is not None and root.number in self.plan.slopes:
            stages.append(("CROWN with earlier slopes", partial(root.begin_with, self.plan.slopes[root.number])))
        stages += [
            ("alpha-CROWN", root.alpha_rows),
            ("alpha-CROWN on every layer", partial(root.alpha_everywhere, self._shared, self.evidence)),
        ]
        for name, stage in stages:
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
        self.progress.reach(root.bound)
        if not root.bound > 0.0:
            return False
        self.progress.leaves += 1
        self.progress.open = 0
        self.proof.trees.append((name, root.as_tree()))
        self.proof.add(Outcome(True, True, root.bound))
        return True

    def _split(self, root: Root, accept: Accept, began: float) -> None:
        """Search by splits of hidden values, where there is time and there are bounds to start from.

        Two things take turns, each for about as long as everything before it (which began at `began`): splits for the
        goal, and splits for the hidden values, from whose bounds the next search for the goal starts anew. Neither
        knows beforehand which of them is needed. Hidden values are left alone once they gained little, unless the
        splits for the goal promise no end either.
        """
        from certify.search.condensed_split import sign_search
        from certify.search.conjunctions import TooManyClausesError

        work, promising = FIRST_WORK, False
        while not self.budget.expired() and not root.broken:
            last = not root.deep or (promising and not root.row_trees_pay)
            try:
                brancher = sign_search(
                    self.problem,
                    root.goal,
                    root.reduced(),
                    root.margins,
                    self.tree_bytes,
                    programs=self.programs,
                    long=last or work > FIRST_WORK,
                )
            except TooManyClausesError:
                self.progress.notes.append("the specification has too many conjunctions to search one by one")
                self.proof.add(Outcome(False, True, root.bound))
                return
            brancher.tree.evidence = self.evidence
            brancher.tree.ground = root.ground([tuple(c[c >= 0].tolist()) for c in brancher.conjunctions.clauses])
            abandoned = self.progress.abandoned
            turn = self.budget if last else self.budget.share(1.0, max(SHORTEST_TURN, time.monotonic() - began))
            outcome = self._branch(
                "hidden splits", brancher, accept, turn, (lambda: False) if last else self._hopeless(turn)
            )
            if last or outcome.closed or outcome.witness is not None or self.budget.expired():
                self.proof.trees.append(("hidden splits", brancher.tree))
                self.proof.add(outcome)
                return
            self.progress.abandoned = abandoned
            promising = self.progress.covered >= LEAST_COVERED
            rows = self.budget.share(ROWS_SHARE, ROWS_TURN * max(SHORTEST_TURN, time.monotonic() - began))
            stage = partial(root.row_trees, work, self.tree_bytes, self._shared, rows, self.evidence)
            if self._take_stage(root, "branch and bound on every layer", stage):
                return
            work *= MORE_WORK
        self.progress.abandoned += root.broken
        self.proof.add(Outcome(False, root.broken, root.bound))

    def _hopeless(self, turn: Budget) -> Callable[[], bool]:
        """Whether a good part of the turn has passed and what is closed promises no end."""
        judged = turn.remaining() * (1.0 - JUDGED_AFTER)
        return lambda: turn.remaining() < judged and self.progress.covered < LEAST_COVERED

    def _branch(
        self,
        name: str,
        brancher: InputSplit | ValueSplit,
        accept: Accept,
        budget: Budget,
        hopeless: Callable[[], bool],
    ) -> Outcome:
        self.progress.stage = name
        with self._helped(brancher, accept, budget) as (accept_all, helper):
            return branch_and_bound(
                self._following(brancher), budget, accept_all, self.progress, helper=helper, hopeless=hopeless
            )

    def _following(self, brancher: InputSplit | ValueSplit) -> Brancher:
        """The brancher, with its cuts taken from the plan where that has some.

        A recheck bounds every box on the way down, and plain CROWN is not monotone: with tighter bounds of hidden
        values it chooses other slopes, and may miss what was proven without.
        """
        if self.plan is None or (self.evidence and isinstance(brancher, InputSplit)):
            return brancher
        from certify.search.follow import follow

        return follow(brancher, self.plan)

    def _shared(self, bound_rows: BoundRows, record: list[RowForest] | None) -> BoundRows:
        """The way to bound rows, with whoever shares the work: nobody here. record: as in `Sharing`."""
        return bound_rows

    def _helped(
        self, brancher: InputSplit | ValueSplit, accept: Accept, budget: Budget
    ) -> AbstractContextManager[tuple[Accept, Helper | None]]:
        """The `accept` to search with, and who shares the work: nobody here."""
        return nullcontext((accept, None))


def splits_inputs(network: Network, goal: Goal, few: int) -> bool:
    """Whether to branch on inputs, of which at most `few` vary, rather than on hidden values."""
    varying = int((goal.upper > goal.lower).sum())
    return varying <= few or not network.nonlinear
