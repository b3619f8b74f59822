"""What is known of hidden values at the root of a case: the free entries, and forests that bound values.

Free entries are (rectifier, element) pairs, which slopes, multipliers and cuts refer to by their place in a list.

In a forest each row, +v_e or -v_e of a value v, has a tree of its own, cut by signs of free entries of earlier
rectifiers: child one has the entry >= 0, child two <= 0. Between them the leaves cover all inputs, whatever is cut, and
each is bounded by a walk with slopes and multipliers of its own: the least of that holds everywhere. A row that is not
cut is a single walk.
"""

from functools import partial
from typing import Any

import numpy as np

from certify.checker.arithmetic import HUGE, Array, Range
from certify.checker.bounds import ROOM, Engine, Evidence, Hidden, Parameters
from certify.checker.certificate import Certificate, Cuts, choices, whole
from certify.checker.outcome import Malformed, Rejected

SLOPE_LEVELS = 255


class Free:
    """The free entries: rectifier and element of each, and their places by rectifier."""

    def __init__(self, engine: Engine, certificate: Certificate, name: str) -> None:
        self.numbers = numbers = {node.name: node.number for node in engine.network.rectifiers}
        names = certificate.header["rectifiers"]
        if any(type(n) is not str or n not in numbers for n in names) or len(set(names)) != len(names):
            raise Rejected("the certificate names rectifiers that the model does not have")
        index = certificate.array(f"{name}/free_rectifier", "i", (None,))
        self.element = certificate.array(f"{name}/free_element", "i", (len(index),))
        if len(index) and index.max() >= len(names):
            raise Malformed("a free entry of a rectifier without a name")
        self.rectifier = np.array([numbers[names[i]] for i in index.tolist()], dtype=int)
        sizes = np.array([node.size for node in engine.network.rectifiers], dtype=int)
        if len(index) and (self.element >= sizes[self.rectifier]).any():
            raise Malformed("a free element that the rectifier does not have")
        if len(np.unique(np.stack([self.rectifier, self.element], axis=1), axis=0)) != len(index):
            raise Malformed("a free entry is listed twice")
        self.places = {k: np.flatnonzero(self.rectifier == k) for k in sorted(set(self.rectifier.tolist()))}
        self.sizes, self.start, self.engine = sizes, np.cumsum(sizes) - sizes, engine

    def __len__(self) -> int:
        return len(self.element)

    def before(self, rectifier: int) -> np.ndarray:
        """Places of the entries of earlier rectifiers, in the order of the list."""
        return np.flatnonzero(self.rectifier < rectifier)

    def bounds(self, side: dict[int, Array], at: np.ndarray) -> Array:
        """Of lower or upper bounds of the first rectifiers, [1, size] each, those of the entries `at`, [1, len(at)]."""
        every = [self.engine.numbers.array(np.zeros((1, 0))), *(side[k] for k in sorted(side))]
        return np.concatenate(every, axis=1)[:, self.start[self.rectifier[at]] + self.element[at]]

    def relaxed(self, known: Hidden, low: Array, high: Array, at: np.ndarray) -> Hidden:
        """The relaxation of what is known, [1, size] each, with bounds [batch, len(at)] of the entries `at`."""
        found = Hidden(noise=known.noise, size=known.size)
        for k, lower in known.lower.items():
            upper, mine = known.upper[k], np.flatnonzero(self.rectifier[at] == k)
            if len(mine):
                lower, upper = (np.repeat(side, len(low), axis=0) for side in (lower, upper))
                lower[:, self.element[at[mine]]], upper[:, self.element[at[mine]]] = low[:, mine], high[:, mine]
            self.engine.relax(found, k, lower, upper)
        return found

    def parameters(self, found: Hidden, slopes: np.ndarray, signed: np.ndarray | None, at: np.ndarray) -> Parameters:
        """Parameters from arrays [batch, rows, len(at)] for the entries `at`; default slopes for all others."""
        spread, fixed = {}, {}
        for k in sorted(set(self.rectifier[at].tolist())):
            mine = np.flatnonzero(self.rectifier[at] == k)
            element = self.element[at[mine]]
            low = found.low[k][:, None]
            shape = (len(slopes), slopes.shape[1], low.shape[2])
            spread[k] = np.broadcast_to(low, (max(len(low), shape[0]), *shape[1:])).copy()
            spread[k][:, :, element] = self.engine.numbers.array(slopes[:, :, mine])
            if signed is not None and signed[:, :, mine].any():
                fixed[k] = self.engine.numbers.array(np.zeros(shape))
                fixed[k][:, :, element] = self.engine.numbers.array(signed[:, :, mine])
        return Parameters(spread, fixed)


