"""The shape of a search tree with its nodes numbered anew: roots first, then the children of the cuts in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from certify.search.tree import InputCut, ValueCut


@dataclass(frozen=True)
class Branches:
    """node: [cuts] new number of the node that each cut divides, parents before children; order: [cuts] the places of
    the cuts in the record; old, new: [nodes] numbers of all nodes, `old` ascending.

    The children of cut i are the nodes  roots + 2 i  and  roots + 2 i + 1.
    """

    node: np.ndarray
    order: np.ndarray
    old: np.ndarray
    new: np.ndarray

    @classmethod
    def of(cls, cuts: Sequence[InputCut | ValueCut], roots: int) -> Branches:
        """Breadth first from the roots, since the record may hold the cuts of two processes one after the other."""
        node = _joined([cut.node for cut in cuts])
        children = _joined([cut.children for cut in cuts]).reshape(-1, 2)
        by_node = np.argsort(node, kind="stable")
        level, number = np.arange(roots), np.arange(roots)
        made, order, parents, old, new = roots, [], [], [level], [number]
        while len(level) and len(node):
            place = np.minimum(np.searchsorted(node, level, sorter=by_node), len(node) - 1)
            cut = by_node[place]
            is_cut = node[cut] == level
            cut, parent = cut[is_cut], number[is_cut]
            order.append(cut)
            parents.append(parent)
            level = children[cut].reshape(-1)
            number = made + np.arange(len(level))
            made += len(level)
            old.append(level)
            new.append(number)
        every = np.concatenate(old)
        ranks = np.argsort(every, kind="stable")
        return cls(_joined(parents), _joined(order), every[ranks], np.concatenate(new)[ranks])

    def ordered(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """What the record says of each cut, in the new order."""
        return _joined(parts)[self.order]

    def renumbered(self, node: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """New numbers of nodes, and the mask of those that there still are."""
        place = np.minimum(np.searchsorted(self.old, node), len(self.old) - 1)
        return self.new[place], self.old[place] == node


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if len(parts) else np.zeros(0, dtype=int)
