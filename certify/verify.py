"""The corridor: cheap bounds, attack, replay, search, verdict. Every backend's bounds and search go through it."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Protocol

import numpy as np

from certify.attack.candidate import ORDER, Target, attack_goal
from certify.attack.crowd import Crowd
from certify.clock import Clock
from certify.network.parity import check_parity
from certify.problem import Goal, Problem
from certify.search.branch_and_bound import Accept, Progress
from certify.search.prove import OpenGoal, Proof
from certify.settings import Budget, Settings
from certify.verdict import Status, Verdict
from certify.witness.replay import Replay, Witness, runtimes

# Goals whose boxes are compared with onnxruntime, and goals attacked one by one before the search.
GOALS_COMPARED = 3
GOALS_ATTACKED = 16
ATTACK_SHARE = 0.25
# The largest difference from onnxruntime anywhere in a box, at most, by that at the few points compared.
MORE_THAN_SEEN = 4.0


class Prover(Protocol):
    """What a backend contributes."""

    progress: Progress

    def screen(self) -> list[OpenGoal]:
        """The goals that cheap bounds do not refute."""

    def search(self, accept: Accept) -> Proof:
        """Everything the backend can do about them; accept takes points worth a try."""


class Run:
    """One verification; `current` can be asked for what is known at any moment, from another thread too."""

    def __init__(self, problem: Problem, settings: Settings, budget: Budget, clock: Clock | None = None) -> None:
        self.problem, self.settings, self.budget = problem, settings, budget
        self.clock = clock or Clock()
        self.progress = Progress()
        assert problem.query is not None
        with self.clock.measure("load"):
            self.runtimes = runtimes(problem)
            self.replay = Replay(self.runtimes, problem.query, problem.unsafe.columns)
            goals = zip(problem.goals(), range(GOALS_COMPARED), strict=False)
            self.rounding = MORE_THAN_SEEN * max((self._compare(goal) for goal, _ in goals), default=0.0)

    def _compare(self, goal: Goal) -> float:
        """Each model as we read it with onnxruntime, on its part of the goal's box; then all of them joined.

        The largest difference of the latter.
        """
        problem, seed = self.problem, self.settings.seed
        if problem.unsafe.columns is not None:
            ends = [self.runtimes.pieces(problem.declared_inputs(x)) for x in (goal.lower, goal.upper)]
            for model, run, first, second in zip(problem.models.values(), self.runtimes.parts, *ends, strict=True):
                check_parity(model.network, run, np.minimum(first, second), np.maximum(first, second), seed)
        return check_parity(problem.network, self.replay.observed, goal.lower, goal.upper, seed)

    def verify(self, prover: Prover) -> Verdict:
        """Decide the problem with this prover. Raises nothing for a hard problem: that is `unknown` or `timeout`."""
        self.progress = prover.progress
        try:
            with self.clock.measure("bounds"):
                open_goals = prover.screen()
            network, noise = self.problem.network, self.rounding
            crowd = Crowd([Target(self.problem, g.goal, network, g.refuted, noise) for g in open_goals])
            if self.settings.attack and open_goals:
                with self.clock.measure("attack"):
                    witness = self._attack(crowd)
                if witness is not None:
                    return self.sat(witness)
            with self.clock.measure("search"):
                proof = prover.search(partial(crowd.offer, accept=self.replay))
        except MemoryError:
            return self.undecided(Status.OUT_OF_MEMORY)
        if proof.outcome.witness is not None:
            return self.sat(proof.outcome.witness)
        if proof.outcome.closed:
            return self._unsat(proof)
        self.progress.reach(proof.outcome.bound)
        return self.undecided(Status.UNKNOWN if proof.outcome.finished else Status.TIMEOUT)

    def _attack(self, crowd: Crowd) -> Witness | None:
        """All open goals together if there are several, then the nearest ones by themselves, in a share of the time."""
        rng, budget = np.random.default_rng(self.settings.seed), self.budget.share(ATTACK_SHARE)
        self.progress.stage = "attack"
        witness: Any = None
        try:
            if len(crowd.targets) > 1:
                witness = crowd.attack(rng, budget, self.replay)
            for number in crowd.nearest()[:GOALS_ATTACKED]:
                if witness is not None or budget.expired():
                    break
                witness = attack_goal(crowd.targets[number], ORDER, rng, budget, self.replay)
        except MemoryError:
            self.progress.notes.append("out of memory: the attack was cut short")
        return witness

    def sat(self, witness: Witness) -> Verdict:
        """Violated, by this witness."""
        return Verdict(Status.SAT, "an input breaks the property; onnxruntime confirms it", witness, **self._common())

    def _unsat(self, proof: Proof) -> Verdict:
        leaves: Counter[str] = Counter()
        for name, tree in proof.trees:
            leaves[name] += tree.n_leaves
        grown = (
            ", ".join(f"{name}: {count} {'leaf' if count == 1 else 'leaves'}" for name, count in leaves.items())
            or "no region is unsafe"
        )
        bound = proof.outcome.bound if np.isfinite(proof.outcome.bound) else None
        return Verdict(
            Status.UNSAT, f"no input breaks the property ({grown})", proof=proof, bound=bound, **self._common()
        )

    def undecided(self, status: Status, reason: str | None = None) -> Verdict:
        """Neither proved nor violated, with the best bound so far. May be called from another thread."""
        bound = self.progress.bound if np.isfinite(self.progress.bound) else None
        reason = reason or {
            Status.TIMEOUT: "the time ended before a decision",
            Status.OUT_OF_MEMORY: "memory ran out before a decision",
        }.get(status, "the search ended without a decision: part of the region can neither be proved nor split further")
        advice = {
            Status.TIMEOUT: "give more time (--timeout), a smaller input region, or a smaller network",
            Status.OUT_OF_MEMORY: "give more memory (--memory), or split the input region over several specs",
        }.get(status, "split the input region over several specs, or try another backend (certify backends)")
        return Verdict(status, reason, bound=bound, advice=advice, **self._common())

    def _common(self) -> dict[str, Any]:
        p = self.progress
        statistics: dict[str, int | float | str] = {
            "stage": p.stage,
            "subproblems": p.domains,
            "leaves": p.leaves,
            "open": p.open,
            "abandoned": p.abandoned,
        }
        notes, trace = tuple(dict.fromkeys(p.notes)), tuple(p.trace.points())
        return {"seconds": self.clock.seconds, "statistics": statistics, "notes": notes, "trace": trace}
