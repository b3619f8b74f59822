"""Uphill on boxes, many boxes together: points where some function of the outputs is large. It guesses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from certify.network.evaluate import gradient, values
from certify.network.graph import Network

STEPS, RESTARTS = 20, 8
# (outputs [points, n_outputs], number of each point's box) -> (value [points], its gradient [points, n_outputs]).
Objective = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def ascend(
    network: Network, lower: np.ndarray, upper: np.ndarray, objective: Objective, rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
    """The best points found, [boxes, n_inputs], by signed steps of falling length; lower, upper: [boxes, n_inputs].

    Every box has a few starts: its centre, random points and random corners.
    """
    number = np.repeat(np.arange(len(lower)), RESTARTS)
    low, high = lower[number], upper[number]
    x = rng.uniform(low, high)
    corner = np.where(rng.integers(0, 2, size=x.shape) == 1, high, low)
    x = np.where((np.arange(len(x)) % 2 == 1)[:, None], corner, x)
    x[::RESTARTS] = 0.5 * (lower + upper)
    best, most = x.copy(), np.full(len(x), -np.inf)
    for step in range(STEPS + 1):
        found = values(network, x)
        value, weight = objective(found[network.output], number)
        best, most = np.where((value > most)[:, None], x, best), np.maximum(value, most)
        if step == STEPS:
            break
        grad = gradient(network, found, weight, surrogate=True)
        x = np.clip(x + 0.25 * (1.0 - step / STEPS) * (high - low) * np.sign(grad), low, high)
    place = most.reshape(-1, RESTARTS).argmax(axis=1)
    chosen: np.ndarray = best.reshape(-1, RESTARTS, x.shape[1])[np.arange(len(lower)), place]
    return chosen
