"""Linear bounds of hidden values over the input, made once at the root: they hold in every subproblem of it.

Concretised on a smaller box, or on a box cut by a constraint, they bound a subproblem's hidden values without a walk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import backward, rows_of
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm

# Floats that the forms may take in all; networks that need more go without.
MOST_FLOATS = 2**24


@dataclass(frozen=True)
class HiddenForm:
    """Bounds of elements of one value: element e is at least row place[e], and at most minus row count + place[e].

    place: [elements], -1 where an element has none; form: LinearForm of batch 1 with 2 * count rows.
    """

    place: np.ndarray
    form: LinearForm

    @property
    def count(self) -> int:
        """How many elements have a form."""
        return self.form.offset.shape[1] // 2

    def side(self, elements: np.ndarray, upper: bool) -> tuple[np.ndarray, np.ndarray]:
        """(g, b) with  g . x + b <= z  for each element z, or <= -z for `upper`: [elements, n], [elements]."""
        rows = self.place[elements] + (self.count if upper else 0)
        return self.form.coefficient[0, rows], (self.form.offset - self.form.error)[0, rows]

    def on(self, box: Interval, known: Interval) -> Interval:
        """`known`, [batch or 1, *shape], intersected with what the forms give on each box."""
        batch, shape = box.lower.shape[0], known.lower.shape[1:]
        bounds = [np.broadcast_to(b.reshape(b.shape[0], -1), (batch, self.place.size)).copy() for b in known]
        elements = np.flatnonzero(self.place >= 0)
        rows = self.place[elements]
        found = self.form.lower(box)
        low = np.maximum(bounds[0][:, elements], found[:, rows])
        high = np.minimum(bounds[1][:, elements], -found[:, self.count + rows])
        bounds[0][:, elements], bounds[1][:, elements] = np.minimum(low, high), np.maximum(low, high)
        return Interval(*(b.reshape(batch, *shape) for b in bounds))


def hidden_forms(root: Relaxed, values: list[str]) -> dict[str, HiddenForm]:
    """CROWN's forms of the unstable elements of these values on the root's box; none where they would be too large."""
    network = root.network
    unstable = {
        value: np.flatnonzero(to_numpy((root.intervals[value].lower < 0.0) & (root.intervals[value].upper > 0.0)))
        for value in values
    }
    if 2 * sum(map(len, unstable.values())) * network.n_inputs > MOST_FLOATS:
        return {}
    found: dict[str, tuple[np.ndarray, LinearForm]] = {}
    intermediate_bounds(network, root.box, known=root.intervals, forms=found)
    forms = {}
    for value, elements in unstable.items():
        if not len(elements):
            continue
        if value not in found:
            # An interval pass was enough for these; their forms are exact where no relaxation lies in between.
            cone = network.cone(value)
            found[value] = elements, backward(cone, rows_of(cone, value, elements), root.planes, noise=root.noise).form
        elements, form = found[value]
        place = np.full(int(np.prod(network.shapes[value])), -1)
        place[elements] = np.arange(len(elements))
        forms[value] = HiddenForm(place, LinearForm(*map(to_numpy, form)))
    return forms
