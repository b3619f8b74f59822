"""Proofs by fixing signs of what enters rectifiers, with the slopes and multipliers that a search found.

The root of a case: bounds of hidden values by walks with given slopes, then margins; what formula is left is a list of
conjunctions, each with a tree of its own. Child one of a cut has the value >= 0, child two <= 0. Free entries are the
(rectifier, element) pairs that slopes, multipliers and cuts refer to by their place in a list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from certify.checker.arithmetic import Array
from certify.checker.bounds import NONE, ROOM, Engine, Evidence, Form, Hidden, Parameters
from certify.checker.boxes import renumbered, rows_of, start_rows
from certify.checker.certificate import Certificate, whole
from certify.checker.clip import clip_box, joint, within
from certify.checker.outcome import Malformed, Rejected
from certify.checker.specification import Specification, atoms_of, clauses, refuted

LARGEST_BATCH = 256


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
        self.sizes, self.engine = sizes, engine

    def __len__(self) -> int:
        return len(self.element)

    def before(self, rectifier: int) -> np.ndarray:
        """Places of the entries of earlier rectifiers, in the order of the list."""
        return np.flatnonzero(self.rectifier < rectifier)

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


def slopes_in(certificate: Certificate, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of slopes, all in [0, 1]."""
    found = certificate.array(name, "f", shape)
    if found.size and not (found.min() >= 0.0 and found.max() <= 1.0):
        raise Rejected(f"a slope of {name} lies outside of [0, 1]")
    return found


