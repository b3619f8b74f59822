"""How two processes share the work of the native engine: what is open in a search by signs, and the rows of a layer."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from certify.arrays import Array
from certify.attack.candidate import Target, snap
from certify.backends.second_process import SecondProcess, Send
from certify.bounds.backward import Rows
from certify.bounds.intermediate import BoundRows, Relaxed
from certify.bounds.linear_form import LinearForm
from certify.search.branch_and_bound import Accept, Outcome, Progress, branch_and_bound
from certify.search.frontier import Frontier
from certify.search.tree import RowForest, SearchTree, Step
from certify.search.value_split import ValueSplit
from certify.settings import Budget

# Most searches end sooner than this many seconds, and are spared the fork.
SHARE_AFTER = 0.5
# Half of fewer open domains than this is soon done, or unlike the other half.
FEWEST_SHARED = 64
# Seconds between two questions for more.
ASK_EVERY = 0.1
# Nodes of the other process's part of a search tree are numbered from here.
OTHER_NODES = 2**40
# A larger part of a search tree stays where it was made, and the tree counts as incomplete.
TREE_SENT = 2**26
# Fewer rows than this are soon bounded.
FEWEST_ROWS = 16


@dataclass(frozen=True)
class Report:
    """What the other process came to, and its part of the search tree."""

    outcome: Outcome
    progress: Progress
    steps: list[Step]
    leaves: int
    complete: bool


class Sharer:
    """A `Helper`: once a search by signs has gone on for a while, half of its open domains go to another process.

    Whoever is done first gets half of what the other one still has.
    """

    def __init__(self, brancher: ValueSplit, budget: Budget, accept: Accept, progress: Progress) -> None:
        self._brancher, self._budget, self._accept, self._progress = brancher, budget, accept, progress
        self._due = time.monotonic() + SHARE_AFTER
        self._other: SecondProcess | None = None
        self._forks = 0
        # Lower bounds: of what was given away last, and of what was closed over there.
        self._given = self._closed = float("inf")
        self._lost = False
        self._returned: list[Frontier] = []

    def __enter__(self) -> tuple[Accept, Sharer]:
        return self.accept, self

    def __exit__(self, *_: object) -> None:
        if self._other is not None:
            self._other.end()

    def accept(self, points: np.ndarray) -> Any:
        """What the wrapped `accept` says of the points that break the property over there, then of these."""
        witness = self._receive()
        return witness if witness is not None or not len(points) else self._accept(points)

    def share(self, frontier: Frontier) -> None:
        """Take in what came back; give half of the open domains away, if nobody has any."""
        self._take_back(frontier)
        free = self._other is None and not self._lost
        if free and time.monotonic() >= self._due and len(frontier) >= FEWEST_SHARED:
            given, number = frontier.halve(), self._forks
            self._given, self._forks = given.bound(), number + 1
            self._other = SecondProcess(lambda send: self._prove(given, number, send))

    def refill(self, frontier: Frontier) -> Any:
        """Wait until the other process hands something back or is done; a witness, if it found one."""
        self._take_back(frontier)
        while self._other is not None and not len(frontier) and not self._budget.expired():
            self._other.ask()
            witness = self._receive(wait=ASK_EVERY)
            if witness is not None:
                return witness
            self._take_back(frontier)
        return None

    def _take_back(self, frontier: Frontier) -> None:
        """What came back, at whatever moment it did, is to be proved here."""
        while self._returned:
            frontier.take(self._returned.pop())

    def settle(self, outcome: Outcome) -> Outcome:
        """With what was closed, lost or is still open over there."""
        if outcome.witness is not None:
            return outcome
        if self._other is not None or self._lost or self._returned:
            return Outcome(False, outcome.finished and self._lost, min(outcome.bound, self._given))
        return replace(outcome, bound=min(outcome.bound, self._closed)) if outcome.closed else outcome

    def _receive(self, wait: float = 0.0) -> Any:
        """Take in what was sent, and note an end: a witness, if one of the points is one."""
        if self._other is None:
            return None
        ended = self._other.ended
        for message in self._other.received(wait):
            if isinstance(message, Report):
                self._merge(message)
                self._other.end()
                self._other = None
                return None
            if isinstance(message, Frontier):
                self._returned.append(message)
                continue
            witness = self._accept(message)
            if witness is not None:
                return witness
        if ended and not self._budget.expired():
            # What was given away counts as open.
            self._progress.notes.append("the second process was lost with what it had to prove")
            self._progress.abandoned += 1
            self._other, self._lost = None, True
        return None

    def _merge(self, report: Report) -> None:
        tree, there = self._brancher.tree, report.progress
        tree.steps.extend(report.steps)
        tree.n_leaves += report.leaves
        tree.complete &= report.complete
        self._progress.count(there.domains, there.leaves, there.abandoned, there.open)
        self._progress.notes.extend(there.notes)
        self._closed = min(self._closed, report.outcome.bound)
        self._lost |= not report.outcome.closed

    def _prove(self, given: Frontier, number: int, send: Send) -> None:
        """In the other process: search the given domains, send points that break the property, then the report."""
        brancher, progress = self._brancher, Progress()
        brancher.tree = SearchTree(np.zeros(0, dtype=int), TREE_SENT, evidence=brancher.tree.evidence)
        brancher.tree.n_nodes = OTHER_NODES * (number + 1)
        target = Target(brancher.problem, brancher.goal, brancher.problem.network)

        def propose(points: np.ndarray) -> None:
            points = snap(points, brancher.goal.lower, brancher.goal.upper)
            unsafe = points[target.worst(points) <= 0.0]
            send(unsafe if len(unsafe) else None)

        outcome = branch_and_bound(brancher, self._budget, propose, progress, start=given, helper=_Giver(send))
        if outcome.finished:
            tree = brancher.tree
            send(Report(outcome, progress, tree.steps if tree.complete else [], tree.n_leaves, tree.complete))


class _Giver:
    """A `Helper` of the other process, which gives half of its open domains back when it is asked."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def share(self, frontier: Frontier) -> None:
        """Give half back, if somebody waits for it."""
        if self._send.asked() and len(frontier) > 1:
            self._send(frontier.halve())

    def refill(self, frontier: Frontier) -> None:
        """Nobody has more."""

    def settle(self, outcome: Outcome) -> Outcome:
        """As it is."""
        return outcome


