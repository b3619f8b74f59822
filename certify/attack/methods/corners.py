"""Corners of the box: all of them where few inputs vary, random ones otherwise."""

from __future__ import annotations

import numpy as np

from certify.attack.candidate import Proposals, Target
from certify.settings import Budget

ALL_UP_TO = 8
RANDOM = 64


def propose(target: Target, rng: np.random.Generator, budget: Budget) -> Proposals:
    """One batch of corners."""
    goal = target.goal
    varying = np.flatnonzero(goal.upper > goal.lower)
    if len(varying) <= ALL_UP_TO:
        bits = (np.arange(2 ** len(varying))[:, None] >> np.arange(len(varying))) & 1
    else:
        bits = rng.integers(0, 2, size=(RANDOM, len(varying)))
    x = np.repeat(goal.lower[None], len(bits), axis=0)
    x[:, varying] = np.where(bits == 1, goal.upper[varying], goal.lower[varying])
    yield x
