"""The input intervals that relaxations are tested on, and the dense grids inside them."""

from __future__ import annotations

from itertools import product

import numpy as np

from certify.ops.curve import Curve
from certify.ops.kinds import Nonlinear
from certify.ops.staircase import Staircase

# (lower, upper): crossing zero, on one side, touching it; degenerate; around the width below which chords are given up;
# saturated; huge and lopsided.
INTERVALS = np.array(
    [(-1.0, 2.0), (-3.0, 0.1), (-0.1, 3.0), (-1.0, 1.0), (-6.0, 5.0), (-0.02, 0.03)]
    + [(0.5, 2.0), (-2.0, -0.5), (0.0, 1.0), (-1.0, 0.0), (0.0, 7.0), (-7.0, 0.0), (0.01, 0.02), (-4.0, -3.9)]
    + [(0.0, 0.0), (0.7, 0.7), (-0.7, -0.7), (30.0, 30.0), (-1e9, -1e9)]
    + [(0.3, 0.3 + 1e-12), (-0.3, -0.3 + 1e-12), (-1e-12, 1e-12), (-1e-12, 0.0), (0.0, 1e-12), (1e3, 1e3 + 1e-12)]
    + [(-1e-300, 1e-300), (-5e-324, 5e-324), (-1e-300, 1.0), (-1.0, 1e-300), (-1e-9, 1.0), (-1.0, 1e-9)]
    + [(c - w / 2, c + w / 2) for c in (-20.0, -0.6, 0.0, 0.3, 20.0) for w in (0.9e-6, 1.1e-6, 1e-5, 1e-4)]
    + [(17.0, 25.0), (-25.0, -17.0), (-40.0, 30.0), (-18.5, 18.6), (18.0, 18.1), (-800.0, 800.0)]
    + [(1e-160, 1e-160), (-1e-3, -5e-324), (1e-200, 1.0), (1e-140, 1e-130), (-1e-130, -1e-140)]
    + [(-1e6, 1e6), (-1e6, 1.0), (-1.0, 1e6), (1e3, 1e6), (-1e6, -1e3), (1e-3, 1e12), (-1e15, 1e15), (-1e150, 1e150)]
)

MODERATE = INTERVALS[(INTERVALS[:, 1] - INTERVALS[:, 0] > 1e-3) & (abs(INTERVALS).max(axis=1) < 10.0)]

# A grid of pairs of these is affordable for functions of two inputs.
FEW = INTERVALS[[0, 1, 4, 6, 7, 8, 9, 14, 15, 16, 19, 21, 25, 46, 56, 57, 59]]

PARAMETERS = np.array([0.0, 1e-12, 0.01, 0.25, 0.5, 0.77, 0.99, 1.0 - 1e-12, 1.0])


def bounds_for(op: Nonlinear, intervals: np.ndarray | None = None) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """For each input of the op (lower, upper), [1, n] each: all combinations of intervals on which the op is finite."""
    if intervals is None:
        intervals = np.concatenate([INTERVALS, _around_places(op)]) if len(op.in_shapes) == 1 else FEW
    combinations = np.array(list(product(intervals, repeat=len(op.in_shapes))))
    found = [(combinations[:, i, 0][None], combinations[:, i, 1][None]) for i in range(len(op.in_shapes))]
    finite = np.isfinite(op.interval(*found)).all(axis=(0, 1))
    return tuple((lower[:, finite], upper[:, finite]) for lower, upper in found)


def grid(op: Nonlinear, bounds: tuple[tuple[np.ndarray, np.ndarray], ...]) -> tuple[np.ndarray, ...]:
    """Points of the boxes, [points, n] for each input: dense, with both ends and zero, denser near all of these; and
    where the function turns, bends or jumps.
    """
    lines = [_line(lower[0], upper[0], dense=len(bounds) == 1) for lower, upper in bounds]
    special = [places + shift for places in _special(op, *bounds[0]) for shift in (0.0, -1e-9, 1e-9, -1e-3, 1e-3)]
    lines[0] = np.concatenate([lines[0], *[np.clip(places, *bounds[0]) for places in special]])
    if len(lines) == 1:
        return (lines[0],)
    pairs = np.array(list(product(range(len(lines[0])), repeat=len(lines))))
    return tuple(line[pairs[:, i]] for i, line in enumerate(lines))


def _around_places(op: Nonlinear) -> np.ndarray:
    """Intervals that begin or end at or near the places where the function turns, bends or jumps, [n, 2]."""
    found = [p.reshape(-1) for p in _special(op, np.array([[-0.7]]), np.array([[0.9]]))]
    places = np.unique(np.concatenate([np.zeros(1), *found]))
    near = [p + s for p in places[abs(places) < 100.0] for s in (0.0, -0.06, 0.06, -1e-9, 1e-9)]
    widths = (1e-9, 1e-3, 1.0, 4.0, 7.0)
    return np.array([pair for p in near for w in widths for pair in ((p, p + w), (p - w, p))])


def _special(op: Nonlinear, lower: np.ndarray, upper: np.ndarray) -> list[np.ndarray]:
    """Places of interest, [1, n] each, not all of them inside."""
    if isinstance(op, Staircase):
        first, last = op.jumps(*op.interval((lower, upper)))
        jumps = [first, np.floor((first + last) / 2.0), last]
        return [np.nextafter(jump, side * np.inf) for jump in jumps for side in (-1.0, 1.0)] + jumps
    if isinstance(op, Curve):
        edges = (*op.concave(lower, upper), *op.convex(lower, upper), *op.turns(lower, upper))
        return [np.nan_to_num(edge + np.zeros_like(lower), posinf=1e300, neginf=-1e300) for edge in edges]
    return []


def _line(lower: np.ndarray, upper: np.ndarray, dense: bool) -> np.ndarray:
    """[points, n]."""
    steps = np.linspace(0.0, 1.0, 1001 if dense else 9)[:, None]
    near = 10.0 ** -np.linspace(1.0, 16.0, 60)[:, None] if dense else np.array([[1e-2], [1e-15]])
    around_zero = 10.0 ** np.linspace(-18.0, 6.0, 481)[:, None] if dense else np.array([[1e-3]])
    width = upper - lower
    zero = np.zeros((1, len(lower)))
    bend = np.linspace(-20.0, 20.0, 801)[:, None] if dense else zero
    corners = np.linspace(-20.0, 20.0, 81)[:, None] if dense else zero
    points = [
        *(jump + side for jump in _jumps(lower, upper) for side in (-1e-9, 0.0, 1e-9)),
        corners + zero - 1e-9,
        corners + zero + 1e-9,
        lower[None],
        upper[None],
        lower + steps * width,
        zero,
        zero + bend,
    ]
    points += [lower + near * width, upper - near * width, zero + around_zero, zero - around_zero]
    return np.clip(np.concatenate(points), lower, upper)


def _jumps(lower: np.ndarray, upper: np.ndarray) -> list[np.ndarray]:
    """The integers and halves next to the ends, [1, n] each: where roundings jump first and last."""
    return [
        np.ceil(lower)[None],
        np.floor(upper)[None],
        np.ceil(lower - 0.5)[None] + 0.5,
        np.floor(upper + 0.5)[None] - 0.5,
    ]
