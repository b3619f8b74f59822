"""Attacks propose inputs; whether one is a counterexample is decided here and, finally, by the witness check.

A proposal is snapped to float32 inside the exact float64 box (what the deployed model will be fed), evaluated on our
graph, and only then reported. An attack guesses, it claims nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from certify.arrays import NUMPY
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.problem import Goal, Problem, worst_margin
from certify.settings import Budget

# Attack files of this package, cheapest first; a name is a file in attack/methods.
ORDER = ("random", "corners", "pgd")


@dataclass(frozen=True)
class Target:
    """One goal to attack, on one network (in the array library to work in). refuted: mask of atoms that cannot hold.

    rounding: by how much the deployed model's outputs may differ from our graph's; points that this could make unsafe
    are worth a look too.
    """

    problem: Problem
    goal: Goal
    network: Network
    refuted: np.ndarray | None = None
    rounding: float = 0.0

    def worst(self, x: np.ndarray) -> np.ndarray:
        """The formula's margin, [points], at inputs [points, n_inputs]: unsafe where <= 0."""
        return self.formula_margin(self.margins(x))

    def formula_margin(self, margins: np.ndarray) -> np.ndarray:
        """The formula's margin, [points], from those of the goal's atoms, [points, atoms]."""
        return worst_margin(self.goal.formula, margins)

    def deployed(self, margins: np.ndarray) -> np.ndarray:
        """The smallest margins, [points, atoms], that the deployed model may have where our graph has these."""
        outputs, _, _ = self.problem.margin_rows(self.goal.atoms)
        return margins - self.rounding * abs(outputs).sum(axis=1)

    def margins(self, x: np.ndarray) -> np.ndarray:
        """The margins of the goal's atoms, [points, atoms]."""
        y = evaluate(self.problem.network.on(NUMPY), x)
        return self.problem.margins(x, y, self.goal.atoms)


Proposals = Iterator[np.ndarray]
Attack = Callable[[Target, np.random.Generator, Budget], Proposals]
Accept = Callable[[np.ndarray], Any]


def snap(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The nearest points that are float32 where the box holds a float32 value, and inside of the box exactly.

    x: [points, n_inputs]; lower, upper: of one box for all, [n_inputs], or for each, [points, n_inputs].
    """
    y = np.clip(x, lower, upper).astype(np.float32)
    wide = y.astype(np.float64)
    above, below = wide > upper, wide < lower
    y = np.where(above, np.nextafter(y, np.float32(-np.inf)), y)
    y = np.where(below, np.nextafter(y, np.float32(np.inf)), y).astype(np.float64)
    inside = (y >= lower) & (y <= upper)
    return np.where(inside, y, np.clip(x, lower, upper))


def attack_goal(
    target: Target, names: tuple[str, ...], rng: np.random.Generator, budget: Budget, accept: Accept
) -> Any:
    """Run the attacks in order until `accept` takes a point or the budget ends; what it returned, or None."""
    from importlib import import_module

    for name in names:
        attack: Attack = import_module(f"certify.attack.methods.{name}").propose
        for proposal in attack(target, rng, budget):
            witness = try_points(target, proposal, accept)
            if witness is not None:
                return witness
            if budget.expired():
                return None
    return None


def try_points(target: Target, x: np.ndarray, accept: Accept, most: int = 4) -> Any:
    """Snap, evaluate, and hand the (at most `most`) most violating points to `accept`, worst first."""
    x = snap(x, target.goal.lower, target.goal.upper)
    margins = target.margins(x)
    worst = target.formula_margin(margins)
    possible = target.formula_margin(target.deployed(margins)) <= 0.0
    for place in np.argsort(worst)[:most]:
        if not possible[place]:
            return None
        witness = accept(x[place])
        if witness is not None:
            return witness
    return None
