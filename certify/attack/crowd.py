"""Many goals of one problem, such as a disjunction over thousands of input boxes, attacked together.

One evaluation of the network serves points of all goals. Every goal gets a few points; from the best of them, the goals
that came nearest go downhill together. What single goals are worth then is for `attack_goal` to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from certify.arrays import NUMPY
from certify.attack.candidate import Accept, Target, snap
from certify.attack.methods.pgd import Plan, descend
from certify.network.evaluate import evaluate
from certify.problem import Goal, clauses, worst_margin
from certify.query.formula import FALSE
from certify.settings import Budget

# Points evaluated at once, and the floats that one layer of them may take.
MOST_POINTS = 4096
FLOATS = 2**22
# Points that every goal gets, the centre among them; goals that go downhill, and for how many steps.
POINTS_EACH = 8
DESCENDING = 256
PLAN = Plan(steps=30)
# Points of one batch that are handed to `accept`: on average of each target, and in all.
ACCEPTED_EACH = 4
MOST_ACCEPTED = 32


class Crowd:
    """The targets, and how near each has come so far: `reached`, [targets], the smallest margin met; `best`: where."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = targets
        self.reached = np.full(len(targets), np.inf)
        self.best: dict[int, np.ndarray] = {}

    @cached_property
    def _batch(self) -> int:
        target = self.targets[0]
        atoms = max(len(target.goal.atoms) for target in self.targets)
        widest = max(atoms, *(int(np.prod(shape)) for shape in target.network.shapes.values()))
        return int(min(MOST_POINTS, max(1, FLOATS // widest)))

    def attack(self, rng: np.random.Generator, budget: Budget, accept: Accept) -> Any:
        """A few points for every goal, then a descent for the most promising ones; what `accept` returned, or None."""
        for _ in range(POINTS_EACH):
            for first in range(0, len(self.targets), self._batch):
                owner = np.arange(first, min(first + self._batch, len(self.targets)))
                witness = self.try_points(self._sample(owner, rng), owner, accept)
                if witness is not None or budget.expired():
                    return witness
        for first in range(0, min(DESCENDING, len(self.targets)), self._batch):
            owner = self.nearest()[:DESCENDING][first : first + self._batch]
            for points in self._descent(owner, budget):
                witness = self.offer(points, accept)
                if witness is not None or budget.expired():
                    return witness
        return None

    def nearest(self) -> np.ndarray:
        """The numbers of the targets, those that came nearest to being met first."""
        return np.argsort(self.reached, kind="stable")

    def offer(self, points: np.ndarray, accept: Accept) -> Any:
        """Try points [k, n_inputs] on every target whose box holds them."""
        point, owner = self.containing(points)
        return self.try_points(points[point], owner, accept) if len(point) else None

    def try_points(self, x: np.ndarray, owner: np.ndarray, accept: Accept) -> Any:
        """Evaluate points [k, n_inputs], each meant for the target `owner` [k]; offer the worst ones to `accept`."""
        target = self.targets[0]
        box = (target.goal.lower, target.goal.upper) if len(self.targets) == 1 else self._boxes(owner)
        x = snap(x, *box)
        y = evaluate(target.problem.network.on(NUMPY), x)
        worst, possible = np.empty(len(x)), np.zeros(len(x), dtype=bool)
        groups = list(_groups(owner))
        for number, mine in groups:
            target = self.targets[number]
            margins = target.problem.margins(x[mine], y[mine], target.goal.atoms)
            worst[mine] = target.formula_margin(margins)
            possible[mine] = target.formula_margin(target.deployed(margins)) <= 0.0
            least = mine[np.argmin(worst[mine])]
            if worst[least] < self.reached[number]:
                self.reached[number], self.best[number] = worst[least], x[least]
        for place in np.flatnonzero(possible)[np.argsort(worst[possible])][
            : min(MOST_ACCEPTED, ACCEPTED_EACH * len(groups))
        ]:
            witness = accept(x[place])
            if witness is not None:
                return witness
        return None

    def containing(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(numbers of points, numbers of targets): the pairs in which the target's box holds the point."""
        if len(self.targets) < 2:
            mine = np.arange(len(points) * len(self.targets))
            return mine, np.zeros_like(mine)
        axis, lower, upper = self._telling
        point, owner = np.nonzero((points[:, axis, None] >= lower) & (points[:, axis, None] <= upper))
        inside = np.zeros(len(point), dtype=bool)
        for first in range(0, len(point), MOST_POINTS):
            part = slice(first, first + MOST_POINTS)
            low, high = self._boxes(owner[part])
            x = points[point[part]]
            inside[part] = ((x >= low) & (x <= high)).all(axis=1)
        return point[inside], owner[inside]

    @cached_property
    def _telling(self) -> tuple[int, np.ndarray, np.ndarray]:
        """The input that tells the boxes apart best, and their bounds of it, [targets] each."""
        sample = np.linspace(0, len(self.targets) - 1, min(64, len(self.targets))).astype(int)
        lower, upper = self._boxes(sample)
        spread = (lower.max(axis=0) - lower.min(axis=0)) / ((upper - lower).mean(axis=0) + 1e-300)
        axis = int(np.argmax(spread))
        goals = [target.goal for target in self.targets]
        return axis, np.array([goal.lower[axis] for goal in goals]), np.array([goal.upper[axis] for goal in goals])

    def _boxes(self, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        goals = [self.targets[number].goal for number in owner.tolist()]
        return np.stack([goal.lower for goal in goals]), np.stack([goal.upper for goal in goals])

    def _sample(self, owner: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A point for each target: its centre, then corners and uniform points in turn."""
        lower, upper = self._boxes(owner)
        if not np.isfinite(self.reached[owner]).any():
            return (lower + upper) / 2.0
        if rng.random() < 0.5:
            return np.where(rng.random(lower.shape) < 0.5, lower, upper)
        return rng.uniform(lower, upper)

    def _descent(self, owner: np.ndarray, budget: Budget) -> Iterator[np.ndarray]:
        """Points that break a goal on our graph, found downhill of the best point of each target."""
        numbers = [number for number in owner.tolist() if number in self.best]
        if numbers:
            joint = _join([self.targets[number] for number in numbers])
            x = np.stack([self.best[number] for number in numbers])
            width = PLAN.shares[0] * (joint.goal.upper - joint.goal.lower)
            yield from descend(joint, x, joint.member(joint.margins(x)), width, budget, PLAN)


@dataclass(frozen=True)
class _Joint(Target):
    """Several targets as one: point i belongs to part i. goal: the boxes, [points, n_inputs], and all parts' atoms."""

    parts: tuple[tuple[Goal, np.ndarray, np.ndarray | None], ...] = ()  # goal, its atoms' positions in ours, refuted

    def formula_margin(self, margins: np.ndarray) -> np.ndarray:
        """Each point's margin of its own part's formula."""
        rows = [
            worst_margin(goal.formula, row[None, at]) for row, (goal, at, _) in zip(margins, self.parts, strict=True)
        ]
        return np.concatenate(rows)

    def member(self, margins: np.ndarray) -> np.ndarray:
        """[points, atoms]: the conjunction that each point is nearest to."""
        chosen = np.zeros(margins.shape, dtype=bool)
        for row, (goal, at, refuted) in enumerate(self.parts):
            mask = np.zeros(len(at), dtype=bool) if refuted is None else refuted
            wanted = [clause for clause, _ in zip(clauses(goal.formula, mask), range(PLAN.most_clauses), strict=False)]
            if wanted:
                nearest = min(wanted, key=lambda clause: margins[row, at[list(clause)]].max(initial=-np.inf))
                chosen[row, at[list(nearest)]] = True
        return chosen


def _join(targets: Sequence[Target]) -> _Joint:
    atoms = np.unique(np.concatenate([target.goal.atoms for target in targets]))
    lower, upper = (np.stack([getattr(target.goal, side) for target in targets]) for side in ("lower", "upper"))
    parts = tuple((t.goal, np.searchsorted(atoms, t.goal.atoms), t.refuted) for t in targets)
    first = targets[0]
    return _Joint(first.problem, Goal(lower, upper, atoms, FALSE), first.network, None, first.rounding, parts)


def _groups(owner: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each owner with the places it has."""
    order = np.argsort(owner, kind="stable")
    numbers, starts = np.unique(owner[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)
