"""max |f - g| as a problem of the engine: rows  -s (f_j - g_j)  whose lower bounds are upper bounds with a minus.

For each output j and sign s there is the row of the difference that the layers carry and, where the networks are
paired, that of the product network, f_j - g_j: neither dominates, so both are bounded and the better one counts.
"""

from __future__ import annotations

import numpy as np

from certify.network.passes.pair_networks import Paired
from certify.problem import Problem
from certify.query.formula import AllOf, AnyOf, Atoms, Formula, Region
from certify.query.normal_form import UnsafeSet


def difference_problem(paired: Paired, lower: np.ndarray, upper: np.ndarray) -> Problem:
    """The problem of all boxes [regions, n_inputs]. Its atoms: [ways, signs, outputs] laid end to end, rhs 0.

    On every region, |f_j - g_j| > t for some j needs, for some sign, both ways' rows to allow it.
    """
    m = paired.n_outputs
    unit = np.eye(3 * m)
    ways = [unit[2 * m :]] + ([unit[:m] - unit[m : 2 * m]] if paired.paired else [])
    rows = -np.concatenate([part for way in ways for part in (way, -way)])
    size = len(rows)
    atoms = Atoms(rows, None, np.zeros(size), np.zeros(size, dtype=bool), np.zeros(size, dtype=int))
    sides = [AllOf(tuple(range(side, size, 2 * m))) for side in range(2 * m)]
    formula: Formula = AnyOf(tuple(sides))
    regions = [Region(low, high, formula) for low, high in zip(lower, upper, strict=True)]
    return Problem(paired.network, UnsafeSet(paired.network.n_inputs, 3 * m, atoms, regions))


def uppers(margins: np.ndarray, m: int) -> np.ndarray:
    """Upper bounds of |f_j - g_j|, [batch, m], from lower bounds of the rows [batch, rows]."""
    by_side = margins.reshape(len(margins), margins.shape[1] // (2 * m), 2, m).max(axis=1)
    return np.maximum(-by_side.min(axis=1), 0.0)
