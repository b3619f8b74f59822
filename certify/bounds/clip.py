"""Clipping (Clip-and-Verify, Chen et al. 2025): what one linear constraint, a . x + c <= 0, leaves of a box.

Two uses of the same fact. Relaxed clipping shrinks the box itself, closed form per input. Complete clipping bounds
other linear forms over box and constraint together: with a multiplier t >= 0

    g . x + b  >=  max over t of  min over the box of  (g + t a) . x + b + t c,

concave and piecewise linear in t with breakpoints -g_j / a_j, so that sorting them gives the exact maximum.
"""

from __future__ import annotations

import numpy as np

from certify.bounds.rounding import gamma

# Elements of one sort; more pairs are done in several.
PAIR_FLOATS = 2**20


def clip_box(lower: np.ndarray, upper: np.ndarray, index: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Shrink boxes `index` in place to a superset of { x : a . x + b <= 0 }. a: [len(index), n]; b: [len(index)].

    Everything is rounded outward by a share of the terms' magnitude, far above what these few sums lose.
    """
    low, high = lower[index], upper[index]
    least = np.where(a >= 0.0, a * low, a * high)
    magnitude = np.maximum(abs(a * low), abs(a * high)).sum(axis=1) + abs(b)
    room = -(least.sum(axis=1) + b - 2.0**-36 * magnitude)
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = (room[:, None] + least) / a
    slack = 2.0**-36 * np.maximum(abs(low), abs(high))
    upper[index] = np.where(a > 0.0, np.fmin(high, limit + slack), high)
    lower[index] = np.where(a < 0.0, np.fmax(low, limit - slack), low)


def clip_forms(
    g: np.ndarray, b: np.ndarray, a: np.ndarray, c: np.ndarray, center: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Lower bounds [boxes, forms] of  g_i . x + b_i  over each box and its constraint  a . x + c <= 0.

    g: [forms, n]; b: [forms]; a, center, radius: [boxes, n]; c: [boxes]. Any error of b and c must be in them already;
    the rounding of the sums made here is taken off. -inf where the constraint cannot help, so that nothing is lost.
    """
    found = np.full((len(a), len(g)), -np.inf)
    # How the constraint stands at each form's own minimiser: it only helps where it is violated there.
    stands = c[:, None] + (a * center).sum(axis=1)[:, None] - (a * radius) @ np.sign(g).T
    box, form = np.nonzero(stands > 0.0)
    reach = abs(center) + radius
    size_g = np.einsum("bn,fn->bf", reach, abs(g)) + abs(b)
    size_a = (abs(a) * reach).sum(axis=1) + abs(c)
    share = gamma(g, g.shape[1])
    step = max(1, PAIR_FLOATS // g.shape[1])
    for first in range(0, len(box), step):
        i, f = box[first : first + step], form[first : first + step]
        t = best_multiplier(g[f], a[i], c[i], center[i], radius[i])
        t = np.where(np.isfinite(t), t, 0.0)
        moved = g[f] + t[:, None] * a[i]
        bound = (moved * center[i] - abs(moved) * radius[i]).sum(axis=1) + b[f] + t * c[i]
        found[i, f] = bound - share * (size_g[i, f] + t * size_a[i])
    return found


def joint_bound(a: np.ndarray, c: np.ndarray, has: np.ndarray, center: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """A lower bound, [boxes], that is positive only where no point of the box makes all  a_k . x + c_k <= 0  at once.

    a: [boxes, rows, n]; c: [boxes, rows], any error of them taken off; has: [boxes, rows] mask of rows that exist. By
    weak duality the minimum of any combination of rows with weights >= 0 will do: the best row first, the others added
    one after the other, each by as much as helps most. Weights sum to one, so that a positive bound keeps its unit.
    """
    every = np.arange(len(a))
    low = np.where(has, (a * center[:, None] - abs(a) * radius[:, None]).sum(axis=2) + c, -np.inf)
    first = low.argmax(axis=1)
    g, b, weight = a[every, first], c[every, first], np.ones(len(a))
    reach = abs(center) + radius
    size = (abs(a) * reach[:, None]).sum(axis=2) + abs(c)
    total = size[every, first]
    for k in range(a.shape[1]):
        t = best_multiplier(g, a[:, k], c[:, k], center, radius)
        t = np.where(has[:, k] & (first != k) & np.isfinite(t), t, 0.0)
        g, b = g + t[:, None] * a[:, k], b + t * c[:, k]
        weight, total = weight + t, total + t * size[:, k]
    bound = (g * center - abs(g) * radius).sum(axis=1) + b
    return (bound - gamma(a, a.shape[2] + 2 * a.shape[1]) * total) / weight


def best_multiplier(g: np.ndarray, a: np.ndarray, c: np.ndarray, center: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The t >= 0 that maximises  min over the box of (g + t a) . x + t c;  inf where that grows for ever. [pairs]

    g, a, center, radius: [pairs, n]; c: [pairs].
    """
    sign = np.where(g > 0.0, 1.0, np.where(g < 0.0, -1.0, np.sign(a)))
    slope = (a * (center - sign * radius)).sum(axis=1) + c
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.where(g * a < 0.0, -g / a, np.inf)
    order = turn.argsort(axis=1)
    drop = np.take_along_axis(np.where(np.isfinite(turn), 2.0 * abs(a) * radius, 0.0), order, axis=1).cumsum(axis=1)
    place = (drop < slope[:, None]).sum(axis=1)
    every = np.arange(len(turn))
    found = turn[every, order[every, np.minimum(place, turn.shape[1] - 1)]]
    return np.where(slope <= 0.0, 0.0, np.where(place < turn.shape[1], found, np.inf))
