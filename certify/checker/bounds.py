"""Lower bounds of linear functions of a network's values on boxes, with an account of every rounding.

The walk. A row  sum_i w_i v_i + c  over values v is rewritten, from the last value to the input, so that it only ever
gets smaller (CROWN, Zhang et al. 2018):

* Affine maps. v = A x + b turns w v into (w A) x + w b. What is computed for w A and w b errs by at most
  share * |w| (|A| |x| + |b|), and |x| is bounded by the intervals known. So is the difference between v and what a
  network that computes in float32 makes of A x + b, if bounds are to hold for that.
* Rectifiers. On [l, u] with l < 0 < u every line a x with a in [0, 1] lies below max(x, 0), and c x + d lies above it
  wherever it does so at l and at u, since max(x, 0) - c x is convex. The sign of w picks the line.
* Constraints. Where s z >= 0 is known (s = 1 or -1), subtracting beta * s * z for any beta >= 0 makes a row smaller.

At the input the row's minimum over the box is a sum of single minima.

Rows are arrays [batch or 1, rows, size], intervals [batch or 1, size]; a leading 1 stands for every box of the batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from certify.checker.arithmetic import HUGE, Arithmetic, Array, Range, checked, floats
from certify.checker.network import Network
from certify.checker.operators import Affine, Rectifier
from certify.checker.outcome import Rejected

# Numbers that one walk may hold in one array.
ROOM = 2**21


class Form(NamedTuple):
    """row(x) >= coefficient . x + offset for every x of the box: [batch or 1, rows, inputs], [batch or 1, rows]."""

    coefficient: Array
    offset: Array


class Parameters(NamedTuple):
    """What a walk may choose, by number of the rectifier; all of it is sound.

    slopes: [batch or 1, rows, size] in [0, 1]; signed: [batch or 1, rows, size] beta * s.
    """

    slopes: dict[int, Array]
    signed: dict[int, Array]


NONE = Parameters({}, {})


@dataclass
class Hidden:
    """What is known of a batch of boxes: bounds of what enters each rectifier, and what walks need of them.

    lower, upper: by rectifier, [batch or 1, size]; low, chord, above: its default lower slope, and the upper line;
    noise: by value, [size], what one unit of coefficient may err by; size: by value, [size], its largest magnitude.
    """

    lower: dict[int, Array] = field(default_factory=dict)
    upper: dict[int, Array] = field(default_factory=dict)
    low: dict[int, Array] = field(default_factory=dict)
    chord: dict[int, Array] = field(default_factory=dict)
    above: dict[int, Array] = field(default_factory=dict)
    noise: dict[int, Array] = field(default_factory=dict)
    size: dict[int, Array] = field(default_factory=dict)


# Tightens bounds [1, size] of what enters a rectifier, given what is known of the rectifiers before.
Evidence = Callable[[Hidden, Array, Array], tuple[Array, Array]]


class Engine:
    """Bounds for one network."""

    def __init__(self, network: Network, numbers: Arithmetic) -> None:
        self.network, self.numbers = network, numbers
        self.place = {node.number: i for i, node in enumerate(network.nodes) if isinstance(node, Rectifier)}
        self.longest = max([network.n_inputs, *(node.size for node in network.nodes)])
        # Rectifiers whose coefficients are rounded where no affine map's account pays for it: several nodes read them,
        # or none but another rectifier computes what they read.
        readers = [source for node in network.nodes for source in node.inputs]
        self.careful = {
            value
            for value, node in enumerate(network.nodes, 1)
            if isinstance(node, Rectifier)
            and (readers.count(value) > 1 or isinstance([None, *network.nodes][node.inputs[0]], Rectifier))
        }

    # ---- one value after the other -------------------------------------------------------------------------------

    def hidden(
        self, lower: Array, upper: Array, known: Hidden | None = None,
        evidence: Mapping[int, Sequence[Evidence]] | None = None, walks: bool = True,
    ) -> Hidden:  # fmt: skip
        """Bounds of what enters the rectifiers, on boxes [batch, inputs].

        known: bounds that hold already. evidence: by rectifier, what else to do, after walks with default slopes, if
        these are wanted, for every element that is not stable.
        """
        found = Hidden()
        ranges: dict[int, Range] = {0: (lower, upper)}
        for i, node in enumerate(self.network.nodes):
            if isinstance(node, Affine):
                ranges[i + 1] = self._affine(i + 1, node, [ranges[x] for x in node.inputs], found)
                continue
            k, source = node.number, node.inputs[0]
            low, high = ranges[source]
            if known is not None and k in known.lower:
                low, high = np.maximum(low, known.lower[k]), np.minimum(high, known.upper[k])
            open_ = (low < 0) & (high > 0) & walks
            tight = self.tighten(source, np.flatnonzero(open_.any(axis=0)), low, high, (lower, upper), found, NONE)
            # What is known of a box does not depend on who shares its batch, so that the search can know it too.
            low, high = (np.where(open_, *pair) for pair in zip(tight, (low, high), strict=True))
            for tightened in (evidence or {}).get(k, []):
                low, high = tightened(found, low, high)
            low, high = self.numbers.outward(low, high)
            checked(low, high, f"rectifier {k}")
            self.relax(found, k, low, high)
            found.size[i + 1] = np.maximum(abs(low), abs(high)).max(axis=0)
            found.noise[i + 1] = self.numbers.share(8) * found.size[i + 1]
            ranges[i + 1] = (np.maximum(low, 0), np.maximum(high, 0))
        return found

    def _affine(self, number: int, node: Affine, inputs: list[Range], found: Hidden) -> Range:
        """The interval of an affine map, and what walks through it may err by."""
        share = self.numbers.share(node.terms)
        centers = [(low + high) / 2 for low, high in inputs]
        radii = [
            np.maximum(high - c, c - low) * (1 + 4 * self.numbers.u) + self.numbers.tiny
            for (low, high), c in zip(inputs, centers, strict=True)
        ]
        reach = [abs(c) + r for c, r in zip(centers, radii, strict=True)]
        size = node.apply(reach, magnitude=True)
        center = node.apply(centers)
        if node.bias is not None:
            size, center = size + abs(node.bias), center + node.bias
        if not (size < HUGE).all():
            raise Rejected(f"value {number} is not bounded")
        own = self.numbers.deployed(node.summands, size)
        radius = node.apply(radii, magnitude=True) + (share * size + own)
        found.noise[number] = (self.numbers.share(node.terms + node.size) * size + own).max(axis=0)
        found.size[number] = (size + share * size + own).max(axis=0)
        return center - radius, center + radius

    def relax(self, found: Hidden, k: int, low: Array, high: Array) -> None:
        """Take up the bounds of what enters rectifier k, with the lines that follow."""
        found.lower[k], found.upper[k] = low, high
        open_ = (low < 0) & (high > 0)
        one, zero = low * 0 + 1, low * 0
        width = np.where(open_, high - low, one)
        chord = np.where(open_, self.numbers.array(floats(high / width)), np.where(low >= 0, one, zero))
        above = np.maximum(-chord * low, (1 - chord) * high) * (1 + 8 * self.numbers.u) + self.numbers.tiny
        found.chord[k], found.above[k] = chord, np.where(open_, above, zero)
        found.low[k] = np.where(open_, np.where(high > -low, one, zero), chord)

    def tighten(
        self, source: int, elements: np.ndarray, low: Array, high: Array, box: Range, found: Hidden, given: Parameters
    ) -> Range:
        """The interval of a value with these elements bounded by walks from both sides."""
        low, high = low.copy(), high.copy()
        step = max(1, ROOM // (2 * len(low) * self.longest))
        for first in range(0, len(elements), step):
            some = np.arange(first, min(first + step, len(elements)))
            rows = np.concatenate([some, len(elements) + some])
            mine = Parameters(*({k: v[:, rows] for k, v in part.items()} for part in given))
            form = self.walk(*self.start(source, elements[some]), found, mine)
            bound = self.least(form, *box)
            at = elements[some]
            low[:, at] = np.maximum(low[:, at], bound[:, : len(some)])
            high[:, at] = np.minimum(high[:, at], -bound[:, len(some) :])
        return low, high

    def start(self, value: int, elements: np.ndarray) -> tuple[dict[int, Array], Array, Array]:
        """Rows +v_e and then -v_e of a value, with which walks begin."""
        size = self.network.nodes[value - 1].size if value else self.network.n_inputs
        rows = np.zeros((len(elements), size))
        rows[np.arange(len(elements)), elements] = 1.0
        zero = self.numbers.array(np.zeros((1, 2 * len(elements))))
        return {value: self.numbers.array(np.concatenate([rows, -rows])[None])}, zero, zero

    # ---- walks ---------------------------------------------------------------------------------------------------

    def walk(
        self, rows: dict[int, Array], offset: Array, error: Array, found: Hidden, parameters: Parameters = NONE
    ) -> Form:
        """The rows as forms over the input. rows: by value; error: what they may err by already, [.., rows]."""
        waiting = {self.network.nodes[self.place[k]].inputs[0]: -s for k, s in parameters.signed.items()}
        for value, w in rows.items():
            waiting[value] = waiting[value] + w if value in waiting else w
        mass, steps = abs(offset), 0
        for value in range(max(waiting), 0, -1):
            w = waiting.pop(value, None)
            if w is None:
                continue
            node = self.network.nodes[value - 1]
            if isinstance(node, Rectifier):
                if value in self.careful:
                    error = error + abs(w) @ found.noise[value]
                w, shift = self._through(w, node.number, found, parameters)
                parts = [w]
            else:
                shift = None if node.bias is None else (w @ node.bias)
                error = error + abs(w) @ found.noise[value]
                parts = [part.reshape(*w.shape[:2], -1) for part in node.pull(w.reshape(-1, w.shape[-1]))]
            if shift is not None:
                offset, mass, steps = offset + shift, mass + abs(shift), steps + 1
            for source, part in zip(node.inputs, parts, strict=True):
                waiting[source] = waiting[source] + part if source in waiting else part
        w = waiting.get(0)
        if w is None:
            w = self.numbers.array(np.zeros((*offset.shape, self.network.n_inputs)))
        error = error + mass * self.numbers.share(self.longest + steps) + self.numbers.tiny
        return Form(w, offset - error)

    def _through(self, w: Array, k: int, found: Hidden, parameters: Parameters) -> tuple[Array, Array]:
        """Coefficients of what enters rectifier k, and the offset: the sign of the coefficient picks the line."""
        up = np.maximum(w, 0)
        down = w - up
        low = found.low[k][:, None]
        if k in parameters.slopes:
            open_ = (found.lower[k] < 0) & (found.upper[k] > 0)
            low = np.where(open_[:, None], parameters.slopes[k], low)
        chord, above = found.chord[k], found.above[k]
        shift = down @ above[0] if len(above) == 1 else (down @ above[:, :, None])[..., 0]
        return up * low + down * chord[:, None], shift

    def least(self, form: Form, lower: Array, upper: Array) -> Array:
        """The smallest value of each form on each box, [batch, rows]."""
        center = (lower + upper) / 2
        radius = np.maximum(upper - center, center - lower) * (1 + 4 * self.numbers.u) + self.numbers.tiny
        share = self.numbers.share(center.shape[1])
        spread = radius + share * (abs(center) + radius)
        w = form.coefficient
        if len(w) == 1:
            value = center @ w[0].T - spread @ abs(w[0]).T
        else:
            value = (w @ center[:, :, None] - abs(w) @ spread[:, :, None])[..., 0]
        found = value + (form.offset - share * abs(form.offset) - self.numbers.tiny)
        if not (abs(found) < HUGE).all():
            raise Rejected("a bound is not finite")
        return found
