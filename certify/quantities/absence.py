"""Per sample: is it never sent to the target by any trigger, or is there one that does?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from certify.attack.candidate import snap
from certify.quantities.patch import Patch
from certify.settings import Budget

PROVED, EXISTS, OPEN = "proved", "exists", "open"
CORNERS_UP_TO = 6
RANDOM = 96
ASCENTS = 12


@dataclass(frozen=True)
class Game:
    """What a trigger may do: its box, [d] each, and the class that it wants."""

    patch: Patch
    target: int
    lower: np.ndarray
    upper: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """f_j - f_T for every class j but the target T, [classes - 1, classes]."""
        unit = np.eye(self.patch.classifier.n_classes)
        return np.delete(unit - unit[self.target], self.target, axis=0)

    def lead(self, sample: np.ndarray, t: np.ndarray) -> np.ndarray:
        """By how much our graph's best other class beats the target, [points]: not above 0 where the target wins."""
        return np.asarray((self.patch.scores(sample, t) @ self.rows.T).max(axis=1))

    def snapped(self, t: np.ndarray) -> np.ndarray:
        """The triggers [points, d] as float32 values within the box."""
        return snap(t, self.lower, self.upper)

    def guesses(self, rng: np.random.Generator) -> np.ndarray:
        """Triggers [guesses, d] worth a try: corners and random ones."""
        d = len(self.lower)
        bits = np.arange(2**d)[:, None] >> np.arange(d) & 1 if d <= CORNERS_UP_TO else rng.integers(0, 2, (64, d))
        corners = np.where(bits == 1, self.upper, self.lower)
        return self.snapped(np.concatenate([corners, rng.uniform(self.lower, self.upper, (RANDOM, d))]))

    def climb(self, sample: np.ndarray, t: np.ndarray, steps: int = ASCENTS) -> np.ndarray:
        """The triggers t [points, d], each moved towards the target on its own sample by signed steps that shrink."""
        width = (self.upper - self.lower) / 2.0
        unit = np.eye(self.patch.classifier.n_classes)
        for step in range(steps):
            scores = self.patch.scores(sample, t)
            others = scores.copy()
            others[:, self.target] = -np.inf
            slope = self.patch.ascent(sample, t, unit[self.target] - unit[others.argmax(axis=1)])
            t = np.clip(t + np.sign(slope) * width * 0.8**step, self.lower, self.upper)
        return self.snapped(t)


@dataclass
class Absence:
    """status: [samples] of proved (never the target, for any trigger), exists, open; witness: a trigger [d] by sample.

    boxes: how many were bounded.
    """

    status: np.ndarray
    witness: dict[int, np.ndarray] = field(default_factory=dict)
    boxes: int = 0


def decide_absence(game: Game, samples: np.ndarray, rng: np.random.Generator, budget: Budget, limit: int) -> Absence:
    """Decide every sample by attack, then by branch and bound over the trigger's box, within `limit` boxes.

    samples: [k] numbers. A sample is proved on a box by one class that beats the target everywhere on it, another class
    on another box. It has a trigger only where onnxruntime says so.
    """
    found = Absence(np.full(len(samples), OPEN, dtype=object))
    _attack(game, samples, found, rng)
    rows, size = game.rows, game.patch.batch_size(len(game.rows))
    left = np.flatnonzero(found.status == OPEN)
    index, lower, upper = left, np.tile(game.lower, (len(left), 1)), np.tile(game.upper, (len(left), 1))
    pending = [(index, lower, upper)] if len(left) else []
    while pending and not budget.expired() and found.boxes < limit:
        index, lower, upper = _some(pending, size, found.status)
        if not len(index):
            continue
        bounds, slopes = game.patch.margins(samples[index], lower, upper, rows)
        found.boxes += len(index)
        open_ = np.flatnonzero(~(bounds > 0.0).any(axis=1))
        index, lower, upper = index[open_], lower[open_], upper[open_]
        _try(game, samples, found, index, (lower + upper) / 2.0)
        open_ = open_[found.status[index] == OPEN]
        kept = found.status[index] == OPEN
        index, lower, upper = index[kept], lower[kept], upper[kept]
        score = split_scores(bounds[open_], slopes[open_], upper - lower)
        children, possible = halve(lower, upper, score)
        pending.append((np.repeat(index, 2), *children))
        if not possible.all():
            break
    waiting = set(np.concatenate([index for index, _, _ in pending]).tolist()) if pending else set()
    for number in np.flatnonzero(found.status == OPEN).tolist():
        if number not in waiting:
            found.status[number] = PROVED
    return found


def split_scores(bounds: np.ndarray, slopes: np.ndarray, width: np.ndarray) -> np.ndarray:
    """How much each axis moves the row nearest to a proof, [boxes, d]; a little for width, so that none starves.

    bounds: [boxes, rows]; slopes: [boxes, rows, d]; width: [boxes, d].
    """
    best = slopes[np.arange(len(bounds)), bounds.argmax(axis=1)]
    moved = abs(best) * width
    return np.asarray(moved + 0.1 * moved.sum(axis=1, keepdims=True) * width / width.sum(axis=1, keepdims=True))


def halve(lower: np.ndarray, upper: np.ndarray, score: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The boxes [boxes, d] cut in the middle of the axis with the highest score: (their halves, which could be cut).

    The halves of box i are 2 i and 2 i + 1. Middles are exact sums, so the halves cover the box.
    """
    middle = lower + (upper - lower) / 2.0
    room = (lower < middle) & (middle < upper)
    axis = np.where(room, score, -1.0).argmax(axis=1)
    every = np.arange(len(lower))
    low, high = np.repeat(lower, 2, axis=0), np.repeat(upper, 2, axis=0)
    high[2 * every, axis] = middle[every, axis]
    low[2 * every + 1, axis] = middle[every, axis]
    return (low, high), np.asarray(room[every, axis])


def _some(
    pending: list[tuple[np.ndarray, np.ndarray, np.ndarray]], size: int, status: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Up to `size` boxes off the newest, those of decided samples left out."""
    index, lower, upper = pending.pop()
    kept = status[index] == OPEN
    index, lower, upper = index[kept], lower[kept], upper[kept]
    if len(index) > size:
        pending.append((index[size:], lower[size:], upper[size:]))
    return index[:size], lower[:size], upper[:size]


def _attack(game: Game, samples: np.ndarray, found: Absence, rng: np.random.Generator) -> None:
    """The same guesses for all, then a climb for each sample that they leave, from its two best."""
    guesses = game.guesses(rng)
    if not len(samples):
        return
    k, g = len(samples), len(guesses)
    lead = game.lead(np.repeat(samples, g), np.tile(guesses, (k, 1))).reshape(k, g)
    order = lead.argsort(axis=1)
    _try(game, samples, found, np.arange(k), guesses[order[:, 0]])
    left = np.flatnonzero(found.status == OPEN)
    if len(left):
        index = np.repeat(left, 2)
        _try(game, samples, found, index, game.climb(samples[index], guesses[order[left, :2]].reshape(len(index), -1)))


def _try(game: Game, samples: np.ndarray, found: Absence, index: np.ndarray, t: np.ndarray) -> None:
    """Replay the triggers t [points, d] that our graph says send sample `index` [points] to the target."""
    if not len(index):
        return
    t = game.snapped(t)
    for place in np.flatnonzero(game.lead(samples[index], t) <= 0.0).tolist():
        number = int(index[place])
        if found.status[number] == OPEN and game.patch.replayed(samples[[number]], t[place])[0] == game.target:
            found.status[number] = EXISTS
            found.witness[number] = t[place]
