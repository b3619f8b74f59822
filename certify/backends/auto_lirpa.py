"""The public library auto_LiRPA as a second opinion: CROWN, then alpha-CROWN, and no search, so it may not decide.

It shares no bound with our own engine: the network is handed over as a torch module, and lower bounds of the margins
come back. A goal counts as refuted only by bounds that are finite, contradict no value, and exceed float64 rounding.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from certify.backends.auto_lirpa_network import INSTALL, METHODS, BoundedNetwork, Found, Question, sample
from certify.backends.base import Backend
from certify.errors import BackendError, InputError
from certify.network.graph import Network
from certify.problem import Goal, Problem, worst_margin
from certify.search.branch_and_bound import Accept, Outcome, Progress
from certify.search.prove import OpenGoal, Proof
from certify.search.tree import Leaves, SearchTree
from certify.settings import Budget, Settings

# Steps of alpha-CROWN, which ends by itself where they no longer help; CROWN passes that one costs, until it is timed.
STEPS = 100
STEP_COST = 4.0


def bounds(
    subject: Problem | Network,
    box: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray | None = None,
    *,
    method: str = "crown",
    steps: int = 20,
) -> Found:
    """auto_LiRPA's bounds of rows [rows, n_outputs] (each output by default) of a network's outputs on a box.

    box: (lower, upper), [n_inputs] each; method: ibp, crown or alpha-crown (lower bounds only) with so many steps.
    Raises UnsupportedOp or BackendError where the library cannot be used, NumericalError if its answer cannot be right.
    """
    if method not in METHODS:
        raise InputError(f"there is no bound method '{method}'", f"choose one of: {', '.join(METHODS)}")
    network = subject.network if isinstance(subject, Problem) else subject
    lower, upper = (np.asarray(side, dtype=np.float64) for side in box)
    bounded = BoundedNetwork(network, np.empty(0, dtype=int), sample(lower, upper))
    rows = np.eye(network.n_outputs) if rows is None else np.asarray(rows, dtype=np.float64)
    return bounded.bound(Question(lower, upper, rows, method, bounded.slack(lower, upper, rows, method), steps))


@dataclass
class Root:
    """One goal and what is known of it. rows, offset: margin = rows . (outputs, passed inputs) + offset, per atom;
    margins: their best lower bounds; slack: what rounding is taken to add to a bound, infinite until that is known.
    """

    goal: Goal
    rows: np.ndarray
    offset: np.ndarray
    margins: np.ndarray
    slack: np.ndarray
    points: np.ndarray

    @property
    def bound(self) -> float:
        """Lower bound of the goal's margin."""
        return float(worst_margin(self.goal.formula, self.margins[None])[0])

    @property
    def open(self) -> np.ndarray:
        """Positions of the atoms that are not refuted."""
        return np.flatnonzero(~(self.margins > 0.0))

    def improved(self, place: np.ndarray, sure: np.ndarray) -> np.ndarray:
        """All margins, given new lower bounds of the rows at these places."""
        margins = self.margins.copy()
        margins[place] = np.maximum(margins[place], sure + self.offset[place])
        return margins

    def settled_by(self, place: np.ndarray, sure: np.ndarray) -> bool:
        """Whether these lower bounds of the rows at these places would refute the goal."""
        return float(worst_margin(self.goal.formula, self.improved(place, sure)[None])[0]) > 0.0


