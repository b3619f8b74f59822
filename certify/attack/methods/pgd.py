"""Projected gradient descent with restarts (Madry et al. 2018), steps scaled by Adam's moments, at most full ones.

Each restart chases one conjunction of the formula, so that an easy but impossible target does not draw all of them. The
loss of a conjunction is the sum of its atoms' margins that are still positive (a hinge: what holds already is left
alone). The gradient comes from the ops' adjoints, so dense networks are attacked without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from certify.arrays import to_numpy
from certify.attack.candidate import Proposals, Target
from certify.network.evaluate import gradient, values
from certify.problem import clauses
from certify.query.formula import AllOf, AnyOf
from certify.settings import Budget


@dataclass(frozen=True)
class Plan:
    """restarts: per conjunction, within the two limits; steps: their shares of the box's width, each for some of the
    restarts, decaying.
    """

    restarts: int = 20
    most_points: int = 512
    floats: int = 2**22
    steps: int = 50
    shares: tuple[float, ...] = (0.125, 0.03)
    decay: float = 0.97
    most_clauses: int = 64


PLAN = Plan()


def propose(target: Target, rng: np.random.Generator, budget: Budget, plan: Plan = PLAN) -> Proposals:
    """One run over all conjunctions (a sample of them if there are too many), started at uniform points."""
    goal = target.goal
    refuted = np.zeros(len(goal.atoms), dtype=bool) if target.refuted is None else target.refuted
    wanted = list(islice(clauses(goal.formula, refuted), plan.most_clauses))
    if not wanted:
        return
    used = sorted({atom for clause in wanted for atom in clause})
    if len(used) < len(goal.atoms):
        # What is chased is enough to tell: of a disjunction of thousands, the other atoms cost more than the network.
        place = {atom: position for position, atom in enumerate(used)}
        wanted = [tuple(place[atom] for atom in clause) for clause in wanted]
        goal = replace(goal, atoms=goal.atoms[used], formula=AnyOf(tuple(map(AllOf, wanted))))
        target = replace(target, goal=goal)
    widest = sum(int(np.prod(shape)) for shape in target.network.shapes.values()) + len(goal.atoms)
    count = max(len(wanted), min(plan.restarts * len(wanted), plan.most_points, plan.floats // widest))
    chased = np.arange(count) % len(wanted)
    member = np.zeros((count, len(goal.atoms)), dtype=bool)
    for point, clause in enumerate(chased):
        member[point, list(wanted[clause])] = True
    start = rng.uniform(goal.lower, goal.upper, size=(count, len(goal.lower)))
    shares = np.array(plan.shares)[np.arange(count) // len(wanted) % len(plan.shares)]
    yield from descend(target, start, member, shares[:, None] * (goal.upper - goal.lower), budget, plan)


def descend(
    target: Target, x: np.ndarray, member: np.ndarray, width: np.ndarray, budget: Budget, plan: Plan = PLAN
) -> Proposals:
    """Descend from x [points, n_inputs], each chasing the atoms of its row of `member` [points, atoms] with steps
    of at most `width` [points, n_inputs] to begin with.

    Yields the points at which the formula's margin is not positive on our graph, whenever there are some.
    """
    goal, network, put = target.goal, target.network, target.network.library.put
    outputs, inputs, offset = target.problem.margin_rows(goal.atoms)
    first, second = np.zeros_like(x), np.zeros_like(x)
    for step in range(plan.steps + 1):
        found = values(network, put(x))
        margins = target.problem.margins(x, to_numpy(found[network.output]).astype(np.float64), goal.atoms)
        unsafe = target.formula_margin(margins) <= 0.0
        if unsafe.any():
            yield x[unsafe]
        if step == plan.steps or budget.expired():
            return
        # Margins just below zero are pushed on, since the deployed model computes in float32.
        pull = (member & (margins > -1e-5 * (1.0 + abs(offset)))).astype(np.float64)
        grad = to_numpy(gradient(network, found, put(pull @ outputs), surrogate=True))
        if inputs is not None:
            grad = grad + pull @ inputs
        first = 0.9 * first + 0.1 * grad
        second = 0.999 * second + 0.001 * grad * grad
        direction = np.clip(first / (np.sqrt(second) + 1e-30), -1.0, 1.0)
        x = np.clip(x - plan.decay**step * width * direction, goal.lower, goal.upper)
