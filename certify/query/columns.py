"""What boxes and atoms count: the inputs that stay free, and the computed values and products the atoms mention.

Needed where these are not simply all inputs and all outputs of one network.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from certify.query.linear import CONSTANT, Linearizer, Sum


@dataclass(frozen=True, eq=False)
class Columns:
    """Variables are numbered through all declared inputs, then all computed values (hidden and outputs).

    free: [free], the inputs that boxes and atoms count, by number. weight: [defined, free] and shift: [defined], values
    that other inputs have as functions of these. source: [declared inputs], where each lies in the free ones followed
    by the defined values; an input equal to a free one lies where that one does. outputs: the variables whose product
    is each further column of the atoms.
    """

    free: np.ndarray
    weight: np.ndarray
    shift: np.ndarray
    source: np.ndarray
    outputs: tuple[tuple[int, ...], ...]

    def declared(self, x: np.ndarray) -> np.ndarray:
        """All declared inputs, [declared inputs], from the free ones, [free]. Each is rounded once."""
        defined = []
        for row, shift in zip(self.weight, self.shift, strict=True):
            used = np.flatnonzero(row)
            terms = (Fraction(a) * Fraction(b) for a, b in zip(row[used].tolist(), x[used].tolist(), strict=True))
            defined.append(float(sum(terms, Fraction(float(shift)))))
        return np.concatenate([x, defined])[self.source]

    def observed(self, inputs: np.ndarray, computed: np.ndarray) -> np.ndarray:
        """The further columns, for concrete declared inputs and computed values."""
        values = np.concatenate([inputs, computed])
        return np.array([np.prod(values[list(factors)]) for factors in self.outputs])


def make_columns(linearizer: Linearizer, outputs: np.ndarray) -> Columns:
    """The columns of a query whose terms have been collected: its free inputs, and the outputs with these numbers."""
    definitions = linearizer.definitions
    free = np.setdiff1d(np.arange(linearizer.n_inputs), list(definitions))
    source = np.empty(linearizer.n_inputs, dtype=int)
    source[free] = np.arange(len(free))
    defined: list[Sum] = []
    for number, terms in definitions.items():
        copied = _copied(terms)
        if copied is not None:
            source[number] = np.searchsorted(free, copied)
        else:
            source[number] = len(free) + len(defined)
            defined.append(terms)
    weight = np.zeros((len(defined), len(free)))
    for row, terms in enumerate(defined):
        for variable, value in terms.items():
            if variable != CONSTANT:
                weight[row, np.searchsorted(free, variable)] = float(value)
    shift = np.array([float(terms.get(CONSTANT, 0.0)) for terms in defined])
    return Columns(free, weight, shift, source, tuple(linearizer.factors(int(number)) for number in outputs))


def _copied(terms: Sum) -> int | None:
    """The variable that a definition is equal to, None if it is anything else."""
    others = [(variable, value) for variable, value in terms.items() if value]
    return others[0][0] if len(others) == 1 and others[0][0] != CONSTANT and others[0][1] == 1 else None
