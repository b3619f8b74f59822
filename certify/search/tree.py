"""What the search did, kept so that a stranger can recompute it: a certificate is written from this.

Every node is a subproblem; its children cover it. A closed leaf keeps what its bound follows from: the row margins
proven, and the slopes and split multipliers of the iterate that closed it. (Plain CROWN needs none: its slopes follow
from the intermediate bounds, which follow from the path, since bounds are inherited along it.) Bounds of hidden values
that were tightened on the way are kept as what they are; to show them again takes an ascent of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from certify.arrays import Array
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval

ROOT = -1
# Slopes of rows of hidden values are multiples of one over this, which takes a byte each.
SLOPE_LEVELS = 255


class InputCut(NamedTuple):
    """Nodes cut in two along input `axis`: child one ends at `below`, child two begins at `above`. Arrays over nodes.

    These differ only for an input that the network rounds first, which takes in between what it takes in one of the
    children, see `rounded`. bound: of the nodes, before they were cut.
    """

    node: np.ndarray
    axis: np.ndarray
    below: np.ndarray
    above: np.ndarray
    children: np.ndarray
    bound: np.ndarray


class ValueCut(NamedTuple):
    """Nodes cut in two at `point` of flat element `element` of `value[i]`: child one above, child two below.

    At the kink of a rectifier (point 0) that fixes its sign. bound: of the nodes, before they were cut.
    """

    node: np.ndarray
    value: list[str]
    element: np.ndarray
    point: np.ndarray
    children: np.ndarray
    bound: np.ndarray


class Clip(NamedTuple):
    """Boxes shrunk to what the unsafe side of the rows leaves: the same node goes on with [lower, upper].

    slopes, multipliers: those of the rows' forms, as in `Leaves`, where the tree keeps evidence.
    """

    node: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    slopes: dict[str, tuple[Array, ...]] | None = None
    multipliers: dict[str, Array] | None = None


@dataclass(frozen=True)
class RowForest:
    """Trees that bound elements of a value: root r < k bounds elements[r] from below, root k + r its negative.

    open: by value before it, in the network's order, the flat elements that were open: what columns refer to, laid end
    to end. Cut i divides node cut_node[i] by the sign of column cut_column[i], into the nodes 2 k + 2 i (above zero)
    and 2 k + 2 i + 1; parents come before children. slopes: [leaves, columns] uint8, of `SLOPE_LEVELS`; multipliers: of
    the columns that are cut above a leaf, in their order, float32, leaf after leaf. Leaves come in the order of nodes.
    """

    value: str
    elements: np.ndarray
    open: dict[str, np.ndarray]
    cut_node: np.ndarray
    cut_column: np.ndarray
    slopes: np.ndarray
    multipliers: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory held by the arrays."""
        return self.slopes.nbytes + self.multipliers.nbytes + self.cut_node.nbytes + self.cut_column.nbytes

    def renumbered(self, kept: dict[str, np.ndarray]) -> RowForest:
        """The same about a network of which that one only has the flat elements `kept` of some values."""
        every = {value: kept[value][found] if value in kept else found for value, found in self.open.items()}
        elements = kept[self.value][self.elements] if self.value in kept else self.elements
        return replace(self, elements=elements, open=every)


class HiddenWalk(NamedTuple):
    """Walks that bound elements of a value: lower bounds of elements [nodes or 1, k], then of their negatives.

    slopes, multipliers: by node and by value, [nodes or 1, 2 k, *shape].
    """

    value: str
    elements: np.ndarray
    slopes: dict[str, tuple[Array, ...]]
    multipliers: dict[str, Array]


class HiddenBounds(NamedTuple):
    """Nodes whose hidden values got tighter bounds, by value [nodes, *shape]; what lies below them inherits these.

    walks: where they come from, in that order, where the tree keeps evidence.
    """

    node: np.ndarray
    bounds: dict[str, Interval]
    walks: tuple[HiddenWalk, ...] = ()


class Leaves(NamedTuple):
    """Closed nodes with the lower bounds of their rows and the free parameters these were reached with.

    weights: [nodes, rows] if not a row but this combination of them was shown to be positive.
    """

    node: np.ndarray
    margins: np.ndarray
    slopes: dict[str, tuple[Array, ...]]
    multipliers: dict[str, Array]
    weights: np.ndarray | None = None


Step = InputCut | ValueCut | Clip | HiddenBounds | Leaves


@dataclass(frozen=True)
class Ground:
    """What a tree stands on, for whoever writes it down.

    goals: the number of each root's goal, or of the only one. clauses: [roots] the conjunctions of that goal that roots
    are about; None for trees of boxes, whose roots are whole goals. relaxed: bounds at the root of the one goal, before
    hidden values were split for their own sake; kept: by value, the flat elements that the tree's network still has,
    where it is without dead rectifiers; turns: how hidden values were bounded at the root after plain CROWN, each turn
    in the bounds of the one before; slopes: of the goal's rows there, by node, in a network that still has the elements
    `shrunk`. obstacle: why nobody could recheck it.
    """

    goals: np.ndarray
    clauses: list[tuple[int, ...]] | None = None
    relaxed: Relaxed | None = None
    kept: dict[str, np.ndarray] = field(default_factory=dict)
    turns: tuple[tuple[RowForest, ...], ...] = ()
    slopes: dict[str, tuple[Array, ...]] = field(default_factory=dict)
    shrunk: dict[str, np.ndarray] = field(default_factory=dict)
    obstacle: str = ""


@dataclass
class SearchTree:
    """The steps in the order they were made. roots: [roots] (task numbers), node i < len(roots) being root i.

    `complete` is False once leaves were no longer kept because they outgrew `limit` bytes. evidence: whether to keep
    what a recheck needs of nodes that are not closed too.
    """

    roots: np.ndarray
    limit: int
    steps: list[Step] = field(default_factory=list)
    n_nodes: int = 0
    n_leaves: int = 0
    nbytes: int = 0
    complete: bool = True
    evidence: bool = False
    ground: Ground | None = None

    def __post_init__(self) -> None:
        self.n_nodes = len(self.roots)

    def new_children(self, count: int) -> np.ndarray:
        """Numbers for two children of each of `count` nodes: [count, 2]."""
        first = self.n_nodes
        self.n_nodes += 2 * count
        return np.arange(first, self.n_nodes).reshape(count, 2)

    def add(self, step: Step) -> None:
        """Record a step, unless it does not fit."""
        if isinstance(step, Leaves):
            self.n_leaves += len(step.node)
        size = _size(step)
        if self.nbytes + size > self.limit:
            self.complete = False
        if self.complete:
            self.steps.append(step)
            self.nbytes += size


def _size(tree: object) -> int:
    if isinstance(tree, dict):
        return sum(_size(part) for part in tree.values())
    if isinstance(tree, tuple):
        return sum(_size(part) for part in tree)
    return int(getattr(tree, "nbytes", 64))