class RowSharer:
    """A way to bound rows that leaves those of every other element to another process.

    Rows that are lost with it stay unbounded. record: the list in which the way that is shared keeps what shows its
    bounds, if it does; what the other process adds to its own comes along.
    """

    def __init__(self, bound_rows: BoundRows, record: list[RowForest] | None = None) -> None:
        self._bound_rows, self._record = bound_rows, record

    def __call__(self, relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm | None]:
        """Lower bounds [1, rows]."""
        if rows.count < FEWEST_ROWS:
            return self._bound_rows(relaxed, rows)
        (mine, half), (theirs, other_half) = (_every_other(rows, first) for first in (0, 1))
        other = SecondProcess(lambda send: send(self._there(relaxed, other_half)))
        try:
            lower = np.full((1, rows.count), -np.inf)
            lower[:, mine], _ = self._bound_rows(relaxed, half)
            ended = received = False
            while not ended and not received:
                ended = other.ended
                for bounds, recorded in other.received(wait=0.05):
                    lower[:, theirs], received = bounds, True
                    if self._record is not None:
                        self._record.extend(recorded)
        finally:
            other.end()
        return lower, None

    def _there(self, relaxed: Relaxed, rows: Rows) -> tuple[Array, list[RowForest]]:
        """In the other process: bounds of its rows, and what it recorded of them."""
        before = len(self._record or [])
        return self._bound_rows(relaxed, rows)[0], (self._record or [])[before:]


def _every_other(rows: Rows, first: int) -> tuple[np.ndarray, Rows]:
    """Places of the rows of every other element, both sides of each, and those rows."""
    count = rows.count // 2
    chosen = np.arange(first, count, 2)
    places = np.concatenate([chosen, count + chosen])
    coefficients = {name: part[:, places] for name, part in rows.coefficients.items()}
    elements = None if rows.elements is None else rows.elements[..., first::2]
    return places, Rows(coefficients, rows.offset[:, places], elements)
