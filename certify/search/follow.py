"""A search that follows a plan: of an earlier search's tree it bounds only nodes that may close, and skips the others.

How far to go is guessed from the bounds that the plan remembers (Ugare et al. 2023): a domain stands better or worse
than the node it corresponds to, by some difference; what lies below that node should stand likewise. So the next
domains to bound are the highest nodes that would close then, and leaves of the plan, from where the search goes on by
itself. Each domain that stays open corrects the guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from certify.search.branch_and_bound import Bounded, Brancher
from certify.search.cuts import BOTH
from certify.search.domain import Domains, concatenate
from certify.search.input_split import InputSplit
from certify.search.plan import Plan, PlannedTree, roots_of
from certify.search.tree import SearchTree
from certify.settings import Budget

if TYPE_CHECKING:
    from certify.search.value_split import ValueSplit

# Domains made in one go without being bounded.
MOST_SKIPPED = 4096


def follow(brancher: InputSplit | ValueSplit, plan: Plan) -> Brancher:
    """The brancher, following the plan if that has something to say about its roots.

    Not where domains lose what they would gain on the way down: signs that are found with the box clipped at every node
    (two to three times as many domains on the digits networks), and boxes of rounded inputs.
    """
    if brancher.rounded.any() if isinstance(brancher, InputSplit) else brancher.clips:
        return brancher
    network = brancher.problem.network
    sizes = {name: int(np.prod(shape)) for name, shape in network.shapes.items()} | {"": network.n_inputs}
    tree = plan.about(roots_of(brancher.tree))
    return brancher if tree is None or not tree.fits(sizes) else Follow(brancher, tree)


class Follow:
    """A `Brancher` that cuts like another one, and like a plan where there is one.

    A domain's mark `planned` is its node of the plan, if its mark `followed` is its node in the tree: children that the
    other one makes inherit marks that say nothing of them.
    """

    def __init__(self, brancher: InputSplit | ValueSplit, plan: PlannedTree) -> None:
        self.brancher, self.plan = brancher, plan

    @property
    def tree(self) -> SearchTree:
        """The other one's."""
        return self.brancher.tree

    @property
    def clipped(self) -> bool:
        """Whether parts were left out."""
        return self.brancher.clipped

    def roots(self) -> Domains:
        """The other one's, each with its place in the plan."""
        domains = self.brancher.roots()
        number = {root: i for i, root in enumerate(self.plan.roots)}
        planned = np.array([number.get(root, -1) for root in roots_of(self.tree)])
        return _marked(domains, planned[domains.node])

    def batch_size(self, limit: int | None) -> int:
        """The other one's."""
        return self.brancher.batch_size(limit)

    def bound(self, domains: Domains, budget: Budget) -> Bounded:
        """The other one's."""
        return self.brancher.bound(domains, budget)

    def cut(self, bounded: Bounded) -> tuple[Domains, np.ndarray]:
        """Parts of the open domains that are worth bounding, and a mask of those that cannot be cut."""
        domains = bounded.domains
        open_ = np.flatnonzero(~bounded.closed)
        node = np.where(domains.marks["followed"][open_] == domains.node[open_], domains.marks["planned"][open_], -1)
        node, side = self._settled(domains.select(open_), node)
        follows = side == BOTH
        closed = bounded.closed.copy()
        closed[open_[follows]] = True
        children, stuck = [], np.zeros(len(closed), dtype=bool)
        if not closed.all():
            own, stuck = self.brancher.cut(Bounded(domains, closed, bounded.points, bounded.detail))
            children.append(own)
        if follows.any():
            children.append(self._parts(domains.select(open_[follows]), node[follows]))
        return concatenate(children), stuck

    def _settled(self, domains: Domains, node: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first node below that divides each domain, and BOTH; another side where there is none."""
        node, side = node.copy(), np.zeros(len(node), dtype=int)
        moving = np.flatnonzero(node >= 0)
        while len(moving):
            moving = moving[self.plan.cut[node[moving]] >= 0]
            side[moving] = self.brancher.sides(domains.select(moving), self.plan.cuts(node[moving]))
            moving = moving[side[moving] != BOTH]
            node[moving] = self.plan.child(node[moving], side[moving])
            side[moving] = 0
        return node, side

    def _parts(self, domains: Domains, node: np.ndarray) -> Domains:
        """Domains that their nodes divide, in the parts that may close."""
        ahead = domains.marks.get("estimate", domains.bound) - self.plan.bound[node]
        done, skipped = [], 0
        while len(node):
            skipped += len(node)
            children = self.brancher.divide(domains, self.plan.cuts(node))
            node = self.plan.child(np.repeat(node, 2), np.tile([0, 1], len(node)))
            ahead = np.repeat(ahead, 2)
            node, side = self._settled(children, node)
            wait = (side != BOTH) | (self.plan.bound[node] + ahead > 0.0) | (skipped > MOST_SKIPPED)
            done.append(_marked(children.select(wait), node[wait]))
            domains, node, ahead = children.select(~wait), node[~wait], ahead[~wait]
        return concatenate(done)


def _marked(domains: Domains, planned: np.ndarray) -> Domains:
    return replace(domains, marks=domains.marks | {"planned": planned, "followed": domains.node})
