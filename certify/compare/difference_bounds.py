"""Bounds of |f - g| on whole boxes, many at a time: CROWN for all, then optimised slopes where these are not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.methods import alpha_crown, crown
from certify.compare.difference_maxima import Maxima
from certify.compare.difference_network import Paired
from certify.compare.difference_problem import difference_problem, uppers
from certify.errors import NumericalError
from certify.settings import Budget

# Floats that one walk of a batch of boxes may hold per value.
BATCH_FLOATS = 2**20


def bound_boxes(
    paired: Paired, maxima: Maxima, regions: np.ndarray, gap: float, limit: float | None, budget: Budget
) -> None:
    """Lower `maxima.proven` of these regions [k]: plain CROWN first, whatever the time, then optimised slopes."""
    problem = difference_problem(paired, maxima.lower[regions], maxima.upper[regions])
    rows, _, offset = problem.margin_rows(np.arange(len(problem.atoms)))
    put = paired.network.library.put
    wanted = Rows({paired.network.output: put(rows[None])}, put(offset[None]))
    for method in (crown, alpha_crown):
        if method is alpha_crown:
            loose = maxima.proven[regions] > maxima.targets(gap, limit)[regions]
            regions = regions[loose.any(axis=1)]
            regions = regions[np.argsort(-maxima.proven[regions].max(axis=1), kind="stable")]
        for some in _batches(regions, _at_once(paired)):
            if method is alpha_crown and budget.expired():
                return
            _bound(paired, maxima, some, wanted, method.bound, budget)


Method = Callable[..., tuple[object, object]]


def _bound(paired: Paired, maxima: Maxima, some: np.ndarray, rows: Rows, method: Method, budget: Budget) -> None:
    """One batch; where its numbers break down, its boxes one by one, and the culprit stays as it was."""
    put = paired.network.library.put
    box = Interval(put(maxima.lower[some]), put(maxima.upper[some]))
    try:
        _, lower = method(paired.network, box, rows, budget.expired)
    except NumericalError:
        for one in some[:, None] if len(some) > 1 else ():
            _bound(paired, maxima, one, rows, method, budget)
        return
    found = uppers(to_numpy(lower), paired.n_outputs)
    maxima.proven[some] = np.fmin(maxima.proven[some], np.where(np.isfinite(found), found, np.inf))


def _at_once(paired: Paired) -> int:
    """Boxes per batch, so that the walks of the widest layer fit."""
    sizes = [int(np.prod(shape)) for shape in paired.network.shapes.values()]
    rows = max([6 * paired.n_outputs, *(int(np.prod(paired.network.shapes[n])) for n in paired.network.relaxed_inputs)])
    return max(1, BATCH_FLOATS // (max(sizes) * rows))


def _batches(regions: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for first in range(0, len(regions), size):
        yield regions[first : first + size]
