"""Domains with constraints on hidden values: the relaxation that follows, and the two children of a split.

A constraint says on which side of a point a value lies. For rectifiers the point is the kink, so that a sign is all
there is to remember; what feeds any other nonlinear op may be cut anywhere, again and again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from certify.arrays import Array, Library, namespace
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.bounds.optimise import Split
from certify.network.graph import Network, Node
from certify.ops.kinds import Elementwise
from certify.ops.relu import Relu
from certify.search.domain import Domains, wide


class Place(NamedTuple):
    """A nonlinear node and the one of its inputs that is split."""

    node: Node
    value: str


def places(network: Network) -> tuple[Place, ...]:
    """Everything that can be split, in topological order; splits are named by their number in this list."""
    return tuple(Place(node, value) for node in network.nonlinear for value in dict.fromkeys(node.inputs))


def split_anywhere(network: Network) -> list[str]:
    """The values that feed something else than rectifiers."""
    return list(dict.fromkeys(place.value for place in places(network) if not isinstance(place.node.op, Relu)))


def relaxed_under_signs(root: Relaxed, domains: Domains) -> Relaxed:
    """The relaxation of every domain, from its own hidden bounds where it has some and the root's elsewhere."""
    network, library = root.network, root.network.library
    own = domains.lower.shape[1] > 0
    box = Interval(library.put(domains.lower), library.put(domains.upper)) if own else root.box
    relaxed = Relaxed(network, box, noise=root.noise)
    for name, interval in root.intervals.items():
        if name in domains.hidden:
            interval = Interval(*map(library.put, wide(domains.hidden[name])))
        # Hidden bounds of what may be cut anywhere are cut already.
        signs = None if name in domains.points else domains.signs.get(name)
        relaxed.intervals[name] = with_signs(interval, signs, len(domains))
    for node in network.nonlinear:
        relaxed.relax(node, node.nonlinear_op.relax(*(relaxed.intervals[name] for name in node.inputs)))
    return relaxed


def with_signs(interval: Interval, signs: np.ndarray | None, batch: int) -> Interval:
    """Bounds [1, *shape] repeated over the batch and cut at zero where a sign is fixed."""
    xp = namespace(interval.lower)
    shape = (batch, *interval.lower.shape[1:])
    lower, upper = xp.broadcast_to(interval.lower, shape), xp.broadcast_to(interval.upper, shape)
    if signs is None:
        return Interval(lower, upper)
    sign: Array = signs if xp is np else xp.asarray(signs, device=lower.device)
    zero = xp.zeros_like(lower)
    low = xp.where((sign > 0) & (lower < 0.0), zero, lower)
    high = xp.where((sign < 0) & (upper > 0.0), zero, upper)
    # Where the sign contradicts the bounds nothing is left, and zero is as good as any value.
    return Interval(xp.where((sign < 0) & (low > high), zero, low), xp.where((sign > 0) & (low > high), zero, high))


def as_splits(domains: Domains, library: Library) -> dict[str, Split]:
    """The constraints on the values of which some element is constrained in some domain."""
    found = {}
    for value, sign in domains.signs.items():
        if sign.any():
            point = domains.points.get(value)
            point = None if point is None else library.put(point.astype(np.float64))
            found[value] = Split(library.put(sign.astype(np.float64)), point)
    return found


def split_points(network: Network, domains: Domains, number: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Where to split flat `element` of place `number` in each domain, [batch], in float32: 0 for rectifiers."""
    points = np.zeros(len(domains), dtype=np.float32)
    for n, (node, value) in enumerate(places(network)):
        mine = np.flatnonzero(number == n)
        if len(mine) and not isinstance(node.op, Relu):
            low, high = (side.reshape(len(domains), -1)[mine, element[mine]] for side in wide(domains.hidden[value]))
            point = node.op.split_point(low, high) if isinstance(node.op, Elementwise) else (low + high) / 2.0
            points[mine] = point
    return points


def sign_children(
    network: Network, domains: Domains, number: np.ndarray, element: np.ndarray, point: np.ndarray | None = None
) -> Domains:
    """Both children of each domain, one after the other: value >= point first, value <= point second.

    number: [batch] of the place that is split (see `places`); element: [batch] flat, of its value; point: [batch], 0
    by default.
    """
    twice = domains.select(np.repeat(np.arange(len(domains)), 2))
    signs = {v: s.copy() for v, s in twice.signs.items()}
    hidden, points, multipliers = dict(twice.hidden), dict(twice.points), dict(twice.multipliers)
    for n in sorted(set(number.tolist())):
        mine = np.flatnonzero(number == n)
        value, at = places(network)[n].value, element[mine]
        flat = signs[value].reshape(len(twice), -1)
        flat[2 * mine, at], flat[2 * mine + 1, at] = 1, -1
        if value in points:
            assert point is not None
            lower, upper = (side.copy() for side in hidden[value])
            for array, row in ((lower, 2 * mine), (upper, 2 * mine + 1)):
                array.reshape(len(twice), -1)[row, at] = point[mine]
            hidden[value] = Interval(lower, upper)
            points[value] = points[value].copy()
            if value in multipliers:
                multipliers[value] = multipliers[value].copy()
            for row in (2 * mine, 2 * mine + 1):
                points[value].reshape(len(twice), -1)[row, at] = point[mine]
                # What was learned of the constraint before, another point or the other side, does not fit this one.
                if value in multipliers:
                    multipliers[value].reshape(*multipliers[value].shape[:2], -1)[row, :, at] = 0.0
    return replace(twice, signs=signs, hidden=hidden, points=points, multipliers=multipliers, depth=twice.depth + 1)
