"""The universal worst trigger: the largest share of samples that one and the same trigger sends to the target.

    U* = max over t in the box of  (1 / N) #{ i : the model answers T on sample i with the trigger t }

Best-first branch and bound over t alone. Upper bound of a box: the samples not proven "never T" on it; a box inherits
only its parent's unproven samples. Lower bound: any trigger, counted by onnxruntime.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from certify.quantities.absence import Game, halve, split_scores
from certify.settings import Budget

CLIMBERS = 8
STEPS = 20


@dataclass
class WorstTrigger:
    """The search for one patch and one target, which can be taken up again.

    samples: the numbers of those counted that may be sent to the target at all. best: how many of them the trigger
    `trigger` [d] sends there, as onnxruntime counts; bound: that no trigger sends more; boxes: pairs of box and sample
    bounded.
    """

    game: Game
    samples: np.ndarray
    best: int = 0
    trigger: np.ndarray | None = None
    boxes: int = 0
    _open: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _number: int = 0
    _stuck: int = 0

    def __post_init__(self) -> None:
        self._push(self.samples, self.game.lower, self.game.upper, np.ones(len(self.game.lower)))

    @property
    def bound(self) -> int:
        """No trigger sends more samples than this to the target."""
        return max(self.best, self._stuck, -self._open[0][0] if self._open else 0)

    def offer(self, triggers: np.ndarray) -> None:
        """Count what the triggers [guesses, d] do, by our graph first; one that seems better than all is replayed."""
        if not len(self.samples) or not len(triggers):
            return
        k, g = len(self.samples), len(triggers)
        lead = self.game.lead(np.tile(self.samples, g), np.repeat(triggers, k, axis=0)).reshape(g, k)
        self._replay(triggers, (lead <= 0.0).sum(axis=1))

    def _replay(self, triggers: np.ndarray, promised: np.ndarray) -> None:
        for place in np.argsort(-promised, kind="stable")[:4].tolist():
            if promised[place] <= self.best:
                return
            count = int((self.game.patch.replayed(self.samples, triggers[place]) == self.game.target).sum())
            if count > self.best:
                self.best, self.trigger = count, triggers[place]

    def climb(self, rng: np.random.Generator, budget: Budget) -> None:
        """Guesses, then ascents of the mean of a margin cut off at both sides, over all samples, from the best ones."""
        game, k = self.game, len(self.samples)
        if not k:
            return
        guesses = game.guesses(rng)
        lead = game.lead(np.tile(self.samples, len(guesses)), np.repeat(guesses, k, axis=0)).reshape(len(guesses), k)
        count = (lead <= 0.0).sum(axis=1)
        self._replay(guesses, count)
        if self.best >= self.bound or budget.expired():
            return
        t = guesses[np.argsort(-count, kind="stable")[:CLIMBERS]]
        unit, width = np.eye(game.patch.classifier.n_classes), (game.upper - game.lower) / 4.0
        sample = np.tile(self.samples, len(t))
        for step in range(STEPS):
            each = np.repeat(t, k, axis=0)
            scores = game.patch.scores(sample, each)
            others = scores.copy()
            others[:, game.target] = -np.inf
            rival = others.argmax(axis=1)
            lead = others[np.arange(len(rival)), rival] - scores[:, game.target]
            # What is far from changing sides does not count: the slope of a logistic function of the lead.
            soft = 1.0 / (2.0 + np.exp(np.minimum(abs(lead), 50.0)) + np.exp(-abs(lead)))
            slope = game.patch.ascent(sample, each, soft[:, None] * (unit[game.target] - unit[rival]))
            direction = np.sign(slope.reshape(len(t), k, -1).sum(axis=1))
            t = game.snapped(t + direction * width * 0.85**step)
            self.offer(t)

    def advance(self, budget: Budget, gap: int = 0) -> None:
        """Go on until the bound is within `gap` samples of the best trigger, or the time is up."""
        size = self.game.patch.batch_size(len(self.game.rows))
        while self.bound - self.best > gap and self._open and not budget.expired():
            self._bound(self._pop(size, gap))

    def _push(self, members: np.ndarray, lower: np.ndarray, upper: np.ndarray, score: np.ndarray) -> None:
        self._number += 1
        heapq.heappush(self._open, (-len(members), -self._number, members, lower, upper, score))

    def _pop(self, size: int, gap: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Halves of the boxes with the most unproven samples, (samples, lower, upper) each, up to `size` pairs."""
        chosen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        pairs = 0
        while self._open and (not chosen or pairs < size) and -self._open[0][0] > self.best + gap:
            _, _, members, lower, upper, score = heapq.heappop(self._open)
            if pairs == 0 and not self.boxes:
                return [(members, lower, upper)]  # the whole box first
            (low, high), possible = halve(lower[None], upper[None], score[None])
            if not possible[0]:
                self._stuck = max(self._stuck, len(members))
                continue
            chosen += [(members, low[half], high[half]) for half in (0, 1)]
            pairs += 2 * len(members)
        return chosen

    def _bound(self, boxes: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        """Bound every pair of box and sample, take up what stays open, and try the middles of these boxes."""
        if not boxes:
            return
        owner = np.repeat(np.arange(len(boxes)), [len(members) for members, _, _ in boxes])
        sample = np.concatenate([members for members, _, _ in boxes])
        lower = np.stack([low for _, low, _ in boxes])
        upper = np.stack([high for _, _, high in boxes])
        bounds, slopes = self.game.patch.margins(sample, lower[owner], upper[owner], self.game.rows)
        self.boxes += len(sample)
        open_ = np.flatnonzero(~(bounds > 0.0).any(axis=1))
        count = np.bincount(owner[open_], minlength=len(boxes))
        middle = self.game.snapped((lower + upper) / 2.0)
        wins = self.game.lead(sample[open_], middle[owner[open_]]) <= 0.0
        promised = np.bincount(owner[open_], weights=wins, minlength=len(boxes)).astype(int)
        self._replay(middle, promised)
        score = np.zeros(lower.shape)
        width = (upper - lower)[owner[open_]]
        np.add.at(score, owner[open_], split_scores(bounds[open_], slopes[open_], width))
        for number in np.flatnonzero(count > self.best).tolist():
            members = sample[open_[owner[open_] == number]]
            self._push(members, lower[number], upper[number], score[number])
