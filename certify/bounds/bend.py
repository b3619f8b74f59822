"""Rows that come from products, bounded from below by tangents of their convex part where the row is least.

A backward walk leaves a row as  flat form + t' S t  (see `quadratic`). With any numbers d, v and what they leave, E,

    t' S t  =  sum_k d_k (v_k . t)^2 + t' E t,    d_k (v_k . t)^2  >=  d_k (2 y_k (v_k . t) - y_k^2)  for d_k > 0,

whatever y_k; where d_k < 0, and for E, only their size counts. So neither the eigensolver nor the search for the point
whose y_k = v_k . point are used has to be right: the bound is what follows from what they found.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from certify.bounds.backward import Walk
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.quadratic import Remainder, spread
from certify.bounds.rounding import gamma

# Sweeps of coordinate descent towards the point where a row is least.
SWEEPS = 6


def bend(walk: Walk, relaxed: Relaxed) -> Walk:
    """The walk with better forms for rows that come from products; a row that would not gain keeps its form.

    Requires that the walk kept its weights and went through `relaxed.planes`.
    """
    kept = [(relaxed.planes[name].shift, weight) for name, weight in walk.weights.items()]
    found = [(shift, weight) for shift, weight in kept if isinstance(shift, Remainder)]
    if not found:
        return walk
    box, old = relaxed.box, walk.form
    curves, after = (sum(parts) for parts in zip(*(shift.form(weight) for shift, weight in found), strict=True))
    before = sum(shift(weight) for shift, weight in found)
    share = gamma(old.offset, 2 * len(found))
    error = old.error + share * (abs(old.offset) + abs(before) + abs(after))
    new = _bent(LinearForm(old.coefficient, old.offset + (after - before), error), np.asarray(curves), box)
    better = new.lower(box) > old.lower(box)
    coefficient = np.where(better[:, :, None], new.coefficient, old.coefficient)
    offset, error = (np.where(better, *pair) for pair in zip(new[1:], old[1:], strict=True))
    return replace(walk, form=LinearForm(coefficient, offset, error))


def _bent(flat: LinearForm, curve: np.ndarray, box: Interval) -> LinearForm:
    """A form below  flat + t' S t  on each box, for S = curve [batch, rows, n, n]."""
    radius, share = spread(box), gamma(box.lower, curve.shape[-1] ** 2)
    total = abs(curve).sum(axis=(2, 3))
    curve = np.where(np.isfinite(total)[:, :, None, None], curve, 0.0)
    d, v = np.linalg.eigh(curve)
    column = abs(v).sum(axis=2)
    point = _least_point(flat.coefficient * radius[:, None], curve)
    y = (point[:, :, None] @ v)[:, :, 0]
    up = np.maximum(d, 0.0) * y
    level = (up * y).sum(axis=2)
    slope = 2.0 * (v @ up[..., None])[..., 0]
    slope = np.divide(slope, radius[:, None], out=np.zeros_like(slope), where=radius[:, None] > 0.0)
    move, moved = ((s @ c[..., None])[..., 0] for s, c in ((slope, box.center), (abs(slope), abs(box.center))))
    lost = abs(curve - (v * d[:, :, None]) @ v.swapaxes(2, 3)).sum(axis=(2, 3))
    lost = lost - (np.minimum(d, 0.0) * column * column).sum(axis=2)
    # Where S is not finite, neither is this.
    rounded = total + (abs(d) * column * column + 2.0 * abs(up) * column).sum(axis=2) + level + moved
    error = flat.error + lost + share * (rounded + lost + abs(flat.offset))
    return LinearForm(flat.coefficient + slope, flat.offset - level - move, error)


def _least_point(linear: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """About where  linear . t + t' S t  is least on [-1, 1]^n, [batch, rows, n]: one coordinate after the other."""
    linear = np.broadcast_to(linear, curve.shape[:3])
    point = -np.sign(linear)
    for _ in range(SWEEPS):
        for i in range(linear.shape[2]):
            second = curve[:, :, i, i]
            slope = linear[:, :, i] + 2.0 * ((curve[:, :, i] * point).sum(axis=2) - second * point[:, :, i])
            best = np.divide(-slope, 2.0 * second, out=-np.sign(slope), where=second > 0.0)
            point[:, :, i] = np.clip(best, -1.0, 1.0)
    return point
