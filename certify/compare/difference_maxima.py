"""What is known of max |f - g| on each region: reached at points that were tried, and proven from above."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from certify.attack.candidate import snap
from certify.network.evaluate import evaluate, gradient, values
from certify.network.graph import Network
from certify.settings import Budget

# Differences this small, as a share of the outputs themselves, are not told from rounding: no search goes on for them.
RESOLUTION = 2.0**-40
# The attack: points that climb at once, starts for each output and sign, and steps.
CLIMBING = 2048
STARTS = 4
STEPS = 24


@dataclass
class Maxima:
    """Boxes lower, upper [regions, n_inputs] and what was found on them, by region and output [regions, m].

    reached: the largest |f - g| met, evaluated in float64; points: where, [regions, m, n_inputs]; size: the largest |f|
    or |g| met; proven: nothing in the region exceeds it.
    """

    f: Network
    g: Network
    lower: np.ndarray
    upper: np.ndarray
    reached: np.ndarray = field(init=False)
    points: np.ndarray = field(init=False)
    size: np.ndarray = field(init=False)
    proven: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        count, m = len(self.lower), self.f.n_outputs
        self.reached, self.size = np.full((count, m), -1.0), np.zeros((count, m))
        self.proven = np.full((count, m), np.inf)
        middle = self.lower + (self.upper - self.lower) / 2.0
        self.points = np.repeat(middle[:, None], m, axis=1)
        self.offer(middle, np.arange(count))

    def offer(self, x: np.ndarray, region: np.ndarray) -> None:
        """Try points x [k, n_inputs] of regions [k], moved to float32 inputs inside of these."""
        x = snap(x, self.lower[region], self.upper[region])
        first, second = evaluate(self.f, x), evaluate(self.g, x)
        apart, size = abs(first - second), np.maximum(abs(first), abs(second))
        apart = np.where(np.isfinite(apart), apart, -1.0)
        for number in np.unique(region):
            mine = np.flatnonzero(region == number)
            best = mine[apart[mine].argmax(axis=0)]
            found = apart[best, np.arange(len(best))]
            better = found > self.reached[number]
            self.reached[number, better] = found[better]
            self.points[number, better] = x[best[better]]
            self.size[number] = np.maximum(self.size[number], np.nan_to_num(size[mine].max(axis=0)))

    def inside(self, x: np.ndarray, number: int) -> np.ndarray:
        """Points [k, n_inputs] moved to float32 inputs inside of one region."""
        return snap(x, self.lower[number], self.upper[number])

    def targets(self, gap: float, limit: float | None) -> np.ndarray:
        """Bounds that are good enough, [regions, m]: within `gap` of what was reached, or below the limit asked for."""
        reached = np.maximum(self.reached, 0.0)
        least = RESOLUTION * self.size + np.finfo(float).tiny
        wanted = (1.0 + gap) * reached + least
        return wanted if limit is None else np.where(reached <= limit, np.maximum(limit, least), wanted)

    def attack(self, rng: np.random.Generator, budget: Budget) -> None:
        """Climb in every region for each output and sign: from the best point so far, from random ones and corners."""
        count, m = self.reached.shape
        chains = 2 * m * STARTS
        at_once = max(1, CLIMBING // chains)
        for first in range(0, count, at_once):
            if budget.expired():
                return
            region = np.repeat(np.arange(first, min(count, first + at_once)), chains)
            weight = np.tile(np.concatenate([np.eye(m), -np.eye(m)]), (len(region) // (2 * m), 1))
            self.offer(self._climb(region, weight, rng), region)

    def _climb(self, region: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The best points of chains that climb weight . (f - g), [k, m], each in its region [k]."""
        lower, upper = self.lower[region], self.upper[region]
        turn = (np.arange(len(region)) // (2 * weight.shape[1]) % STARTS)[:, None]
        corners = np.where(rng.integers(0, 2, size=lower.shape) == 1, upper, lower)
        x = np.where(turn % 2 == 1, corners, rng.uniform(lower, upper))
        x = np.where(turn == 0, self.points[region, abs(weight).argmax(axis=1)], x)
        best, best_x = np.full(len(x), -np.inf), x
        for step in range(STEPS + 1):
            first, second = values(self.f, x), values(self.g, x)
            found = (weight * (first[self.f.output] - second[self.g.output])).sum(axis=1)
            better = found > best
            best, best_x = np.where(better, found, best), np.where(better[:, None], x, best_x)
            if step < STEPS:
                slope = gradient(self.f, first, weight) - gradient(self.g, second, weight)
                x = np.clip(x + 0.25 * 0.85**step * (upper - lower) * np.sign(slope), lower, upper)
        return best_x