class LirpaProver:
    """Refutes goals by auto_LiRPA's bounds alone."""

    def __init__(self, problem: Problem, budget: Budget, progress: Progress) -> None:
        """Raises UnsupportedOp where the network cannot be handed over."""
        self.problem, self.budget, self.progress = problem, budget, progress
        inputs = problem.atoms.inputs
        passed = np.empty(0, dtype=int) if inputs is None else np.flatnonzero((inputs != 0.0).any(axis=0))
        self.roots = [self._root(goal, passed) for goal in problem.goals()]
        self.proof = Proof()
        self.seconds_per_step = 0.0
        self.network: BoundedNetwork | None = None
        if self.roots:
            goal = self.roots[0].goal
            self.network = BoundedNetwork(problem.network, passed, sample(goal.lower, goal.upper))

    def _root(self, goal: Goal, passed: np.ndarray) -> Root:
        outputs, inputs, offset = self.problem.margin_rows(goal.atoms)
        beside = np.zeros((len(outputs), len(passed))) if inputs is None else inputs[:, passed]
        unknown, centre = np.full(len(offset), np.inf), (goal.lower + goal.upper) / 2.0
        return Root(goal, np.concatenate([outputs, beside], axis=1), offset, -unknown, unknown, centre[None])

    def screen(self) -> list[OpenGoal]:
        """CROWN on every goal, intervals where it fails; the goals that stay open."""
        self.progress.stage = "auto-lirpa CROWN"
        for root in self.roots:
            if self.budget.expired():
                break
            name = next((m for m in ("crown", "ibp") if self._bound(root, m)), "")
            self._settle(root, f"auto-lirpa {METHODS.get(name, '')}")
        return [OpenGoal(root.goal, root.margins > 0.0) for root in self.roots if not root.bound > 0.0]

    def search(self, accept: Accept) -> Proof:
        """alpha-CROWN on what is open, after a try at the points where the bounds would be attained."""
        waiting = [root for root in self.roots if not root.bound > 0.0]
        for number, root in enumerate(waiting):
            self.progress.open = len(waiting) - number
            witness = accept(root.points)
            if witness is not None:
                self.proof.add(Outcome(False, True, float("-inf"), witness))
                return self.proof
            self._optimise(root, self.budget.share(1.0 / (len(waiting) - number)))
        self.progress.open = sum(not root.bound > 0.0 for root in waiting)
        return self.proof

    def _optimise(self, root: Root, budget: Budget) -> None:
        """alpha-CROWN until the goal is refuted or the budget ends; the library can be stopped between steps only."""
        if self.budget.remaining() <= self.seconds_per_step:
            self.progress.notes.append("no time was left for a step of alpha-CROWN")
            self.proof.add(Outcome(False, False, root.bound))
            return
        self.progress.stage = "auto-lirpa alpha-CROWN"
        self._bound(root, "alpha-crown", budget)
        if not self._settle(root, "auto-lirpa alpha-CROWN"):
            self.proof.add(Outcome(False, not budget.expired(), root.bound))

    def _bound(self, root: Root, method: str, budget: Budget | None = None) -> bool:
        """Take up the library's bounds of what is open; False, with a note, if it gave none that can be used."""
        assert self.network is not None
        place, steps = root.open, 0
        if not len(place):
            return True

        def stop(sure: np.ndarray) -> bool:
            nonlocal steps
            steps += 1
            return root.settled_by(place, sure) or (budget is not None and budget.expired())

        try:
            box = root.goal.lower, root.goal.upper
            if method != "alpha-crown":
                root.slack = self.network.slack(*box, root.rows, method)
            start = time.monotonic()
            found = self.network.bound(Question(*box, root.rows[place], method, root.slack[place], STEPS, stop))
        except Exception as error:  # noqa: BLE001 - a library: whatever it raises, nothing is refuted by it
            self.progress.notes.append(f"auto-lirpa {METHODS[method]}: {type(error).__name__}: {error}")
            return False
        self.seconds_per_step = (time.monotonic() - start) / steps if steps else STEP_COST * (time.monotonic() - start)
        root.margins = root.improved(place, found.sure)
        root.points = np.vstack([root.points[:1], found.points])
        return True

    def _settle(self, root: Root, name: str) -> bool:
        """Record where the root stands; True if its goal is refuted."""
        self.progress.domains += 1
        self.progress.reach(root.bound)
        if not root.bound > 0.0:
            return False
        self.progress.leaves += 1
        tree = SearchTree(np.zeros(1, dtype=int), 2**20)
        tree.add(Leaves(np.zeros(1, dtype=int), root.margins[None], {}, {}))
        self.proof.trees.append((name, tree))
        self.proof.add(Outcome(True, True, root.bound))
        return True


def _missing() -> str | None:
    return None if all(find_spec(name) is not None for name in ("torch", "auto_LiRPA")) else INSTALL


def _prover(problem: Problem, settings: Settings, budget: Budget, progress: Progress) -> LirpaProver:
    if settings.device == "cuda":
        raise BackendError("auto-lirpa works on the CPU here", "use --device auto, or --backend native")
    return LirpaProver(problem, budget, progress)


BACKEND = Backend(
    "auto-lirpa",
    "CROWN and alpha-CROWN of the library auto_LiRPA, without search: a second opinion",
    False,
    _missing,
    _prover,
)
