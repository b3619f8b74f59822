"""The last word on a counterexample: the user's own files in onnxruntime, and the specification as it was written.

Nothing here shares code with the solver: neither our graph nor our normal form. No tolerance anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from certify.problem import Problem
from certify.query.columns import Columns
from certify.query.syntax import Query, Tensor
from certify.witness.runtime import Runtime, Runtimes
from certify.witness.satisfies import satisfies


@dataclass(frozen=True)
class Witness:
    """An input of the query's tensors that satisfies every assertion, and what onnxruntime computed for it.

    inputs, outputs (hidden values among them): by declared tensor name, flat float64 arrays.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    def values(self) -> dict[str, np.ndarray]:
        """Inputs and outputs together."""
        return {**self.inputs, **self.outputs}


class Replay:
    """Decides whether an input is a counterexample.

    run: all declared inputs laid end to end -> hidden values and outputs likewise. columns: how the declared inputs
    follow from the ones that the solver varies; None where these are the same. A point is checked against the
    specification whole, so nothing depends on the columns being right.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], query: Query, columns: Columns | None = None) -> None:
        self.run, self.query, self.columns = run, query, columns

    def __call__(self, x: np.ndarray) -> Witness | None:
        """The witness that x [n_inputs] is, or None. x is taken as the exact decimals it will be written as."""
        x = np.asarray(x, dtype=np.float64)
        if not np.isfinite(x).all():
            return None
        x = x if self.columns is None else self.columns.declared(x)
        y = self.run(x)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return None
        witness = Witness(_cut(self.query.inputs, x), _cut(self.query.computed, y))
        return witness if satisfies(self.query, witness.values()) else None

    def observed(self, x: np.ndarray) -> np.ndarray:
        """What onnxruntime says the problem's network computes at x [n_inputs]: its outputs, and products of values."""
        if self.columns is None:
            return self.run(x)
        x = self.columns.declared(x)
        return self.columns.observed(x, self.run(x))


def runtimes(problem: Problem) -> Runtimes:
    """The problem's models in onnxruntime, in the order of the declared networks."""
    assert problem.query is not None
    opened: dict[object, Runtime] = {}
    parts = []
    for network in problem.query.networks:
        model, hidden = problem.models[network.name], tuple(tensor.value for tensor in network.hidden)
        if (model.path, hidden) not in opened:
            opened[model.path, hidden] = Runtime(model.path, hidden, tuple(spec.name for spec in model.network.inputs))
        parts.append(opened[model.path, hidden])
    return Runtimes(parts)


def _cut(tensors: Sequence[Tensor], flat: np.ndarray) -> dict[str, np.ndarray]:
    """The flat vector as one array per tensor."""
    ends = np.cumsum([tensor.size for tensor in tensors])
    return {tensor.name: flat[end - tensor.size : end] for tensor, end in zip(tensors, ends, strict=True)}
