"""Branch and bound on probability mass: boxes of a law, of which some are proven unsafe, some safe, the rest open.

Every box, open ones too, has a proven part: the planes that bound its margins from below and above cut off points that
are certainly safe or unsafe, and their probability is known from below (`mass.Product.positive`). Mass on the boundary
of the unsafe set therefore shrinks with the distance between the planes, not with the size of the boxes.
Branch and bound on mass as in Boetius et al. 2025 (ICML); the parts within boxes are our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from certify.bounds.backward import Rows, Walk, backward
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.errors import NumericalError
from certify.network.graph import INPUT, Network
from certify.network.passes.drop_dead_neurons import drop_dead_neurons
from certify.problem import Goal, Problem, worst_margin
from certify.quantities.law import ROUNDING
from certify.quantities.mass import Product
from certify.quantities.pieces import Piece
from certify.query.formula import AllOf, Formula
from certify.search.pick.input_gap import input_gap
from certify.search.tree import InputCut
from certify.settings import Budget

BATCH_FLOATS = 2**20
LARGEST_BATCH = 1024
# Boxes of a batch are bounded in so many parts, neighbours together.
NEIGHBOURS = 16
CURVE_AXES, CURVE_BITS = 8, 4
# Floats that the open boxes may take.
MOST_FLOATS = 2**27


@dataclass
class Boxes:
    """Open boxes. lower, upper: [boxes, n_inputs]; piece: [boxes]; node: [boxes], their numbers in the trees of cuts;
    low, high: bounds of their mass; unsafe, safe: the parts of it proven to be either; score: [boxes, n_inputs], which
    axis to cut, -inf where none was bounded yet. All masses are times the component's weight.
    """

    lower: np.ndarray
    upper: np.ndarray
    piece: np.ndarray
    node: np.ndarray
    low: np.ndarray
    high: np.ndarray
    unsafe: np.ndarray
    safe: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.low)

    @property
    def open(self) -> np.ndarray:
        """How much of each is not decided, at most."""
        return self.high - self.unsafe - self.safe

    def take(self, chosen: np.ndarray | slice) -> Boxes:
        """These boxes; of a slice, views."""
        return Boxes(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def joined(self, other: Boxes) -> Boxes:
        """Both."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Boxes(*(np.concatenate(pair) for pair in pairs))


