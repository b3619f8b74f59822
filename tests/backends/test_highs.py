"""The backend of linear and mixed-integer programs: complete on small networks, honest about what it cannot take."""

from __future__ import annotations

import numpy as np
import pytest
from random_problems import least_margins, problem, relu_network

from certify.backends.highs import BACKEND
from certify.errors import BackendError
from certify.network.evaluate import evaluate
from certify.problem import Problem
from certify.query.formula import AllOf, AnyOf, Region
from certify.search.branch_and_bound import Progress
from certify.search.prove import Proof
from certify.settings import Budget, Settings

pytest.importorskip("highspy")

WIDTHS = [3, 5, 5, 2]


def proof_of(posed: Problem) -> Proof:
    prover = BACKEND.prover(posed, Settings(), Budget.starting_now(60), Progress())
    prover.screen()

    def accept(points: np.ndarray) -> np.ndarray | None:
        goal = next(iter(posed.goals()))
        points = np.clip(points, goal.lower, goal.upper)
        margins = posed.margins(points, evaluate(posed.network, points), goal.atoms)
        worst = margins.max(axis=1) if isinstance(goal.formula, AllOf) else margins.min(axis=1)
        return points[worst <= 0.0][0] if (worst <= 0.0).any() else None

    return prover.search(accept)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("joint", [True, False])
def test_it_ends_with_the_exact_answer(seed: int, joint: bool) -> None:
    """Conjunctions and disjunctions, a hair to either side of the exact optimum."""
    rng = np.random.default_rng(seed)
    network, rows = relu_network(rng, WIDTHS), rng.normal(size=(2, 2))
    box = -np.ones(3), np.ones(3)
    parts = [rows] if joint else [rows[:1], rows[1:]]
    least = min(least_margins(network, *box, part, np.zeros(len(part))) for part in parts)
    for slack, holds in ((1e-4, True), (-1e-4, False)):
        formula = AllOf((0, 1)) if joint else AnyOf((0, 1))
        posed = problem(network, [Region(*box, formula)], rows, np.full(2, least - slack))
        proof = proof_of(posed)
        assert proof.outcome.closed == holds
        assert (proof.outcome.witness is not None) != holds


def test_large_networks_are_refused() -> None:
    network = relu_network(np.random.default_rng(0), [784, 256, 256, 256, 10])
    posed = problem(network, [Region(np.zeros(784), np.ones(784), 0)], np.ones((1, 10)), np.zeros(1))
    with pytest.raises(BackendError, match="few hundred rectifiers"):
        proof_of(posed)
