"""What an earlier search did, as a plan for one about the same specification and other weights.

Networks that differ a little are divided alike (Ugare et al. 2023, IVAN), so the cuts of the one are a good guess for
the other. A plan proves nothing: whatever it proposes, the parts of a domain cover it, and each is bounded anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from certify.arrays import to_numpy
from certify.search.branches import Branches
from certify.search.cuts import Cuts
from certify.search.tree import InputCut, SearchTree, ValueCut

if TYPE_CHECKING:
    from certify.search.prove import Proof

# A goal's number, and the conjunction of its atoms that a tree is about; none for a tree about the whole goal.
Root = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class PlannedTree:
    """Trees with a root each in `roots`: node r < len(roots) is root r, cut i makes nodes roots + 2 i and the next.

    cut: [nodes] the cut that divides each, -1 for leaves; bound: [nodes] what was proven of each before it was cut, inf
    for leaves. cuts: [cuts], see `Cuts`; names of values stand in `values`, which `value` numbers.
    """

    roots: tuple[Root, ...]
    values: tuple[str, ...]
    value: np.ndarray
    element: np.ndarray
    point: np.ndarray
    cut: np.ndarray
    bound: np.ndarray

    @classmethod
    def of(cls, tree: SearchTree) -> PlannedTree | None:
        """None for a tree without a cut."""
        steps = [step for step in tree.steps if isinstance(step, InputCut | ValueCut)]
        if tree.ground is None or not steps:
            return None
        roots = roots_of(tree)
        branches = Branches.of(steps, len(roots))
        names = [name for step in steps for name in _values(step)]
        values = tuple(dict.fromkeys(names))
        number = {name: i for i, name in enumerate(values)}
        element = np.concatenate([_elements(step, tree.ground.kept) for step in steps])
        point = np.concatenate([s.below if isinstance(s, InputCut) else s.point for s in steps])
        nodes = len(roots) + 2 * len(branches.node)
        cut, bound = np.full(nodes, -1), np.full(nodes, np.inf)
        cut[branches.node] = np.arange(len(branches.node))
        bound[branches.node] = np.concatenate([step.bound for step in steps])[branches.order]
        value = np.array([number[name] for name in names])[branches.order]
        return cls(roots, values, value, element[branches.order], point[branches.order].astype(float), cut, bound)

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether every cut of a value that is there, "" for the inputs, is of an element that it has."""
        most = np.array([sizes.get(name, np.iinfo(int).max) for name in self.values])
        return bool((self.element < most[self.value]).all())

    def cuts(self, node: np.ndarray) -> Cuts:
        """Those of nodes that are cut."""
        cut = self.cut[node]
        return Cuts(np.array(self.values)[self.value[cut]], self.element[cut], self.point[cut])

    def child(self, node: np.ndarray, side: np.ndarray) -> np.ndarray:
        """The node on side 0 or 1 of each."""
        return len(self.roots) + 2 * self.cut[node] + side


@dataclass(frozen=True)
class Plan:
    """The trees of one proof; and by the number of a goal, by node, the slopes [1, atoms, *shape] of its margins."""

    trees: tuple[PlannedTree, ...] = ()
    slopes: dict[int, dict[str, tuple[np.ndarray, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, proof: Proof) -> Plan:
        """What that proof divided. Of what its record had no more room for, nothing is known."""
        slopes = {}
        for _, tree in proof.trees:
            ground = tree.ground
            # Slopes in a network without the elements that are dead on this box say nothing of the others.
            if ground is not None and ground.slopes and not ground.shrunk:
                slopes[int(ground.goals[0])] = {
                    name: tuple(to_numpy(part).astype(np.float32) for part in parts)
                    for name, parts in ground.slopes.items()
                }
        return cls(tuple(filter(None, (PlannedTree.of(tree) for _, tree in proof.trees))), slopes)

    def about(self, roots: Sequence[Root]) -> PlannedTree | None:
        """The tree that has most of these roots, if any has one."""
        shared = [len(set(tree.roots) & set(roots)) for tree in self.trees]
        return self.trees[int(np.argmax(shared))] if any(shared) else None


def roots_of(tree: SearchTree) -> tuple[Root, ...]:
    """What each root of a tree is about."""
    assert tree.ground is not None
    goals, clauses = tree.ground.goals.tolist(), tree.ground.clauses
    return tuple((goal, ()) for goal in goals) if clauses is None else tuple((goals[0], c) for c in clauses)


def _values(step: InputCut | ValueCut) -> list[str]:
    return [""] * len(step.node) if isinstance(step, InputCut) else step.value


def _elements(step: InputCut | ValueCut, kept: dict[str, np.ndarray]) -> np.ndarray:
    """Flat elements of the network that was read, of which the tree's may have fewer."""
    if isinstance(step, InputCut):
        return step.axis
    pairs = zip(step.value, step.element.tolist(), strict=True)
    return np.array([kept[value][element] if value in kept else element for value, element in pairs], dtype=int)
