"""Uniform samples of the box, the centre first: finds most counterexamples of few-input problems in milliseconds."""

from __future__ import annotations

import numpy as np

from certify.attack.candidate import Proposals, Target
from certify.settings import Budget

FLOATS = 2**21
MOST = 4096


def propose(target: Target, rng: np.random.Generator, budget: Budget) -> Proposals:
    """The centre, then one batch of samples."""
    goal = target.goal
    yield ((goal.lower + goal.upper) / 2.0)[None]
    widest = max(len(goal.atoms), *(int(np.prod(shape)) for shape in target.network.shapes.values()))
    count = int(min(MOST, max(16, FLOATS // widest)))
    yield rng.uniform(goal.lower, goal.upper, size=(count, len(goal.lower)))
