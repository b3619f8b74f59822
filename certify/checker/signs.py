"""Proofs by fixing signs of what enters rectifiers, with the slopes and multipliers that a search found.

The root of a case: bounds of hidden values (`hidden.py`), then margins; what formula is left is a list of
conjunctions, each with a tree of its own. Child one of a cut has the value >= 0, child two <= 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from certify.checker.arithmetic import Array, Range
from certify.checker.bounds import ROOM, Engine, Form, Hidden
from certify.checker.boxes import rows_of, start_rows
from certify.checker.certificate import Certificate, Cuts, Part, check_object, choices, depth_first, whole
from certify.checker.clip import clip_box, joint, within
from certify.checker.hidden import Free, bound_root
from certify.checker.outcome import Malformed, Rejected
from certify.checker.specification import Specification, clauses, refuted

LARGEST_BATCH = 256


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


def check_signs(engine: Engine, spec: Specification, certificate: Certificate, name: str, part: Part) -> list[int]:
    """Refute the case of one part of the certificate; its number. Raises Rejected where that fails."""
    check_object(part, "a part", {"kind", "case", "clauses", "hidden", "root", "clips"})
    number = whole(part["case"], len(spec.cases), "a case")
    search = _Search(engine, spec, certificate, name, part)
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
    return [number]


class _Search:
    """The root of a case, and the trees of its conjunctions."""

    def __init__(self, engine: Engine, spec: Specification, certificate: Certificate, name: str, part: Part) -> None:
        self.engine, self.certificate, self.name = engine, certificate, name
        case, numbers = spec.cases[part["case"]], engine.numbers
        self.lower, self.upper = numbers.array(case.lower)[None], numbers.array(case.upper)[None]
        self.free = Free(engine, certificate, name)
        self.formula, self.outputs, self.inputs, self.rhs = rows_of(engine, spec, case.formula)
        self.every = np.arange(len(self.free))
        self.hidden = bound_root(engine, certificate, name, self.free, part["hidden"], (self.lower, self.upper))
        rows = start_rows(engine, self.outputs, self.inputs, self.rhs)
        self.margins = engine.least(engine.walk(*rows, self.hidden), self.lower, self.upper)
        if part["root"] is True:
            slopes = choices(certificate, f"{name}/root_slopes", (len(self.rhs), len(self.free)), 1.0)
            given = self.free.parameters(self.hidden, slopes[None], None, self.every)
            again = engine.least(engine.walk(*rows, self.hidden, given), self.lower, self.upper)
            self.margins = np.maximum(self.margins, again)
        elif part["root"] is not False:
            raise Malformed("root is true or false")

    # ---- trees ---------------------------------------------------------------------------------------------------

    def read_trees(self, roots: int, width: int, clips: bool) -> None:
        """The cuts and the evidence at nodes. width: rows of the longest conjunction; clips: whether steps clip."""
        self.cuts = Cuts(self.certificate, f"{self.name}/", roots)
        self.cut_free = self.certificate.array(f"{self.name}/cut_free", "i", self.cuts.node.shape)
        if (self.cut_free >= len(self.free)).any():
            raise Malformed("a cut of no free entry")
        self.step, self.step_slopes, self.step_multipliers = self._by_node("step", width)
        self.joined, self.joined_slopes, self.joined_multipliers = self._by_node("joined", 1)
        self.joined_weights = choices(self.certificate, f"{self.name}/joined_weights", (len(self.joined_slopes), width))
        # Leaves that nothing is given for.
        self.bare = np.where((self.cuts.at < 0) & (self.step < 0), 0, -1)
        self._read_refined()
        self.forms = self._root_forms() if clips else None

    def _by_node(self, key: str, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The place of each node in a list of nodes, -1 for those that are not in it; slopes and multipliers of these.

        rows: how many each has of them.
        """
        total, name = len(self.cuts.at), f"{self.name}/{key}"
        nodes, found = self.certificate.array(f"{name}_node", "i", (None,)), np.full(total, -1)
        if len(nodes) and nodes.max() >= total:
            raise Malformed("evidence for a node that does not exist")
        found[nodes] = np.arange(len(nodes))
        if (found >= 0).sum() != len(nodes):
            raise Malformed("two pieces of evidence for one node")
        shape = len(nodes), rows, len(self.free)
        slopes = choices(self.certificate, f"{name}_slopes", shape, 1.0)
        return found, slopes, choices(self.certificate, f"{name}_multipliers", shape)

    def _read_refined(self) -> None:
        """Hidden values bounded again at nodes: entry e has two rows of slopes, of the entries up to its rectifier."""
        name = f"{self.name}/refined_"
        self.refined_node = self.certificate.array(f"{name}node", "i", (None,))
        self.refined_free = self.certificate.array(f"{name}free", "i", self.refined_node.shape)
        if (self.refined_free >= len(self.free)).any() or (self.refined_node >= len(self.cuts.at)).any():
            raise Malformed("refined bounds of something that does not exist")
        up_to = np.array([len(self.free.before(k + 1)) for k in range(len(self.free.sizes))], dtype=int)
        count = up_to[self.free.rectifier[self.refined_free]]
        self.refined_start = np.concatenate([[0], np.cumsum(2 * count)])
        size = (int(self.refined_start[-1]),)
        self.refined_slopes = choices(self.certificate, f"{name}slopes", size, 1.0)
        self.refined_multipliers = choices(self.certificate, f"{name}multipliers", size)
        order = np.argsort(self.refined_node, kind="stable")
        nodes, first = np.unique(self.refined_node[order], return_index=True)
        parts = np.split(order, first[1:]) if len(nodes) else []
        self.refined = dict(zip(nodes.tolist(), parts, strict=True))

    def _root_forms(self) -> list[tuple[np.ndarray, Form]]:
        """Forms, lower bounds and then negated upper ones, of all free entries on the root's box."""
        found = []
        for k, places in self.free.places.items():
            rows = self.engine.start(self.engine.network.rectifiers[k].inputs[0], self.free.element[places])
            found.append((places, self.engine.walk(*rows, self.hidden)))
        return found

    def run(self, root: int, clause: list[int]) -> None:
        """Refute one conjunction."""
        self.rows = self.outputs[clause], self.inputs[clause], self.rhs[clause]
        self.known = self.margins[:, clause]
        width = max(1, len(clause))
        batch = max(1, min(LARGEST_BATCH, ROOM // (width * self.engine.longest)))
        low, high = (self.free.bounds(side, self.every) for side in (self.hidden.lower, self.hidden.upper))
        signs = np.zeros((1, len(self.free)), dtype=np.int8)
        start = Nodes(np.array([root]), self.lower, self.upper, signs, low, high)
        depth_first(start, batch, lambda nodes: self._halved(self._open(nodes)))

    def _open(self, nodes: Nodes) -> Nodes:
        """The nodes of a batch that their evidence does not refute, all of which are cut."""
        for place, node in enumerate(nodes.node.tolist()):
            if node in self.refined:
                self._refine(nodes, place, self.refined[node])
        done = (nodes.low > nodes.high).any(axis=1)
        for index, evidence in ((self.joined, self._joined), (self.step, self._stepped), (self.bare, self._plain)):
            some = np.flatnonzero(~done & (index[nodes.node] >= 0))
            if len(some):
                part = nodes.take(some)
                done[some] = evidence(part, index[part.node])
                nodes.lower[some], nodes.upper[some] = part.lower, part.upper
                nodes.low[some], nodes.high[some] = part.low, part.high
        open_ = np.flatnonzero(~done)
        leaves = open_[self.cuts.at[nodes.node[open_]] < 0]
        if len(leaves):
            raise Rejected(f"the leaf {nodes.node[leaves[0]]} of part {self.name} is not refuted")
        return nodes.take(open_)

    def _relaxed(self, nodes: Nodes) -> Hidden:
        """The relaxation that follows from the bounds of the nodes."""
        return self.free.relaxed(self.hidden, nodes.low, nodes.high, self.every)

    def _plain(self, nodes: Nodes, at: np.ndarray) -> np.ndarray:
        """Mask of nodes that a walk with default slopes refutes."""
        return self._judged(nodes, self.engine.walk(*start_rows(self.engine, *self.rows), self._relaxed(nodes)))

    def _stepped(self, nodes: Nodes, at: np.ndarray) -> np.ndarray:
        """Mask of nodes that a walk with the given slopes and multipliers refutes; the others are clipped."""
        found, width = self._relaxed(nodes), len(self.rows[2])
        signed = self.step_multipliers[at][:, :width] * nodes.signs[:, None]
        parameters = self.free.parameters(found, self.step_slopes[at][:, :width], signed, self.every)
        form = self.engine.walk(*start_rows(self.engine, *self.rows), found, parameters)
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
        reach = self.hidden.size[self.engine.network.output], np.maximum(abs(self.lower), abs(self.upper))[0]
        size = (weight @ abs(self.rows[0])) @ reach[0] + (weight @ abs(self.rows[1])) @ reach[1]
        error = self.engine.numbers.share(width) * (size + weight @ abs(self.rows[2]))
        signed = self.joined_multipliers[at] * nodes.signs[:, None]
        parameters = self.free.parameters(found, self.joined_slopes[at], signed, self.every)
        form = self.engine.walk(rows, offset, error[:, None], found, parameters)
        return np.asarray(self.engine.least(form, nodes.lower, nodes.upper)[:, 0] > 0, dtype=bool)

    def _clipped(self, nodes: Nodes, form: Form, open_: np.ndarray) -> np.ndarray:
        """Shrink boxes and bounds of free entries in place to what the rows leave; mask of nodes with nothing left."""
        lower, upper = nodes.lower, nodes.upper
        for row in range(form.offset.shape[1]):
            lower, upper = clip_box(self.engine, lower, upper, form, row)
        empty = np.asarray((lower > upper).any(axis=1), dtype=bool)
        keep = open_ & ~empty
        nodes.lower = np.where(keep[:, None], lower, nodes.lower)
        nodes.upper = np.where(keep[:, None], upper, nodes.upper)
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
        """Bound free entries of one node again, in place: value after value, with what follows for intervals."""
        one, rectifier = nodes.take(np.array([place])), self.free.rectifier[self.refined_free[entries]]
        if (one.low > one.high).any():
            return
        evidence = {k: [partial(self._again, one, k, entries[rectifier == k])] for k in rectifier.tolist()}
        found = self.engine.hidden(one.lower, one.upper, self._relaxed(one), evidence, walks=False)
        for mine, side in ((nodes.low, found.lower), (nodes.high, found.upper)):
            mine[place] = self.free.bounds(side, self.every)[0]

    def _again(self, one: Nodes, k: int, mine: np.ndarray, found: Hidden, low: Array, high: Array) -> Range:
        """Bounds of what enters rectifier k at a node, made tighter by the walks that are given for some entries."""
        self.engine.relax(found, k, low, high)
        at, columns = self.free.before(k + 1), self.refined_free[mine]
        pick = self.refined_start[mine, None] + np.arange(2 * len(at))
        # Lower bounds of all entries first, then upper ones.
        pick = pick.reshape(len(mine), 2, len(at)).swapaxes(0, 1).reshape(1, 2 * len(mine), len(at))
        slopes, multipliers = (array[pick] for array in (self.refined_slopes, self.refined_multipliers))
        parameters = self.free.parameters(found, slopes, multipliers * one.signs[:, None, at], at)
        source, box = self.engine.network.rectifiers[k].inputs[0], (one.lower, one.upper)
        return self.engine.tighten(source, self.free.element[columns], low, high, box, found, parameters)

    def _halved(self, nodes: Nodes) -> Nodes:
        """Both children of every node."""
        count = len(nodes.node)
        twice = nodes.take(np.repeat(np.arange(count), 2))
        cut = self.cuts.at[twice.node]
        entry, even = self.cut_free[cut], np.arange(0, 2 * count, 2)
        odd = even + 1
        twice.signs[even, entry[even]], twice.signs[odd, entry[odd]] = 1, -1
        twice.low[even, entry[even]] = np.maximum(twice.low[even, entry[even]], 0)
        twice.high[odd, entry[odd]] = np.minimum(twice.high[odd, entry[odd]], 0)
        return replace(twice, node=self.cuts.roots + 2 * cut + np.arange(2 * count) % 2)
