"""The open subproblems: a stack of batches, newest first, so that memory stays flat and siblings stay together."""

from __future__ import annotations

import numpy as np

from certify.search.domain import Domains, concatenate


class Frontier:
    """Last in, first out; within a batch that is pushed, the last one comes out first."""

    def __init__(self) -> None:
        self._stack: list[Domains] = []
        self.count = 0
        self.nbytes = 0

    def __len__(self) -> int:
        return self.count

    def push(self, domains: Domains) -> None:
        """Add a batch."""
        if len(domains):
            self._stack.append(domains)
            self.count += len(domains)
            self.nbytes += domains.nbytes

    def pop(self, size: int) -> Domains:
        """Take up to `size` domains off the top."""
        taken: list[Domains] = []
        missing = size
        while missing > 0 and self._stack:
            top = self._stack.pop()
            self.nbytes -= top.nbytes
            if len(top) > missing:
                keep = len(top) - missing
                rest = top.select(np.arange(keep))
                self._stack.append(rest)
                self.nbytes += rest.nbytes
                top = top.select(np.arange(keep, len(top)))
            taken.append(top)
            missing -= len(top)
        self.count -= sum(len(part) for part in taken)
        return concatenate(taken)

    def bound(self) -> float:
        """The smallest lower bound among the open domains, +inf if there are none."""
        return min((float(part.bound.min()) for part in self._stack), default=float("inf"))

    def halve(self) -> Frontier:
        """Take every other domain out, into a frontier of its own."""
        other, kept = Frontier(), self._stack
        self._stack, self.count, self.nbytes = [], 0, 0
        for part in kept:
            odd = np.arange(len(part)) % 2 == 1
            self.push(part.select(~odd))
            other.push(part.select(odd))
        return other

    def take(self, other: Frontier) -> None:
        """Add all that another frontier holds."""
        for part in other._stack:
            self.push(part)
