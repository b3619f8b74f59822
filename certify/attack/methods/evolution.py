"""A (mu + lambda) evolution strategy (Beyer and Schwefel 2002): mutants of the best points, steps of every length.

Needs no gradient, and is for few inputs: it finds the thin regions at the rim of a box, or beyond a plateau, in which
descents overshoot. Mutation lengths are drawn anew each time, log-uniform over three decades, as nobody knows on what
scale the network varies.
"""

from __future__ import annotations

import numpy as np

from certify.attack.candidate import Proposals, Target
from certify.settings import Budget

# Points kept, and mutants made of them in each generation; fewer if this many floats hold no more.
POPULATION = 1000
LEAST = 16
FLOATS = 2**24
# Shares of the box's width that mutations have as standard deviation, as powers of ten.
LONGEST, SHORTEST = -0.3, -3.5
MUTATED = 0.5
# A population that has not come nearer (by this share) for so many generations is given up for a new one.
PATIENCE = 30
NEARER = 1e-3


def propose(target: Target, rng: np.random.Generator, budget: Budget) -> Proposals:
    """One population until it comes no nearer: of each generation, the points that break the property."""
    lower, upper = target.goal.lower, target.goal.upper
    widest = sum(int(np.prod(shape)) for shape in target.network.shapes.values())
    size = max(LEAST, min(POPULATION, FLOATS // widest))
    x = rng.uniform(lower, upper, size=(4 * size, len(lower)))
    margin = target.worst(x)
    best, since = np.inf, 0
    while since < PATIENCE and not budget.expired():
        yield x[margin <= 0.0]
        kept = np.argsort(margin, kind="stable")[:size]
        x, margin = x[kept], margin[kept]
        nearer = best - margin[0] > NEARER * abs(margin[0])
        best, since = (margin[0], 0) if nearer else (best, since + 1)
        length = 10.0 ** rng.uniform(SHORTEST, LONGEST, size=(size, 1))
        moved = rng.random((size, len(lower))) < MUTATED
        step = rng.normal(size=(size, len(lower))) * length * moved * (upper - lower)
        mutants = np.clip(x[rng.integers(0, len(x), size)] + step, lower, upper)
        x, margin = np.concatenate([x, mutants]), np.concatenate([margin, target.worst(mutants)])
