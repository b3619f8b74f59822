"""Bounds of every relaxation's input, layer by layer: intervals first, a backward walk only for what stays inexact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from certify.arrays import Array, namespace, to_numpy
from certify.bounds.backward import Rows, backward, rows_of
from certify.bounds.interval import Interval, intersect
from certify.bounds.linear_form import LinearForm
from certify.bounds.quadratic import joint_planes
from certify.bounds.rounding import linear_range, noise, plane_noise
from certify.network.graph import INPUT, Network, Node
from certify.ops.kinds import Linear, Nonlinear, Planes, Relaxation

# Floats that one backward walk may hold per value; more rows are done in several walks. Measured: on a CPU arrays that
# stay in the cache halve the time of convolutional networks against 2**24 and cost nothing elsewhere.
WALK_FLOATS = 2**19
WALK_FLOATS_CUDA = 2**24
# Ranges narrower than this share of the largest value beside them are made of rounding, which walks have more of.
ROUNDING_ONLY = 2.0**-30


@dataclass
class Relaxed:
    """A network with bounds: intervals of the relaxed inputs and the relaxations made from them, by node name.

    noise: by linear node, what rounding does to a walk through it (see `rounding`).
    """

    network: Network
    box: Interval
    intervals: dict[str, Interval] = field(default_factory=dict)
    relaxations: dict[str, Relaxation] = field(default_factory=dict)
    planes: dict[str, Planes] = field(default_factory=dict)
    noise: dict[str, Array] = field(default_factory=dict)

    def relax(self, node: Node, relaxation: Relaxation) -> None:
        """Take up a node's relaxation and plain CROWN's planes of it."""
        self.relaxations[node.name] = relaxation
        self.planes[node.name] = relaxation.planes(relaxation.start())


class BoundRows(Protocol):
    """Lower bounds [batch, rows] of rows, and the form they come from if it is one, given what is relaxed so far."""

    def __call__(self, relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm | None]:
        """Bound the rows."""


def crown_rows(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm]:
    """Plain CROWN: one backward walk with the starting planes."""
    form = backward(relaxed.network, rows, relaxed.planes, noise=relaxed.noise).form
    return form.lower(relaxed.box), form


def intermediate_bounds(
    network: Network,
    box: Interval,
    *,
    known: Mapping[str, Interval] | None = None,
    bound_rows: BoundRows | None = crown_rows,
    forms: dict[str, tuple[np.ndarray, LinearForm]] | None = None,
    only: Mapping[str, np.ndarray] | None = None,
) -> Relaxed:
    """Bound the inputs of all relaxed nodes on each box, in topological order.

    known: bounds that hold already (from a larger box), intersected with. bound_rows: how inexact elements are
    tightened; None leaves intervals. forms: receives, by value name, the flat elements tightened and their form
    (+ rows, then - rows). only: by value name, the flat elements to tighten instead of all inexact ones: [k] for
    all boxes or [batch, k] for each; nothing else is tightened then.
    Raises NumericalError on NaN.
    """
    known, left = known or {}, dict(only or {})
    relaxed = Relaxed(network, box)
    ranges = {INPUT: intersect(box, known[INPUT]) if INPUT in known else box}
    tightened: dict[str, np.ndarray] = {}
    for node in network.nodes:
        if isinstance(node.op, Linear):
            inputs = [ranges[name] for name in node.inputs]
            ranges[node.name] = linear_range(node.op, inputs, network.roundoff)
            found = noise(node.op, inputs, network.roundoff)
            if found is not None:
                relaxed.noise[node.name] = found
            if node.name in known:
                ranges[node.name] = intersect(ranges[node.name], known[node.name])
            continue
        assert isinstance(node.op, Nonlinear)
        mask = _any_of_batch(node.op.inexact(*(ranges[name] for name in node.inputs)))
        for name in dict.fromkeys(node.inputs):
            done = tightened.setdefault(name, np.zeros(mask.shape, dtype=bool))
            worth = mask & ~done
            if only is None and worth.any():
                worth &= _wide(ranges[name])
            index = np.flatnonzero(worth) if only is None else left.pop(name, np.zeros(0, dtype=int))
            if bound_rows is not None and index.size:
                ranges[name] = _tighten(relaxed, name, index, ranges[name], bound_rows, forms)
                done |= mask
            relaxed.intervals[name] = ranges[name].checked(name)
        inputs = [ranges[name] for name in node.inputs]
        relaxed.relax(node, node.op.relax(*inputs))
        joint = None if forms is None else joint_planes(node.op, inputs, node.inputs, box, forms)
        if joint is not None:
            relaxed.planes[node.name] = joint
        if any(name not in relaxed.noise and name != INPUT for name in node.inputs):
            relaxed.noise[node.name] = plane_noise(node.op, inputs)
        ranges[node.name] = Interval(*node.op.interval(*inputs))
        if node.name in known:
            ranges[node.name] = intersect(ranges[node.name], known[node.name])
    return relaxed


def _any_of_batch(mask: Array) -> np.ndarray:
    return to_numpy(mask).any(axis=0).reshape(-1)


def _wide(interval: Interval) -> np.ndarray:
    """Mask [elements]: where a range of some box of the batch is more than rounding."""
    lower, upper = (to_numpy(side).reshape(len(side), -1) for side in interval)
    largest = np.maximum(abs(lower), abs(upper)).max(axis=1, keepdims=True)
    return np.asarray(~(upper - lower <= ROUNDING_ONLY * largest).all(axis=0))


def _tighten(
    relaxed: Relaxed,
    name: str,
    index: np.ndarray,
    interval: Interval,
    bound_rows: BoundRows,
    forms: dict[str, tuple[np.ndarray, LinearForm]] | None,
) -> Interval:
    """The interval with the elements `index`, [k] or [batch, k], bounded from both sides by backward walks."""
    batch = relaxed.box.lower.shape[0]
    network = relaxed.network.cone(name)
    widest = max((int(np.prod(s)) for s in network.shapes.values()), default=1)
    room = WALK_FLOATS_CUDA if network.library.device.startswith("cuda") else WALK_FLOATS
    step = max(1, room // (2 * batch * widest))
    part = replace(relaxed, network=network)
    xp = namespace(interval.lower)
    lower = interval.lower.reshape(batch, -1) + 0.0
    upper = interval.upper.reshape(batch, -1) + 0.0
    for first in range(0, index.shape[-1], step):
        chosen = index[..., first : first + step]
        bounds, form = bound_rows(part, rows_of(network, name, chosen))
        place = (slice(None), chosen) if chosen.ndim == 1 else (np.arange(batch)[:, None], chosen)
        where = place if xp is np else tuple(_on_device(part, like=lower) for part in place)
        count = chosen.shape[-1]
        found = Interval(bounds[:, :count], -bounds[:, count:])
        tight = intersect(Interval(lower[where], upper[where]), found)
        lower[where], upper[where] = tight.lower, tight.upper
        if forms is not None and form is not None:
            forms[name] = (chosen, form) if name not in forms else _join(forms[name], (chosen, form))
    return Interval(lower.reshape(interval.lower.shape), upper.reshape(interval.upper.shape))


def _on_device(index: slice | np.ndarray, like: Array) -> slice | Array:
    """An index array where the array it indexes lives."""
    return index if isinstance(index, slice) else namespace(like).asarray(index, device=like.device)


def _join(a: tuple[np.ndarray, LinearForm], b: tuple[np.ndarray, LinearForm]) -> tuple[np.ndarray, LinearForm]:
    """Two (elements, form) pairs as one, keeping all + rows in front of all - rows."""
    xp = namespace(a[1].offset)
    n, m = len(a[0]), len(b[0])
    pick = lambda x, y: xp.concat((x[:, :n], y[:, :m], x[:, n:], y[:, m:]), axis=1)  # noqa: E731
    return np.concatenate((a[0], b[0])), LinearForm(
        *(pick(first, second) for first, second in zip(a[1], b[1], strict=True))
    )