class Partition:
    """The law's mass in the regions, divided. lower <= P[unsafe] <= upper at any time; bounded: boxes so far.

    cuts: all that were made, in trees whose roots are the pieces.
    """

    def __init__(self, problem: Problem, components: Sequence[Product], found: Sequence[Piece]) -> None:
        self.problem, self.components, self.pieces = problem, components, found
        self.goals = list({id(piece.goal): piece.goal for piece in found}.values())
        place = {id(goal): number for number, goal in enumerate(self.goals)}
        self.goal_of = np.array([place[id(piece.goal)] for piece in found], dtype=int)
        self.component_of = np.array([piece.component for piece in found], dtype=int)
        self.only_safe = np.array([piece.only_safe for piece in found], dtype=bool)
        self.lower, self.upper, self.bounded = 0.0, 1.0, 0
        self._unsafe_low = self._unsafe_high = 0.0
        self._stuck_low = self._stuck_high = 0.0
        n = problem.network.n_inputs
        sides = [np.stack([getattr(piece, side) for piece in found]) if found else np.zeros((0, n)) for side in SIDES]
        self.cuts: list[InputCut] = []
        self._nodes = len(found)
        self.boxes = self._weighed(sides[0], sides[1], np.arange(len(found)), np.arange(len(found)))
        self._summarise()

    @property
    def gap(self) -> float:
        """What is left open."""
        return self.upper - self.lower

    @property
    def exhausted(self) -> bool:
        """Whether no box is left that could be cut, or there is no room for more."""
        return not len(self.boxes) or self.boxes.lower.size > MOST_FLOATS

    def refine(self, gap: float, budget: Budget) -> None:
        """Go on until the interval is as narrow as this, the time is up, or nothing is left to cut."""
        while self.gap > gap and not self.exhausted and not budget.expired():
            self.step()

    def step(self) -> None:
        """Cut the boxes with the most open mass, and bound their halves; a box that never was is bounded as it is."""
        mass = self.boxes.open
        goal = self.goal_of[self.boxes.piece[int(mass.argmax())]]
        alike = np.flatnonzero(self.goal_of[self.boxes.piece] == goal)
        half = self._batch_size(self.goals[goal]) // 2
        chosen = alike[np.argsort(-mass[alike], kind="stable")[:half]]
        boxes = self.boxes.take(chosen)
        fresh = np.asarray(np.isneginf(boxes.score).any(axis=1))
        new = boxes.take(fresh).joined(self._halved(boxes.take(~fresh)))
        self._replace(chosen, new, self.goals[goal])

    def _batch_size(self, goal: Goal) -> int:
        network = self.problem.network
        sizes = [int(np.prod(shape)) for shape in network.shapes.values()]
        rows = max([2 * len(goal.atoms), *(int(np.prod(network.shapes[name])) for name in network.relaxed_inputs)])
        return int(max(2, min(LARGEST_BATCH, BATCH_FLOATS // max(1, max(sizes) * rows // 8))))

    def _weighed(self, lower: np.ndarray, upper: np.ndarray, piece: np.ndarray, node: np.ndarray) -> Boxes:
        """New boxes with their masses, nothing of them decided."""
        low, high = np.zeros(len(lower)), np.zeros(len(lower))
        for number in np.unique(self.component_of[piece]).tolist() if len(piece) else []:
            mine = np.flatnonzero(self.component_of[piece] == number)
            component = self.components[number]
            slack = 4 * ROUNDING * len(self.components)
            low[mine], high[mine] = component.mass(lower[mine], upper[mine])
            low[mine] *= component.weight * (1.0 - slack)
            high[mine] *= component.weight * (1.0 + slack)
        nothing = np.zeros(len(lower))
        return Boxes(lower, upper, piece, node, low, high, nothing, nothing.copy(), np.full(lower.shape, -np.inf))

    def _halved(self, boxes: Boxes) -> Boxes:
        """Both halves of each box, or itself where nothing can be cut: that one is set aside for good."""
        below, above = np.empty_like(boxes.lower), np.empty_like(boxes.lower)
        for number in np.unique(self.component_of[boxes.piece]).tolist():
            mine = np.flatnonzero(self.component_of[boxes.piece] == number)
            below[mine], above[mine] = self.components[number].cut(boxes.lower[mine], boxes.upper[mine])
        room = (boxes.lower < above) & (below < boxes.upper)
        score = np.where(room, np.where((np.where(room, boxes.score, 0.0) > 0.0).any(axis=1, keepdims=True),
                                        boxes.score, boxes.upper - boxes.lower), -1.0)  # fmt: skip
        axis, every = score.argmax(axis=1), np.arange(len(boxes))
        possible = room[every, axis]
        self._set_aside(boxes.take(~possible))
        boxes, axis, below, above = boxes.take(possible), axis[possible], below[possible], above[possible]
        every = np.arange(len(boxes))
        below, above = below[every, axis], above[every, axis]
        children = self._nodes + np.arange(2 * len(boxes)).reshape(-1, 2)
        self._nodes += 2 * len(boxes)
        # Masses say how far a box was decided, and no bound does.
        unbounded = np.full(len(boxes), -np.inf)
        self.cuts.append(InputCut(boxes.node, axis, below, above, children, unbounded))
        lower, upper = np.repeat(boxes.lower, 2, axis=0), np.repeat(boxes.upper, 2, axis=0)
        upper[2 * every, axis] = below
        lower[2 * every + 1, axis] = above
        return self._weighed(lower, upper, np.repeat(boxes.piece, 2), children.reshape(-1))

    def _replace(self, chosen: np.ndarray, new: Boxes, goal: Goal) -> None:
        """Bound the new boxes, which stand for the chosen ones; what is decided leaves, with its mass counted."""
        new = new.take(new.high > 0.0)
        # Neighbours agree on which neurons are unstable, so that walks over few neighbours have fewer rows.
        new = new.take(_by_neighbourhood(new.lower, new.upper))
        size = max(1, self._batch_size(goal) // NEIGHBOURS)
        for first in range(0, len(new), size):
            part = new.take(slice(first, first + size))  # views, which are filled in
            try:
                self._bound(part, goal)
            except NumericalError:
                part.unsafe[:] = part.safe[:] = 0.0
                part.score[:] = part.upper - part.lower
        self.bounded += len(new)
        # All that is known of a box is known of its mass: what is left is what the mass itself errs.
        decided = np.minimum(new.unsafe + new.safe, new.low) >= new.low
        self._unsafe_low += float(new.unsafe[decided].sum())
        self._unsafe_high += float((new.high - new.safe)[decided].sum())
        kept = np.ones(len(self.boxes), dtype=bool)
        kept[chosen] = False
        self.boxes = self.boxes.take(kept).joined(new.take(~decided))
        self._summarise()

    def _set_aside(self, boxes: Boxes) -> None:
        """Count boxes as they are, for good."""
        self._stuck_low += float(boxes.unsafe.sum())
        self._stuck_high += float((boxes.high - boxes.safe).sum())

    def _summarise(self) -> None:
        """The interval; earlier ones hold too, so it never grows."""
        slack = 2.0**-52 * (self.bounded + len(self.boxes) + 16)
        low = self._unsafe_low + self.boxes.unsafe.sum() + self._stuck_low
        high = self._unsafe_high + (self.boxes.high - self.boxes.safe).sum() + self._stuck_high
        self.lower = max(self.lower, float(low) * (1.0 - slack))
        self.upper = max(self.lower, min(self.upper, float(high) * (1.0 + slack)))

    def _bound(self, boxes: Boxes, goal: Goal) -> None:
        """Fill in what of these boxes is proven unsafe or safe, and which axis to cut next."""
        if not len(boxes):
            return
        box = Interval(boxes.lower, boxes.upper)
        forms: dict[str, tuple[np.ndarray, LinearForm]] = {}
        network, known = self._narrowed(box)
        relaxed = intermediate_bounds(network, box, known=known, forms=forms)
        walk = backward(relaxed.network, self._rows(goal), relaxed.planes, noise=relaxed.noise, keep=True)
        bound = walk.form.lower(box)
        atoms = len(goal.atoms)
        margins, against = bound[:, :atoms], bound[:, atoms:]
        safe = worst_margin(goal.formula, margins) > 0.0
        unsafe = worst_margin(goal.formula, -against) < 0.0
        boxes.score[:] = self._scores(relaxed, forms, walk, margins, against)
        false, true = np.empty(margins.shape), np.empty(margins.shape)
        for number in np.unique(self.component_of[boxes.piece]).tolist():
            mine = np.flatnonzero(self.component_of[boxes.piece] == number)
            weight = self.components[number].weight
            for atom in range(atoms):
                false[mine, atom] = self._part(boxes, mine, walk.form, atom, number, weight)
                true[mine, atom] = self._part(boxes, mine, walk.form, atoms + atom, number, weight)
        parts = _decided(goal.formula, false, true, boxes.high)
        boxes.safe[:] = np.where(safe, boxes.low, np.where(unsafe, 0.0, np.clip(parts[0], 0.0, boxes.low)))
        rest = boxes.low - boxes.safe
        boxes.unsafe[:] = np.where(unsafe, boxes.low, np.where(safe, 0.0, np.clip(parts[1], 0.0, rest)))
        boxes.unsafe[self.only_safe[boxes.piece]] = 0.0
        # Nothing of a box without an unsafe point is unsafe, whatever its mass errs by.
        boxes.low[safe] = boxes.high[safe] = boxes.safe[safe] = 0.0

    def _narrowed(self, box: Interval) -> tuple[Network, dict[str, Interval]]:
        """The network without neurons that are dead on the hull of the boxes, and what is known of the others there."""
        hull = Interval(box.lower.min(axis=0, keepdims=True), box.upper.max(axis=0, keepdims=True))
        found = intermediate_bounds(self.problem.network, hull).intervals
        alive = {name: (interval.upper > 0.0).reshape(-1) for name, interval in found.items()}
        network, kept = drop_dead_neurons(self.problem.network, alive)
        for name, index in kept.items():
            found[name] = Interval(*(side[..., index] for side in found[name]))
        return network, found

    def _part(
        self, boxes: Boxes, mine: np.ndarray, form: LinearForm, row: int, component: int, weight: float
    ) -> np.ndarray:
        """How much of the boxes `mine` has this row's form above 0, at least; with the component's weight."""
        at = mine if form.offset.shape[0] > 1 else np.zeros(len(mine), dtype=int)
        coefficient, offset = form.coefficient[at, row], (form.offset - form.error)[at, row]
        # `low` has the weight already, which is as good as a smaller mass.
        return self.components[component].positive(
            coefficient, offset, boxes.lower[mine], boxes.upper[mine], boxes.low[mine] / weight
        ) * (weight * (1.0 - 4.0 * ROUNDING))

    def _rows(self, goal: Goal) -> Rows:
        """The margins of the goal's atoms, then the same with the other sign."""
        outputs, inputs, offset = self.problem.margin_rows(goal.atoms)
        coefficients = {self.problem.network.output: np.concatenate([outputs, -outputs])[None]}
        if inputs is not None:
            coefficients[INPUT] = np.concatenate([inputs, -inputs])[None]
        return Rows(coefficients, np.concatenate([offset, -offset])[None])

    def _scores(
        self, relaxed: Relaxed, forms: dict[str, tuple[np.ndarray, LinearForm]], walk: Walk,
        margins: np.ndarray, against: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Which input the distance between the planes of undecided atoms comes from, [boxes, n_inputs]."""
        undecided = ~((margins > 0.0) | (against > 0.0))
        return input_gap(relaxed, forms, walk, np.concatenate([undecided, undecided], axis=1))


SIDES = ("lower", "upper")


def _by_neighbourhood(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """An order [boxes] in which neighbours are near each other: along a Z-curve (Morton) over the middles."""
    middle = (lower + upper) / 2.0
    spread = np.ptp(middle, axis=0) if len(middle) else np.zeros(lower.shape[1])
    axes = np.argsort(-spread, kind="stable")[: min(CURVE_AXES, np.count_nonzero(spread))]
    if not len(axes):
        return np.arange(len(lower))
    share = (middle[:, axes] - middle[:, axes].min(axis=0)) / spread[axes]
    places = np.minimum(share * 2**CURVE_BITS, 2**CURVE_BITS - 1).astype(np.int64)
    bits = [places[:, axis] >> bit & 1 for bit in range(CURVE_BITS) for axis in range(len(axes))]
    return np.lexsort(bits)


def _decided(formula: Formula, false: np.ndarray, true: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mass where the formula is false, mass where it is true), [boxes] each, at least, from those of its atoms.

    false, true: [boxes, atoms]; mass: [boxes], what a box has at most. By Frechet's bounds: a conjunction is false
    where one part is, and true where no part fails, which happens on no more than the sum of where each does.
    """
    if isinstance(formula, int):
        return false[:, formula], true[:, formula]
    if not formula.parts:
        nothing = np.zeros(len(mass))
        return nothing, nothing
    parts = [_decided(part, false, true, mass) for part in formula.parts]
    conjunction = isinstance(formula, AllOf)
    one, all_ = (0, 1) if conjunction else (1, 0)
    some = np.max([part[one] for part in parts], axis=0)
    slack = 2.0**-50 * len(parts) * (len(parts) - 1)
    every = np.maximum(sum(part[all_] for part in parts) - (len(parts) - 1 + slack) * mass, 0.0)
    return (some, every) if conjunction else (every, some)
