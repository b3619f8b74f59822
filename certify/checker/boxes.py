"""Proofs by halving boxes: every node of the tree is bounded afresh, with plain CROWN, so nothing but cuts is given.

Bounds proven for a box hold in its parts: they are handed down. An unsafe point satisfies every atom that the case
requires, so parts of a box where one of them cannot hold are clipped away before it is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.checker.arithmetic import Array
from certify.checker.bounds import ROOM, Engine, Hidden
from certify.checker.certificate import Certificate, Cuts, Part, check_object, depth_first, whole
from certify.checker.clip import clip_box, joint
from certify.checker.outcome import Malformed, Rejected
from certify.checker.specification import Case, Formula, Specification, atoms_of, refuted, required
from certify.checker.volume import Volume

LARGEST_BATCH = 512
# How often the checker halves what is left of a leaf by itself if float32 is to be made room for. The search makes more
# room, which moves bounds, and where they move default slopes jump: then a leaf may stay open here, by little.
MOST_OWN = 8
# Cuts, and of each its axis and its point.
Tree = tuple[Cuts, np.ndarray, np.ndarray]


@dataclass
class Boxes:
    """Nodes of a tree that are yet to be refuted: numbers, boxes, margins proven, bounds of hidden values.

    own: how often a leaf was halved to make them.
    """

    node: np.ndarray
    own: np.ndarray
    lower: Array
    upper: Array
    margins: Array
    hidden: Hidden

    def take(self, index: np.ndarray) -> Boxes:
        """Those at these places."""
        known = ({k: v[index] for k, v in side.items()} for side in (self.hidden.lower, self.hidden.upper))
        node, own, lower, upper = (part[index] for part in (self.node, self.own, self.lower, self.upper))
        return Boxes(node, own, lower, upper, self.margins[index], Hidden(*known))


def check_boxes(engine: Engine, spec: Specification, certificate: Certificate, name: str, part: Part) -> list[int]:
    """Refute the cases of one part of the certificate, or add up what is left of them; their numbers.

    Raises Rejected where that fails.
    """
    check_object(part, "a part", {"kind", "cases"})
    cases = [whole(number, len(spec.cases), "a case") for number in part["cases"]]
    cuts = Cuts(certificate, f"{name}/", len(cases))
    axis = certificate.array(f"{name}/cut_axis", "i", cuts.node.shape)
    point = certificate.array(f"{name}/cut_point", "f", cuts.node.shape)
    if (axis >= engine.network.n_inputs).any():
        raise Malformed("a cut along an input that does not exist")
    for root, number in enumerate(cases):
        # The last entries are those of leaves, whose number of a cut is -1.
        tree = cuts, np.append(axis, 0), np.append(point, 0.0)
        _Search(engine, spec, tree, spec.cases[number], certificate.left.get(number)).run(root)
    return cases


class _Search:
    """The tree below one root."""

    def __init__(self, engine: Engine, spec: Specification, tree: Tree, case: Case, left: Volume | None) -> None:
        """left: what is left of the case, None where nothing may be."""
        self.engine, self.case, self.left, (self.cuts, self.axis, self.point) = engine, case, left, tree
        self.formula, self.outputs, self.inputs, self.rhs = rows_of(engine, spec, case.formula)
        self.required = required(self.formula)
        widest = engine.longest * max([len(self.rhs), *(node.size for node in engine.network.rectifiers)])
        self.batch = max(1, min(LARGEST_BATCH, ROOM // widest))
        self.most = MOST_OWN if engine.numbers.float32 and left is None else 0

    def run(self, root: int) -> None:
        """Refute the case."""
        array = self.engine.numbers.array
        lower, upper = (array(side)[None] for side in (self.case.lower, self.case.upper))
        # Of margins it only matters whether they are positive: any number that is not will do to begin with.
        margins = array(np.full((1, len(self.rhs)), -1.0))
        depth_first(Boxes(np.array([root]), np.array([0]), lower, upper, margins, Hidden()), self.batch, self._step)

    def _step(self, boxes: Boxes) -> Boxes:
        """Bound a batch; the halves of those that are not refuted."""
        engine = self.engine
        found = engine.hidden(boxes.lower, boxes.upper, boxes.hidden)
        form = engine.walk(*start_rows(engine, self.outputs, self.inputs, self.rhs), found)
        margins = np.maximum(boxes.margins, engine.least(form, boxes.lower, boxes.upper))
        done = refuted(self.formula, margins)
        if len(self.required) > 1 and not done.all():
            done = done | joint(engine, boxes.lower, boxes.upper, form, self.required)
        boxes = Boxes(boxes.node, boxes.own, boxes.lower, boxes.upper, margins, found)
        for row in self.required:
            boxes.lower, boxes.upper = clip_box(engine, boxes.lower, boxes.upper, form, row)
        done = done | (boxes.lower > boxes.upper).any(axis=1)
        leaf, open_ = (self.cuts.at[boxes.node] < 0) & (boxes.own == self.most), ~done.astype(bool)
        for place in np.flatnonzero(leaf & open_):
            if self.left is None:
                raise Rejected(f"the leaf {boxes.node[place]} is not refuted")
            rows = [part[place if len(part) > 1 else 0] for part in form]
            self.left.add(boxes.lower[place], boxes.upper[place], self.formula, boxes.margins[place], *rows)
        return self._halved(boxes.take(np.repeat(np.flatnonzero(~leaf & open_), 2)))

    def _halved(self, twice: Boxes) -> Boxes:
        """Both halves of boxes that are given twice; halves that clipping left nothing of are dropped."""
        cut, lower, upper = self.cuts.at[twice.node], twice.lower, twice.upper
        leaf, even, every = cut < 0, np.arange(0, len(cut), 2), np.arange(len(cut))
        odd, axis = even + 1, np.where(leaf, (upper - lower).argmax(axis=1), self.axis[cut])
        middle = (lower[every, axis] + upper[every, axis]) / 2
        point = np.where(leaf, middle, self.engine.numbers.array(self.point[cut]))
        upper[even, axis[even]] = np.minimum(upper[even, axis[even]], point[even])
        lower[odd, axis[odd]] = np.maximum(lower[odd, axis[odd]], point[odd])
        twice.own = twice.own + leaf
        twice.node = np.where(leaf, twice.node, self.cuts.roots + 2 * cut + every % 2)
        return twice.take(np.flatnonzero((lower <= upper).all(axis=1)))


def rows_of(engine: Engine, spec: Specification, formula: Formula) -> tuple[Formula, Array, Array, Array]:
    """The formula over rows instead of atoms; their coefficients of outputs and inputs, and right-hand sides."""
    atoms, array = atoms_of(formula), engine.numbers.array
    rows = (array(part[atoms]) for part in (spec.outputs, spec.inputs, spec.rhs))
    return renumbered(formula, {atom: row for row, atom in enumerate(atoms)}), *rows


def start_rows(engine: Engine, outputs: Array, inputs: Array, rhs: Array) -> tuple[dict[int, Array], Array, Array]:
    """What a walk for margins starts with: [1, rows, ..] for atoms [rows, ..], or with a batch axis of their own."""
    rows = {engine.network.output: outputs if outputs.ndim == 3 else outputs[None]}
    if (inputs != 0).any():
        rows[0] = inputs if inputs.ndim == 3 else inputs[None]
    offset = -(rhs if rhs.ndim == 2 else rhs[None])
    return rows, offset, abs(offset) * 0


def renumbered(formula: Formula, place: dict[int, int]) -> Formula:
    """The formula over positions."""
    if isinstance(formula, int):
        return place[formula]
    return formula[0], tuple(renumbered(part, place) for part in formula[1])
