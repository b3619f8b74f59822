"""The maximum of |f - g| where many inputs vary: "is it below t?", decided by the engine's search for ever smaller t.

A decision that fails in its time says nothing and is forgotten; one that succeeds lowers every output's bound at once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from certify.compare.difference_maxima import Maxima
from certify.compare.difference_problem import difference_problem
from certify.network.passes.pair_networks import Paired
from certify.problem import Problem
from certify.search.branch_and_bound import Progress
from certify.search.prove import Prover
from certify.settings import Budget

# A decision may take this share of the time left for its region; thresholds closer than this are not told apart.
DECISION_SHARE = 0.4
RESOLVED = 1.02


def split_signs(
    paired: Paired, maxima: Maxima, regions: np.ndarray, gap: float, limit: float | None, budget: Budget
) -> None:
    """Lower `maxima.proven` of these regions [k] by searches in which hidden values are split, in this order."""
    for place, number in enumerate(regions.tolist()):
        _lower(paired, maxima, number, gap, limit, budget.share(1.0 / (len(regions) - place)))


def _lower(paired: Paired, maxima: Maxima, number: int, gap: float, limit: float | None, budget: Budget) -> None:
    """One region: thresholds halfway, as ratios go, between what is proven and what could not be proven."""
    failed = np.zeros(paired.n_outputs)
    while not budget.expired():
        proven = maxima.proven[number]
        least = np.minimum(np.maximum(maxima.targets(gap, limit)[number], failed), proven)
        if (proven <= RESOLVED * least).all():
            return
        threshold = np.sqrt(least * proven)
        if _holds(paired, maxima, number, threshold, budget.share(DECISION_SHARE)):
            maxima.proven[number] = np.minimum(proven, threshold)
        else:
            failed = threshold


def _holds(paired: Paired, maxima: Maxima, number: int, threshold: np.ndarray, budget: Budget) -> bool:
    """Whether |f_j - g_j| < threshold_j [m] is proven everywhere in the region."""

    def offer(points: np.ndarray) -> None:
        maxima.offer(points, np.full(len(points), number))

    prover = Prover(_problem(paired, maxima, number, threshold), paired.network.library, budget, Progress())
    return not prover.screen() or prover.search(offer).outcome.closed


def _problem(paired: Paired, maxima: Maxima, number: int, threshold: np.ndarray) -> Problem:
    problem = difference_problem(paired, maxima.lower[[number]], maxima.upper[[number]])
    atoms = replace(problem.atoms, rhs=-np.tile(threshold, len(problem.atoms) // len(threshold)))
    return replace(problem, unsafe=replace(problem.unsafe, atoms=atoms))
