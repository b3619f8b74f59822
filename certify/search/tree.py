"""What the search did, kept so that a stranger can recompute it: a certificate is written from this.

Every node is a subproblem; its children cover it. A closed leaf keeps what its bound follows from: the row margins
proven, and the slopes and split multipliers of the iterate that closed it. (Plain CROWN needs none: its slopes follow
from the intermediate bounds, which follow from the path, since bounds are inherited along it.) Bounds of hidden values
that were tightened on the way are kept as what they are; to show them again takes an ascent of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from certify.arrays import Array
from certify.bounds.interval import Interval

ROOT = -1


class InputCut(NamedTuple):
    """Nodes cut in two along input `axis`: child one ends at `below`, child two begins at `above`. Arrays over nodes.

    These differ only for an input that the network rounds first, which takes in between what it takes in one of the
    children, see `rounded`.
    """

    node: np.ndarray
    axis: np.ndarray
    below: np.ndarray
    above: np.ndarray
    children: np.ndarray


class ValueCut(NamedTuple):
    """Nodes cut in two at `point` of flat element `element` of `value[i]`: child one above, child two below.

    At the kink of a rectifier (point 0) that fixes its sign.
    """

    node: np.ndarray
    value: list[str]
    element: np.ndarray
    point: np.ndarray
    children: np.ndarray


class Clip(NamedTuple):
    """Boxes shrunk to what the unsafe side of the rows leaves: the same node goes on with [lower, upper]."""

    node: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class HiddenBounds(NamedTuple):
    """Nodes whose hidden values got tighter bounds, by value [nodes, *shape]; what lies below them inherits these."""

    node: np.ndarray
    bounds: dict[str, Interval]


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


@dataclass
class SearchTree:
    """The steps in the order they were made. roots: [roots] (task numbers), node i < len(roots) being root i.

    `complete` is False once leaves were no longer kept because they outgrew `limit` bytes.
    """

    roots: np.ndarray
    limit: int
    steps: list[Step] = field(default_factory=list)
    n_nodes: int = 0
    n_leaves: int = 0
    nbytes: int = 0
    complete: bool = True

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
