"""Linear bounds of hidden values over the input, made once at the root: they hold in every subproblem of it.

Concretised on a smaller box, or on a box cut by a constraint, they bound a subproblem's hidden values without a walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.backward import backward, rows_of
from certify.bounds.clip import clip_box, clip_forms
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.search.domain import Domains, narrow, wide


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
        found = self.form.lower(box)
        return self._intersected(known, found[:, : self.count], -found[:, self.count :])

    def within(self, box: Interval, a: np.ndarray, c: np.ndarray, known: Interval) -> Interval:
        """`known` intersected with what the forms give on each box where  a . x + c <= 0, a: [batch, n], c: [batch]."""
        g, b = self.form.coefficient[0], (self.form.offset - self.form.error)[0]
        found = clip_forms(g, b, a, c, box.center, box.radius)
        return self._intersected(known, found[:, : self.count], -found[:, self.count :])

    def _intersected(self, known: Interval, low: np.ndarray, high: np.ndarray) -> Interval:
        """`known` intersected with bounds [batch, count] of the elements that have a form, in the forms' order."""
        batch, shape = len(low), known.lower.shape[1:]
        flat = (b.reshape(b.shape[0], -1) for b in known)
        lower, upper = (np.broadcast_to(b, (batch, self.place.size)).copy() for b in flat)
        elements = np.flatnonzero(self.place >= 0)
        rows = self.place[elements]
        low, high = np.maximum(lower[:, elements], low[:, rows]), np.minimum(upper[:, elements], high[:, rows])
        # Where nothing is left of a subproblem they may cross: then the gap, as everywhere (`interval.intersect`).
        lower[:, elements], upper[:, elements] = np.minimum(low, high), np.maximum(low, high)
        return Interval(lower.reshape(batch, *shape), upper.reshape(batch, *shape))


def hidden_forms(root: Relaxed, values: list[str], most_floats: int) -> dict[str, HiddenForm]:
    """CROWN's forms of the unstable elements of these values on the root's box; none where they would be larger."""
    network = root.network
    unstable = {
        value: np.flatnonzero(to_numpy((root.intervals[value].lower < 0.0) & (root.intervals[value].upper > 0.0)))
        for value in values
    }
    if 2 * sum(map(len, unstable.values())) * network.n_inputs > most_floats:
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


def clip_by_forms(
    domains: Domains, form: LinearForm, present: np.ndarray, nearest: np.ndarray, forms: Mapping[str, HiddenForm]
) -> tuple[Interval, dict[str, Interval], np.ndarray]:
    """What rows prove safe, taken off: (boxes, hidden bounds, mask of the domains that nothing is left of).

    A point that breaks the property satisfies every row of its conjunction. form: lower bounds of the rows, [batch,
    width, n_inputs]; present: [batch, width] mask of those there are; nearest: [batch] the row by which hidden values
    are bounded. A domain of which nothing is left keeps its box.
    """
    every = np.arange(len(domains))
    lower, upper = domains.lower.copy(), domains.upper.copy()
    offset = form.offset - form.error
    for row in range(present.shape[1]):
        has = present[:, row]
        clip_box(lower, upper, every[has], form.coefficient[has, row], offset[has, row])
    empty = (lower > upper).any(axis=1)
    lower = np.where(empty[:, None], domains.lower, lower)
    upper = np.where(empty[:, None], domains.upper, upper)
    box = Interval(lower, upper)
    a, c = form.coefficient[every, nearest], offset[every, nearest]
    hidden = {
        value: narrow(known.within(box, a, c, known.on(box, wide(domains.hidden[value]))), len(domains))
        for value, known in forms.items()
    }
    return box, hidden, empty