def bound_root(engine: Engine, certificate: Certificate, name: str, free: Free, turns: Any, box: Range) -> Hidden:
    """What is known of the box [1, inputs] after all turns. turns: lists of the rectifiers that forests are about."""
    names = certificate.header["rectifiers"]
    if not isinstance(turns, list) or not all(isinstance(groups, list) for groups in turns):
        raise Malformed("hidden is a list of lists")
    # Default slopes depend on bounds, so that tighter ones may do worse: the search had these before any turn.
    known = engine.hidden(*box)
    for turn, groups in enumerate(turns):
        evidence: dict[int, list[Evidence]] = {}
        for group, index in enumerate(groups):
            k = free.numbers[names[whole(index, len(names), "a rectifier")]]
            forest = Forest(certificate, f"{name}/hidden_{turn}_{group}_", free, k)
            evidence.setdefault(k, []).append(partial(forest.tighten, engine, box))
        known = engine.hidden(*box, known, evidence)
    return known


class Forest:
    """Trees of the rows of some elements [n]: root r < n bounds element r from below, root n + r its negative."""

    def __init__(self, certificate: Certificate, start: str, free: Free, rectifier: int) -> None:
        """start: what the names of its arrays begin with."""
        self.free, self.rectifier, self.start = free, rectifier, start
        # Entries that rows of this value may refer to, and of each cut the place in this list.
        self.at = free.before(rectifier)
        self.elements = certificate.array(start + "elements", "i", (None,))
        if (self.elements >= free.sizes[rectifier]).any():
            raise Malformed("an element that the rectifier does not have")
        self.cuts = Cuts(certificate, start, 2 * len(self.elements))
        entry = certificate.array(start + "cut_free", "i", self.cuts.node.shape)
        if not np.isin(entry, self.at).all():
            raise Malformed("a cut of no free entry of an earlier rectifier")
        self.entry = np.searchsorted(self.at, entry)
        self.leaves = np.flatnonzero(self.cuts.at < 0)
        self.slopes = certificate.array(start + "slopes", "b", (len(self.leaves), len(self.at)))
        self.multipliers = choices(certificate, start + "multipliers", (None,))

    def tighten(self, engine: Engine, box: Range, found: Hidden, low: Array, high: Array) -> Range:
        """Bounds [1, size] of the value, made tighter. found: what is known of the rectifiers before."""
        source = engine.network.rectifiers[self.rectifier].inputs[0]
        rows, offset, error = engine.start(source, self.elements)
        least = engine.numbers.array(np.full(self.cuts.roots, HUGE))
        step, used = max(1, ROOM // engine.longest), 0
        for first in range(0, len(self.leaves), step):
            some = slice(first, first + step)
            signs, root = self._paths(self.leaves[some])
            signed, cut = signs.astype(np.float64), signs != 0
            given = self.multipliers[used : used + cut.sum()]
            used += cut.sum()
            if len(given) != cut.sum():
                raise Malformed(f"{self.start}multipliers are too few")
            signed[cut] *= given
            # Leaves are boxes of one row each, or rows of one box where nothing is cut.
            shape = (len(root), 1) if cut.any() else (1, len(root))
            hidden = self._relaxed(found, signs) if cut.any() else found
            slopes = (self.slopes[some] / SLOPE_LEVELS).reshape(*shape, -1)
            parameters = self.free.parameters(hidden, slopes, signed.reshape(slopes.shape), self.at)
            part = {value: w[0, root].reshape(*shape, -1) for value, w in rows.items()}
            offsets, errors = (array[0, root].reshape(shape) for array in (offset, error))
            form = engine.walk(part, offsets, errors, hidden, parameters)
            np.minimum.at(least, root, engine.least(form, *box).reshape(-1))
        if used != len(self.multipliers):
            raise Malformed(f"{self.start}multipliers are too many")
        low, high, n = low.copy(), high.copy(), len(self.elements)
        low[:, self.elements] = np.maximum(low[:, self.elements], least[:n])
        high[:, self.elements] = np.minimum(high[:, self.elements], -least[n:])
        return low, high

    def _paths(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the cuts above nodes say of the entries, 1, -1 or nothing (0), [nodes, entries]; their roots."""
        signs, nodes = np.zeros((len(nodes), len(self.at)), dtype=np.int8), nodes.copy()
        while len(below := np.flatnonzero(nodes >= self.cuts.roots)):
            cut, second = np.divmod(nodes[below] - self.cuts.roots, 2)
            signs[below, self.entry[cut]] = 1 - 2 * second
            nodes[below] = self.cuts.node[cut]
        return signs, nodes

    def _relaxed(self, found: Hidden, signs: np.ndarray) -> Hidden:
        """The relaxation where the signs hold. (Where they contradict what is known nothing is, and any will do.)"""
        low, high = (self.free.bounds(side, self.at) for side in (found.lower, found.upper))
        low = np.where(signs > 0, np.maximum(low, 0), low)
        return self.free.relaxed(found, low, np.where(signs < 0, np.minimum(high, 0), high), self.at)
