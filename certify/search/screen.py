"""Plain CROWN on many goals at once: a disjunction over thousands of input boxes costs a few batches of walks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.errors import NumericalError
from certify.network.graph import INPUT
from certify.search.root import Root

# Floats that one value of a batch of walks may take, and goals in a batch.
BATCH_FLOATS = 2**20
LARGEST_BATCH = 512


def screen(roots: Sequence[Root], expired: Callable[[], bool]) -> Iterator[Root]:
    """Bound the roots that are not bounded yet, batch by batch; those that were, as soon as they are.

    A batch that breaks down numerically, or does not fit the memory, is left to `Root.crown`.
    """
    waiting = [root for root in roots if not root.bounded]
    if len(waiting) < 2:
        return
    size = _batch_size(waiting)
    for first in range(0, len(waiting) if size > 1 else 0, size):
        if expired():
            return
        batch = waiting[first : first + size]
        try:
            _crown(batch)
        except (NumericalError, MemoryError):
            continue
        yield from batch


def _batch_size(roots: Sequence[Root]) -> int:
    network = roots[0].network
    sizes = {name: int(np.prod(shape)) for name, shape in network.shapes.items()}
    rows = max(max(len(root.goal.atoms) for root in roots), *(2 * sizes[name] for name in network.relaxed_inputs), 1)
    return min(LARGEST_BATCH, BATCH_FLOATS // (max(sizes.values()) * rows))


def _crown(roots: Sequence[Root]) -> None:
    """CROWN on the roots' boxes as one batch."""
    network, put = roots[0].network, roots[0].network.library.put
    box = Interval(put(np.stack([r.goal.lower for r in roots])), put(np.stack([r.goal.upper for r in roots])))
    atoms = np.full((len(roots), max(len(root.goal.atoms) for root in roots)), -1)
    for number, root in enumerate(roots):
        atoms[number, : len(root.goal.atoms)] = root.goal.atoms
    outputs, inputs, offset = roots[0].problem.margin_rows(atoms)
    coefficients = {network.output: put(outputs)}
    if inputs is not None:
        coefficients[INPUT] = put(inputs)
    relaxed = intermediate_bounds(network, box)
    lower, form = crown_rows(relaxed, Rows(coefficients, put(offset)))
    for number, root in enumerate(roots):
        one, rows = slice(number, number + 1), slice(len(root.goal.atoms))
        part = LinearForm(*(side[one if side.shape[0] > 1 else slice(1), rows] for side in form))
        known = {name: Interval(i.lower[one], i.upper[one]) for name, i in relaxed.intervals.items()}
        root.take_crown(known, to_numpy(lower)[one, rows], part)
