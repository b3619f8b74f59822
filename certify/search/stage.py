"""A batch of sign-split subproblems between its bounding and its cutting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.intermediate import Relaxed
from certify.bounds.optimise import Optimised
from certify.ops.relu import Relu
from certify.search.domain import Domains
from certify.search.pick.relaxation_gap import Ranking
from certify.search.signs import places

# What a relaxation's gap matters to a row that uses its lower plane, against one that uses the chord.
OTHER_PLANE = 0.3


@dataclass(frozen=True)
class Stage:
    """A batch after one ascent: its domains with new bounds, which are closed, and what the bounds were made from."""

    domains: Domains
    closed: np.ndarray
    relaxed: Relaxed
    found: Optimised
    ranking: Ranking

    def weights(self, node: str) -> np.ndarray:
        """The rows' coefficients at a node's output, [batch, rows, elements]; zero where no walk came by."""
        rows = self.domains.margins.shape[1]
        if node not in self.found.weights:
            return np.zeros((1, rows, int(np.prod(self.relaxed.network.shapes[node]))))
        return to_numpy(self.found.weights[node]).reshape(len(self.domains), rows, -1)


@dataclass
class Part:
    """Some domains of a stage, `rows` [k], and their places in the batch that is being bounded, `places` [k]."""

    stage: Stage
    rows: np.ndarray
    places: np.ndarray

    def take(self, mask: np.ndarray) -> Part:
        """Remove those of the stage's domains in the mask [stage's batch], and return them as a part of their own."""
        gone = mask[self.rows]
        taken = Part(self.stage, self.rows[gone], self.places[gone])
        self.rows, self.places = self.rows[~gone], self.places[~gone]
        return taken

    @property
    def domains(self) -> Domains:
        """The part's domains."""
        return self.stage.domains.select(self.rows)

    def urgency(self) -> dict[str, np.ndarray]:
        """By relaxed value, how much each domain's rows feel each element's relaxation, [k, elements]."""
        found: dict[str, np.ndarray] = {}
        for node, value in places(self.stage.relaxed.network):
            gap = to_numpy(self.stage.relaxed.relaxations[node.name].gap()).reshape(len(self.stage.domains), -1)
            weight = self.stage.weights(node.name)
            weight = np.broadcast_to(weight, (len(gap), *weight.shape[1:]))
            other = OTHER_PLANE if isinstance(node.op, Relu) else 1.0
            felt = np.where(weight < 0.0, -weight, other * weight).sum(axis=1) * gap
            found[value] = found.get(value, 0.0) + felt[self.rows]
        return found