def multipliers_in(certificate: Certificate, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of multipliers, none below zero."""
    found = certificate.array(name, "f", shape)
    if found.size and found.min() < 0.0:
        raise Rejected(f"a multiplier of {name} is negative")
    return found


@dataclass
class Nodes:
    """Nodes of one tree that are yet to be refuted: numbers, boxes, and of the free entries signs and bounds."""

    node: np.ndarray
    lower: Array
    upper: Array
    signs: np.ndarray
    low: Array
    high: Array

    def take(self, index: np.ndarray) -> Nodes:
        """Those at these places."""
        return Nodes(*(getattr(self, name)[index] for name in ("node", "lower", "upper", "signs", "low", "high")))


def check_signs(engine: Engine, spec: Specification, certificate: Certificate, name: str, part: dict[str, Any]) -> int:
    """Refute the case of one part of the certificate; its number. Raises Rejected where that fails."""
    number = whole(part["case"], len(spec.cases), "a case")
    search = _Search(engine, spec, certificate, name, part, number)
    every = clauses(search.formula)
    wanted = [whole(i, len(every), "a conjunction") for i in part["clauses"]]
    if part["clips"] not in (True, False):
        raise Malformed("clips is true or false")
    if len(set(wanted)) != len(wanted):
        raise Malformed("a conjunction has two trees")
    for i, clause in enumerate(every):
        if i not in set(wanted) and not (search.margins[0, list(clause)] > 0).any():
            raise Rejected(f"conjunction {i} of case {number} has no proof")
    if wanted:
        search.read_trees(len(wanted), max(len(every[i]) for i in wanted), part["clips"])
        for root, i in enumerate(wanted):
            search.run(root, list(every[i]))
    elif not refuted(search.formula, search.margins)[0]:
        raise Rejected(f"case {number} is not refuted")
    return number


class _Search:
    """The root of a case, and the trees of its conjunctions."""

    def __init__(
        self,
        engine: Engine,
        spec: Specification,
        certificate: Certificate,
        name: str,
        part: dict[str, Any],
        number: int,
    ) -> None:
        self.engine, self.certificate, self.name = engine, certificate, name
        case, numbers = spec.cases[number], engine.numbers
        self.lower, self.upper = numbers.array(case.lower)[None], numbers.array(case.upper)[None]
        self.free = Free(engine, certificate, name)
        self.atoms = atoms_of(case.formula)
        self.outputs, self.inputs, self.rhs = rows_of(engine, spec, self.atoms)
        self.formula = renumbered(case.formula, {atom: i for i, atom in enumerate(self.atoms)})
        self.hidden = engine.hidden(self.lower, self.upper, evidence=self._evidence(part["hidden"]))
        rows = start_rows(engine, self.outputs, self.inputs, self.rhs)
        self.margins = engine.least(engine.walk(*rows, self.hidden), self.lower, self.upper)
        if part["root"] is True:
            slopes = slopes_in(certificate, f"{name}/root_slopes", (len(self.atoms), len(self.free)))
            given = self.free.parameters(self.hidden, slopes[None], None, np.arange(len(self.free)))
            again = engine.least(engine.walk(*rows, self.hidden, given), self.lower, self.upper)
            self.margins = np.maximum(self.margins, again)
        elif part["root"] is not False:
            raise Malformed("root is true or false")

    def _evidence(self, groups: Any) -> dict[int, list[Evidence]]:
        """By rectifier, elements to bound at the root and how to make the parameters of their walks."""
        found: dict[int, list[Evidence]] = {}
        names = self.certificate.header["rectifiers"]
        if not isinstance(groups, list):
            raise Malformed("hidden is a list")
        for group, index in enumerate(groups):
            k = self.free.numbers[names[whole(index, len(names), "a rectifier")]]
            elements = self.certificate.array(f"{self.name}/hidden_{group}_elements", "i", (None,))
            if (elements >= self.engine.network.rectifiers[k].size).any():
                raise Malformed("an element that the rectifier does not have")
            at = self.free.before(k)
            shape = (2 * len(elements), len(at))
            slopes = slopes_in(self.certificate, f"{self.name}/hidden_{group}_slopes", shape)[None]

            def made(hidden: Hidden, slopes: np.ndarray = slopes, at: np.ndarray = at) -> Parameters:
                return self.free.parameters(hidden, slopes, None, at)

            found.setdefault(k, []).append((elements, made))
        return found

    # ---- trees ---------------------------------------------------------------------------------------------------

    def read_trees(self, roots: int, width: int, clips: bool) -> None:
        """The cuts and the evidence at nodes. width: rows of the longest conjunction; clips: whether steps clip."""
        array, name, n = self.certificate.array, self.name, len(self.free)
        node = array(f"{name}/cut_node", "i", (None,))
        self.cut_free = array(f"{name}/cut_free", "i", (len(node),))
        if (node >= roots + 2 * np.arange(len(node))).any() or (self.cut_free >= n).any():
            raise Malformed("a cut of a node that does not exist yet, or of no free entry")
        self.roots, total = roots, roots + 2 * len(node)
        self.cut = np.full(total, -1)
        self.cut[node] = np.arange(len(node))
        if (self.cut >= 0).sum() != len(node):
            raise Malformed("a node is cut twice")
        step = array(f"{name}/step_node", "i", (None,))
        self.step_slopes = slopes_in(self.certificate, f"{name}/step_slopes", (len(step), width, n))
        self.step_multipliers = multipliers_in(self.certificate, f"{name}/step_multipliers", (len(step), width, n))
        self.step = self._by_node(step, total)
        joined = array(f"{name}/joined_node", "i", (None,))
        self.joined_weights = multipliers_in(self.certificate, f"{name}/joined_weights", (len(joined), width))
        self.joined_slopes = slopes_in(self.certificate, f"{name}/joined_slopes", (len(joined), 1, n))
        self.joined_multipliers = multipliers_in(self.certificate, f"{name}/joined_multipliers", (len(joined), 1, n))
        self.joined = self._by_node(joined, total)
        self._read_refined(total)
        self.forms = self._root_forms() if clips else None

    def _by_node(self, nodes: np.ndarray, total: int) -> np.ndarray:
        """The place of each node in a list of nodes, -1 for those that are not in it."""
        found = np.full(total, -1)
        if len(nodes) and nodes.max() >= total:
            raise Malformed("evidence for a node that does not exist")
        found[nodes] = np.arange(len(nodes))
        if (found >= 0).sum() != len(nodes):
            raise Malformed("two pieces of evidence for one node")
        return found

    def _read_refined(self, total: int) -> None:
        """Hidden values bounded again at nodes: entry e has two rows of slopes, of the entries up to its rectifier."""
        array, name = self.certificate.array, self.name
        self.refined_node = array(f"{name}/refined_node", "i", (None,))
        self.refined_free = array(f"{name}/refined_free", "i", (len(self.refined_node),))
        if (self.refined_free >= len(self.free)).any() or (self.refined_node >= total).any():
            raise Malformed("refined bounds of something that does not exist")
        most = range(1, len(self.engine.network.rectifiers) + 1)
        up_to = np.array([len(self.free.before(k)) for k in most], dtype=int)
        count = up_to[self.free.rectifier[self.refined_free]]
        self.refined_start = np.concatenate([[0], np.cumsum(2 * count)])
        size = (int(self.refined_start[-1]),)
        self.refined_slopes = slopes_in(self.certificate, f"{name}/refined_slopes", size)
        self.refined_multipliers = multipliers_in(self.certificate, f"{name}/refined_multipliers", size)
        order = np.argsort(self.refined_node, kind="stable")
        nodes, first = np.unique(self.refined_node[order], return_index=True)
        parts = np.split(order, first[1:]) if len(nodes) else []
        self.refined = dict(zip(nodes.tolist(), parts, strict=True))

    def _root_forms(self) -> list[tuple[np.ndarray, Form]]:
        """Forms, lower bounds and then negated upper ones, of all free entries on the root's box."""
        found = []
        for k, places in self.free.places.items():
            source = self.engine.network.rectifiers[k].inputs[0]
            found.append((places, self.engine.walk(*self.engine.start(source, self.free.element[places], self.hidden),
                                                   self.hidden)))  # fmt: skip
        return found

    def run(self, root: int, clause: list[int]) -> None:
        """Refute one conjunction, depth first in batches."""
        self.rows = self.outputs[clause], self.inputs[clause], self.rhs[clause]
        self.known = self.margins[:, clause]
        width = max(1, len(clause))
        batch = max(1, min(LARGEST_BATCH, ROOM // (width * self.engine.longest)))
        low, high = (self._entries(side) for side in (self.hidden.lower, self.hidden.upper))
        signs = np.zeros((1, len(self.free)), dtype=np.int8)
        waiting = [Nodes(np.array([root]), self.lower, self.upper, signs, low, high)]
        while waiting:
            nodes = waiting.pop()
            if len(nodes.node) > batch:
                waiting.append(nodes.take(np.arange(batch, len(nodes.node))))
                nodes = nodes.take(np.arange(batch))
            children = self._halved(self._open(nodes))
            if len(children.node):
                waiting.append(children)

    def _entries(self, side: dict[int, Array]) -> Array:
        """Bounds of the free entries, [batch, entries]."""
        columns = [
            side[k][:, [e]] for k, e in zip(self.free.rectifier.tolist(), self.free.element.tolist(), strict=True)
        ]
        return np.concatenate(columns, axis=1) if columns else self.engine.numbers.array(np.zeros((1, 0)))

    def _open(self, nodes: Nodes) -> Nodes:
        """The nodes of a batch that their evidence does not refute, all of which are cut."""
        for place, node in enumerate(nodes.node.tolist()):
            if node in self.refined:
                self._refine(nodes, place, self.refined[node])
        done = (nodes.low > nodes.high).any(axis=1)
        for index, evidence in ((self.joined, self._joined), (self.step, self._stepped)):
            some = np.flatnonzero(~done & (index[nodes.node] >= 0))
            if len(some):
                part = nodes.take(some)
                done[some] = evidence(part, index[part.node])
                nodes.lower[some], nodes.upper[some] = part.lower, part.upper
                nodes.low[some], nodes.high[some] = part.low, part.high
        plain = np.flatnonzero(~done & (self.cut[nodes.node] < 0) & (self.step[nodes.node] < 0))
        for leaf in plain:
            part = nodes.take(np.array([leaf]))
            done[leaf] = self._judged(part, self._rows_form(part, NONE))[0]
        open_ = np.flatnonzero(~done)
        leaves = open_[self.cut[nodes.node[open_]] < 0]
        if len(leaves):
            raise Rejected(f"the leaf {nodes.node[leaves[0]]} of part {self.name} is not refuted")
        return nodes.take(open_)

    def _relaxed(self, nodes: Nodes) -> Hidden:
        """The relaxation that follows from the bounds of the nodes."""
        found = Hidden(noise=self.hidden.noise, size=self.hidden.size)
        for k, low in self.hidden.lower.items():
            high = self.hidden.upper[k]
            if k in self.free.places:
                places = self.free.places[k]
                low, high = (np.repeat(side, len(nodes.node), axis=0) for side in (low, high))
                low[:, self.free.element[places]] = nodes.low[:, places]
                high[:, self.free.element[places]] = nodes.high[:, places]
            self.engine.relax(found, k, low, high)
        return found

    def _rows_form(self, nodes: Nodes, parameters: Parameters, found: Hidden | None = None) -> Form:
        found = self._relaxed(nodes) if found is None else found
        return self.engine.walk(*start_rows(self.engine, *self.rows), found, parameters)

    def _stepped(self, nodes: Nodes, at: np.ndarray) -> np.ndarray:
        """Mask of nodes that a walk with the given slopes and multipliers refutes; the others are clipped."""
        found, width = self._relaxed(nodes), len(self.rows[2])
        signed = self.step_multipliers[at][:, :width] * nodes.signs[:, None]
        every = np.arange(len(self.free))
        parameters = self.free.parameters(found, self.step_slopes[at][:, :width], signed, every)
        form = self._rows_form(nodes, parameters, found)
        done = self._judged(nodes, form)
        if self.forms is not None and not done.all():
            done = done | self._clipped(nodes, form, ~done)
        return done

    def _judged(self, nodes: Nodes, form: Form) -> np.ndarray:
        """Mask of nodes where one of the rows is positive, or all of them together contradict each other."""
        margins = np.maximum(self.engine.least(form, nodes.lower, nodes.upper), self.known)
        done = (margins > 0).any(axis=1)
        if margins.shape[1] > 1 and not done.all():
            done = done | joint(self.engine, nodes.lower, nodes.upper, form, list(range(margins.shape[1])))
        return np.asarray(done, dtype=bool)

    def _joined(self, nodes: Nodes, at: np.ndarray) -> np.ndarray:
        """Mask of nodes where one combination of the rows is positive."""
        found, width = self._relaxed(nodes), len(self.rows[2])
        weights = self.joined_weights[at][:, :width]
        if not (weights > 0.0).any(axis=1).all():
            raise Rejected("a combination of rows has no weights")
        weight = self.engine.numbers.array(weights)
        outputs, inputs = ((weight @ rows)[:, None] for rows in self.rows[:2])
        rhs = (weight @ self.rows[2])[:, None]
        rows, offset, _ = start_rows(self.engine, outputs, inputs, rhs)
        share = self.engine.numbers.share(width)
        size = weight @ abs(self.rows[0])
        reach = np.maximum(abs(self.lower), abs(self.upper))[0]
        error = share * (
            size @ self.hidden.size[self.engine.network.output]
            + (weight @ abs(self.rows[1])) @ reach
            + weight @ abs(self.rows[2])
        )
        signed = self.joined_multipliers[at] * nodes.signs[:, None]
        parameters = self.free.parameters(found, self.joined_slopes[at], signed, np.arange(len(self.free)))
        form = self.engine.walk(rows, offset, error[:, None], found, parameters)
        return np.asarray(self.engine.least(form, nodes.lower, nodes.upper)[:, 0] > 0, dtype=bool)

    def _clipped(self, nodes: Nodes, form: Form, open_: np.ndarray) -> np.ndarray:
        """Shrink boxes and bounds of free entries in place to what the rows leave; mask of nodes with nothing left."""
        lower, upper = nodes.lower, nodes.upper
        for row in range(form.offset.shape[1]):
            lower, upper = clip_box(self.engine, lower, upper, form, row)
        empty = np.asarray((lower > upper).any(axis=1), dtype=bool)
        keep = open_ & ~empty
        nodes.lower, nodes.upper = (
            np.where(keep[:, None], new, old) for new, old in ((lower, nodes.lower), (upper, nodes.upper))
        )
        margins = self.engine.least(form, nodes.lower, nodes.upper)
        assert self.forms is not None
        for place in np.flatnonzero(keep):
            row = int(margins[place].argmax())
            a, c = (part[place if len(part) > 1 else 0, row] for part in form)
            for places, forms in self.forms:
                bound = within(self.engine, nodes.lower[place], nodes.upper[place], forms, a, c)
                nodes.low[place, places] = np.maximum(nodes.low[place, places], bound[: len(places)])
                nodes.high[place, places] = np.minimum(nodes.high[place, places], -bound[len(places) :])
        return empty

    def _refine(self, nodes: Nodes, place: int, entries: np.ndarray) -> None:
        """Bound free entries of one node again, in the order of their rectifiers, in place."""
        for k in sorted(set(self.free.rectifier[self.refined_free[entries]].tolist())):
            mine = entries[self.free.rectifier[self.refined_free[entries]] == k]
            one, at = nodes.take(np.array([place])), self.free.before(k + 1)
            if (one.low > one.high).any():
                return
            found, shape = self._relaxed(one), (len(mine), 2, len(at))
            pick = [slice(self.refined_start[e], self.refined_start[e + 1]) for e in mine]
            slopes, multipliers = (
                np.stack([array[p] for p in pick]).reshape(shape).swapaxes(0, 1).reshape(1, 2 * len(mine), len(at))
                for array in (self.refined_slopes, self.refined_multipliers)
            )
            parameters = self.free.parameters(found, slopes, multipliers * one.signs[:, None, at], at)
            columns, source = self.refined_free[mine], self.engine.network.rectifiers[k].inputs[0]
            box = one.lower, one.upper
            low, high = self.engine.tighten(
                source, self.free.element[columns], found.lower[k], found.upper[k], box, found, parameters
            )
            low, high = self.engine.numbers.outward(low, high)
            element = self.free.element[columns]
            nodes.low[place, columns], nodes.high[place, columns] = low[0, element], high[0, element]

    def _halved(self, nodes: Nodes) -> Nodes:
        """Both children of every node."""
        count = len(nodes.node)
        twice = nodes.take(np.repeat(np.arange(count), 2))
        cut = self.cut[twice.node]
        entry, even = self.cut_free[cut], np.arange(0, 2 * count, 2)
        odd = even + 1
        twice.signs[even, entry[even]], twice.signs[odd, entry[odd]] = 1, -1
        twice.low[even, entry[even]] = np.maximum(twice.low[even, entry[even]], 0)
        twice.high[odd, entry[odd]] = np.minimum(twice.high[odd, entry[odd]], 0)
        return replace(twice, node=self.roots + 2 * cut + np.arange(2 * count) % 2)
