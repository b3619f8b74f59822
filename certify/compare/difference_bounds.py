"""Bounds of |f - g| on whole boxes, many at a time, by a bound method of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from certify.arrays import Array, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.compare.difference_maxima import Maxima
from certify.compare.difference_problem import difference_problem, uppers
from certify.errors import NumericalError
from certify.network.graph import Network
from certify.network.passes.pair_networks import Paired

# Floats that one walk of a batch of boxes may hold per value.
BATCH_FLOATS = 2**20


class Method(Protocol):
    """A bound method: what `bound` of the files in bounds/methods does."""

    def __call__(
        self, network: Network, box: Interval, rows: Rows, expired: Callable[[], bool]
    ) -> tuple[Relaxed, Array]:
        """What is relaxed, and lower bounds [batch, rows] of the rows."""


def bound_boxes(
    paired: Paired, maxima: Maxima, regions: np.ndarray, method: Method, expired: Callable[[], bool]
) -> None:
    """Lower `maxima.proven` of these regions [k], in this order, until the time is up."""
    size = _at_once(paired)
    for first in range(0, len(regions), size):
        if expired():
            return
        _bound(paired, maxima, regions[first : first + size], method, expired)


def _bound(paired: Paired, maxima: Maxima, some: np.ndarray, method: Method, expired: Callable[[], bool]) -> None:
    """One batch; where its numbers break down, its boxes one by one, and the culprit stays as it was."""
    lower, upper, put = maxima.lower[some], maxima.upper[some], paired.network.library.put
    problem = difference_problem(paired, lower, upper)
    rows, _, offset = problem.margin_rows(np.arange(len(problem.atoms)))
    wanted = Rows({paired.network.output: put(rows[None])}, put(offset[None]))
    try:
        _, found = method(paired.network, Interval(put(lower), put(upper)), wanted, expired)
    except NumericalError:
        for one in some[:, None] if len(some) > 1 else ():
            _bound(paired, maxima, one, method, expired)
        return
    bounds = uppers(to_numpy(found), paired.n_outputs)
    maxima.proven[some] = np.fmin(maxima.proven[some], bounds)


def _at_once(paired: Paired) -> int:
    """Boxes per batch, so that the walks of the widest layer fit."""
    sizes = [int(np.prod(shape)) for shape in paired.network.shapes.values()]
    hidden = [int(np.prod(paired.network.shapes[name])) for name in paired.network.relaxed_inputs]
    return max(1, BATCH_FLOATS // (max(sizes) * max([6 * paired.n_outputs, *hidden])))
