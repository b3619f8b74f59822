"""Balls of inputs in the maximum, Euclidean or taxicab norm, cut by a range of values: linear forms at their least.

By Hölder's inequality a form's least value on a ball is its value at the centre minus the radius times the dual norm of
its coefficients. Where the range cuts the ball, that is too low. With one multiplier m >= 0 for the norm the least
value over both splits into one problem per input, solved in closed form; every m gives a lower bound (weak duality),
the best one the exact value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.rounding import gamma
from certify.settings import Norm

# Steps towards the best multiplier of a Euclidean ball; the first ones gain the most, and none is needed for soundness.
STEPS = 4
TINY = 1e-100


@dataclass(frozen=True)
class Ball:
    """{x : ||x - center|| <= radius, low <= x <= high} for each of a batch.

    center: [batch, n], inside of the range; radius: [batch], in units of the inputs; box: around each ball, cut by the
    range. Arrays of numpy in double precision, whatever the precision of the forms.
    """

    center: np.ndarray
    radius: np.ndarray
    norm: Norm
    box: Interval

    def lower(self, form: LinearForm) -> np.ndarray:
        """The smallest value of a form, [batch, rows], with the rounding of this very computation taken off."""
        least = form.lower(self.box)
        if self.norm == "inf":
            return least
        slope, room = abs(form.coefficient).astype(np.float64), self._room(form)
        if self.norm == "1":
            price = _taxicab_price(slope, room, self.radius)
            gain, cost = np.maximum(slope - price, 0.0) * room, price[..., 0] * self.radius[:, None]
        else:
            price = _euclidean_price(slope, room, self.radius)
            move = np.minimum(slope / price, room)
            gain = move * (slope - 0.5 * price * move)
            cost = 0.5 * price[..., 0] * (self.radius**2)[:, None]
        value = np.matmul(form.coefficient, self.center[:, :, None])[:, :, 0]
        size = np.matmul(slope, abs(self.center)[:, :, None])[:, :, 0] + abs(form.offset) + cost
        # A gain is a difference of two terms, of which the larger one is at most slope * room.
        size = size + 2.0 * (slope * np.minimum(room, self.radius[:, None, None])).sum(axis=2)
        error = form.error + 2.0 * gamma(value, slope.shape[2]) * size
        return np.maximum(least, value + form.offset - gain.sum(axis=2) - cost - error)

    def minimiser(self, form: LinearForm) -> np.ndarray:
        """A point of each ball where a form is least, up to rounding and steps: [batch, rows, n]."""
        if self.norm == "inf":
            return form.minimiser(self.box)
        slope, room = abs(form.coefficient).astype(np.float64), self._room(form)
        if self.norm == "1":
            price = _taxicab_price(slope, room, self.radius)
            rest = np.where(slope > price, room, 0.0)
            # What is left of the radius goes to one of the inputs at the price itself.
            left = np.maximum(self.radius[:, None] - rest.sum(axis=2), 0.0)
            last = np.argmax((slope == price) & (slope > 0.0), axis=2)[..., None]
            more = np.minimum(left[..., None], np.take_along_axis(room, last, 2))
            move = rest + np.where(np.arange(slope.shape[2]) == last, more, 0.0) * (slope == price)
        else:
            move = np.minimum(slope / _euclidean_price(slope, room, self.radius), room)
        point: np.ndarray = self.center[:, None, :] - np.sign(form.coefficient) * move
        return point.astype(form.coefficient.dtype)

    def part(self, inputs: np.ndarray) -> Ball:
        """The ball that these places of the input are in."""
        box = Interval(*(side[:, inputs] for side in self.box))
        return Ball(self.center[:, inputs], self.radius, self.norm, box)

    def _room(self, form: LinearForm) -> np.ndarray:
        """How far each input can go the way that makes a form smaller, [batch, rows, n]."""
        below, above = self.center - self.box.lower, self.box.upper - self.center
        return np.maximum(np.where(form.coefficient > 0.0, below[:, None, :], above[:, None, :]), 0.0)


def ball(center: np.ndarray, radius: np.ndarray, norm: Norm, low: np.ndarray, high: np.ndarray) -> Ball:
    """The balls around centers [batch, n] of these radii [batch]; low, high: [n], the range, which may be infinite."""
    reach = np.asarray(radius, dtype=np.float64)[:, None]
    lower, upper = np.nextafter(center - reach, -np.inf), np.nextafter(center + reach, np.inf)
    box = Interval(np.maximum(lower, low), np.minimum(upper, high))
    return Ball(center, reach[:, 0], norm, box)


def length(move: np.ndarray, norm: Norm) -> np.ndarray:
    """The norm over the last axis, rounded up."""
    if norm == "inf":
        size = abs(move).max(axis=-1)
    else:
        size = abs(move).sum(axis=-1) if norm == "1" else np.sqrt((move * move).sum(axis=-1))
    return size * (1.0 + gamma(size, move.shape[-1]))


def _taxicab_price(slope: np.ndarray, room: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The slope of the input at which the steepest ones have used up the radius, [batch, rows, 1]; 0 if none."""
    order = np.argsort(-slope, axis=2)
    used = np.take_along_axis(room, order, 2).cumsum(axis=2)
    enough = used >= radius[:, None, None]
    place = np.take_along_axis(order, enough.argmax(axis=2)[..., None], 2)
    price: np.ndarray = np.where(enough.any(axis=2, keepdims=True), np.take_along_axis(slope, place, 2), 0.0)
    return price


def _euclidean_price(slope: np.ndarray, room: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The multiplier m at which moves min(slope / m, room) have the length of the radius, about, [batch, rows, 1]."""
    total = np.maximum(radius, TINY)[:, None, None] ** 2
    squares, limits = slope * slope, room * room
    price = np.sqrt(squares.sum(axis=2, keepdims=True) / total)
    for _ in range(STEPS):
        free = slope <= price * room
        rest = total - (limits.sum(axis=2) - np.einsum("bsn,bsn->bs", limits, free))[..., None]
        better = np.sqrt(np.einsum("bsn,bsn->bs", squares, free)[..., None] / np.maximum(rest, TINY))
        price = np.where(rest > 0.0, better, price)
    return np.maximum(price, TINY)
