"""What is left of a box where rows that every unsafe point satisfies, a . x + c <= 0, are taken into account.

Everything rests on weak duality: where a . x + c <= 0, any g . x + b is at least the minimum over the box of
(g + t a) . x + b + t c, for every t >= 0. Which t is tried decides how much is gained, never whether it is true.
"""

import numpy as np

from certify.checker.arithmetic import Array, floats
from certify.checker.bounds import Engine, Form


def clip_box(engine: Engine, lower: Array, upper: Array, form: Form, row: int) -> tuple[Array, Array]:
    """Boxes [batch, n] without what one row of the form proves safe; lower > upper where nothing is left.

    x_j is bounded by what the other terms leave at their least:  a_j x_j <= -(c + sum of the others' minima).
    """
    numbers = engine.numbers
    a, c = np.broadcast_to(form.coefficient[:, row], lower.shape), form.offset[:, row]
    least = np.where(a >= 0, a * lower, a * upper)
    magnitude = np.maximum(abs(a * lower), abs(a * upper)).sum(axis=1) + abs(c)
    share = numbers.share(4 * lower.shape[1])
    room = -(least.sum(axis=1) + c) + share * magnitude + numbers.tiny
    with np.errstate(all="ignore"):
        # Terms that are far below the others would lose everything in the division.
        usable = abs(a) > numbers.scalar(1e-100)
        limit = (room[:, None] + least) / np.where(usable, a, a * 0 + 1)
    slack = share * np.maximum(abs(lower), abs(upper)) + share * abs(limit) + numbers.tiny
    low = np.where(usable & (a < 0), np.maximum(lower, limit - slack), lower)
    return low, np.where(usable & (a > 0), np.minimum(upper, limit + slack), upper)


def joint(engine: Engine, lower: Array, upper: Array, form: Form, rows: list[int]) -> np.ndarray:
    """[batch] mask: no point of the box makes all these rows <= 0 at once.

    The best row first, the others added one after the other, each by as much as helps most.
    """
    batch = len(lower)
    a = np.broadcast_to(form.coefficient[:, rows], (batch, len(rows), lower.shape[1]))
    c = np.broadcast_to(form.offset[:, rows], (batch, len(rows)))
    center, radius = floats(lower + upper) / 2, floats(upper - lower) / 2
    thin, level = floats(a), floats(c)
    bound = (thin * center[:, None] - abs(thin) * radius[:, None]).sum(axis=2) + level
    weights = np.zeros((batch, len(rows)))
    first, every = bound.argmax(axis=1), np.arange(batch)
    weights[every, first] = 1.0
    g = thin[every, first]
    for k in range(len(rows)):
        t = best_multiplier(g, thin[:, k], level[:, k], center, radius)
        t = np.where((first != k) & np.isfinite(t), t, 0.0)
        weights[:, k] += t
        g = g + t[:, None] * thin[:, k]
    return combined(engine, lower, upper, Form(a, c), weights) > 0


def combined(engine: Engine, lower: Array, upper: Array, form: Form, weights: np.ndarray) -> Array:
    """The least value, [batch], of the rows added up with weights >= 0, [batch, rows], rounding taken off."""
    numbers = engine.numbers
    weight = numbers.array(weights)
    g = (weight[:, :, None] * form.coefficient).sum(axis=1)
    b = (weight * form.offset).sum(axis=1)
    reach = np.maximum(abs(lower), abs(upper))
    size = (weight[:, :, None] * abs(form.coefficient)).sum(axis=1)
    size = (size * reach).sum(axis=1) + (weight * abs(form.offset)).sum(axis=1)
    least = engine.least(Form(g[:, None], b[:, None]), lower, upper)[:, 0]
    return least - numbers.share(lower.shape[1] + 2 * weights.shape[1]) * size - numbers.tiny


def within(engine: Engine, lower: Array, upper: Array, form: Form, a: Array, c: Array) -> Array:
    """Lower bounds [rows] of a form's rows on one box [inputs] where  a . x + c <= 0."""
    g, b = form.coefficient[0], form.offset[0]
    center, radius = floats(lower + upper) / 2, floats(upper - lower) / 2
    shape = g.shape
    every = [np.broadcast_to(v, shape) for v in (floats(a), center, radius)]
    t = best_multiplier(floats(g), every[0], np.full(len(g), float(c)), *every[1:])
    weights = np.stack([np.ones(len(g)), np.where(np.isfinite(t), t, 0.0)], axis=1)
    both = Form(np.stack([g, np.broadcast_to(a, shape)], axis=1), np.stack([b, np.broadcast_to(c, b.shape)], axis=1))
    return combined(engine, lower[None], upper[None], both, weights)


def best_multiplier(g: np.ndarray, a: np.ndarray, c: np.ndarray, center: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The t >= 0 for which the minimum over the box of (g + t a) . x + t c is largest, [pairs]; inf if there is none.

    The minimum is concave and piecewise linear in t with turns at -g_j / a_j: sorted, they give the largest exactly.
    """
    sign = np.where(g > 0.0, 1.0, np.where(g < 0.0, -1.0, np.sign(a)))
    slope = (a * (center - sign * radius)).sum(axis=1) + c
    with np.errstate(all="ignore"):
        turn = np.where(g * a < 0.0, -g / a, np.inf)
    order = turn.argsort(axis=1)
    drop = np.where(np.isfinite(turn), 2.0 * abs(a) * radius, 0.0)
    place = (np.take_along_axis(drop, order, axis=1).cumsum(axis=1) < slope[:, None]).sum(axis=1)
    every, last = np.arange(len(turn)), turn.shape[1]
    found = turn[every, order[every, np.minimum(place, last - 1)]]
    return np.where(slope <= 0.0, 0.0, np.where(place < last, found, np.inf))
