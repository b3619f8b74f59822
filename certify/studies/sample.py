"""The weakest test of a proof, and one that must never fail: random points of the region that was proven."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from certify.network.evaluate import evaluate
from certify.network.read_onnx import load_model
from certify.problem import pose, worst_margin
from certify.query.read import read_query

BATCH = 4096


@dataclass
class Sampled:
    """points: drawn; violations: how many of them are unsafe though the property was proved."""

    points: int = 0
    violations: int = 0


def sample_proofs(model: str | Path, specs: Iterable[str | Path], count: int, seed: int = 0) -> Sampled:
    """Draw `count` points, uniformly, in each region of specifications that were proved for a model.

    Half of them are drawn from the region's corners and faces: each coordinate is an end of its range or between.
    """
    network, found = load_model(model), Sampled()
    rng = np.random.default_rng(seed)
    for spec in specs:
        problem = pose(network, read_query(spec))
        for goal in problem.goals():
            for first in range(0, count, BATCH):
                size = min(BATCH, count - first)
                share = rng.random((size, problem.network.n_inputs))
                ends = rng.random(share.shape) < 0.5 * (rng.random((size, 1)) < 0.5)
                share = np.where(ends, np.round(share), share)
                x = goal.lower + share * (goal.upper - goal.lower)
                margins = problem.margins(x, evaluate(problem.network, x), goal.atoms)
                found.points += size
                found.violations += int((worst_margin(goal.formula, margins) < 0.0).sum())
    return found
