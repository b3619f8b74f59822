"""Bounds of every relaxation's input, layer by layer: intervals first, a backward walk only for what stays inexact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from certify.arrays import Array, namespace, to_numpy
from certify.bounds.backward import Rows, backward, rows_of
from certify.bounds.ball import Ball
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

    noise: by linear node, what rounding does to a walk through it (see `rounding`). ball: where the inputs lie in one,
    the box being around it.
    """

    network: Network
    box: Interval
    intervals: dict[str, Interval] = field(default_factory=dict)
    relaxations: dict[str, Relaxation] = field(default_factory=dict)
    planes: dict[str, Planes] = field(default_factory=dict)
    noise: dict[str, Array] = field(default_factory=dict)
    ball: Ball | None = None

    def least(self, form: LinearForm) -> Array:
        """The smallest value of a form over the inputs, [batch, rows], rounding taken off."""
        return form.lower(self.box) if self.ball is None else self.ball.lower(form)

    def lowest(self, form: LinearForm) -> Array:
        """An input for each row where the form is about that, [batch, rows, n_inputs]."""
        return form.minimiser(self.box) if self.ball is None else self.ball.minimiser(form)

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
    return relaxed.least(form), form


def intermediate_bounds(
    network: Network,
    box: Interval,
    *,
    known: Mapping[str, Interval] | None = None,
    bound_rows: BoundRows | None = crown_rows,
    forms: dict[str, tuple[np.ndarray, LinearForm]] | None = None,
    only: Mapping[str, np.ndarray] | None = None,
    needed: Mapping[str, np.ndarray] | None = None,
    finished: dict[tuple[str, str], Interval] | None = None,
    whole: bool = False,
    ball: Ball | None = None,
) -> Relaxed:
    """Bound the inputs of all relaxed nodes on each box, in topological order.

    known: bounds that hold already (from a larger box), intersected with. bound_rows: how inexact elements are
    tightened; None leaves intervals. forms: receives, by value name, the flat elements tightened and their form
    (+ rows, then - rows). only: by value name, the flat elements to tighten instead of all inexact ones: [k] for
    all boxes or [batch, k] for each; nothing else is tightened then. needed: by value name, the flat mask of elements
    that are worth it (`needed_for`). finished: receives what was tightened, and what is in it is not tightened again:
    so that a call which `bound_rows` broke off can be taken up. whole: whether all walks must begin at the relaxed
    values and go through all that they depend on, as they do where forms or only are given. ball: what the box is
    around, if the inputs are in balls.
    Raises NumericalError on NaN.
    """
    known, left = known or {}, dict(only or {})
    whole = whole or forms is not None or only is not None
    relaxed = Relaxed(network, box, ball=ball)
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
        inexact = node.op.inexact(*(ranges[name] for name in node.inputs))
        mask = _any_of_batch(inexact)
        for name in dict.fromkeys(node.inputs):
            # What is only selected from another value is bounded there, once.
            source, places = (name, None) if whole else network.origin(name)
            if bound_rows is None or (source == INPUT and forms is None):
                index = np.zeros(0, dtype=int)
            elif only is not None:
                index = left.pop(name, np.zeros(0, dtype=int))
            else:
                worth = mask if needed is None else mask & needed[name]
                worth = worth & _wide(ranges[name]) if worth.any() else worth
                done = tightened.setdefault(source, np.zeros(int(np.prod(network.shapes[source])), dtype=bool))
                index = _not_yet(worth, places, done)
            step = node.name, source
            if finished is not None and step in finished:
                ranges[source] = intersect(ranges[source], finished[step])
            elif bound_rows is not None and index.size:
                before = ranges[source]
                ranges[source] = _tighten(relaxed, source, index, before, bound_rows, forms, whole)
                if only is None and places is None and len(box.lower) > 1:
                    ranges[source] = _chosen(inexact, ranges[source], before)
                if finished is not None:
                    finished[step] = ranges[source]
            if places is not None:
                ranges[name] = intersect(ranges[name], _selected(ranges[source], places, network.shapes[name]))
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


def needed_for(network: Network, rows: Rows) -> dict[str, np.ndarray]:
    """By name of each value, the flat mask of the elements that these rows may depend on."""
    waiting = {name: abs(part).sum(axis=(0, 1)) for name, part in rows.coefficients.items()}
    found = {}
    for node in reversed(network.nodes):
        if node.name not in waiting:
            found[node.name] = np.zeros(int(np.prod(node.op.out_shape)), dtype=bool)
            continue
        weight = waiting.pop(node.name)
        # One again, as sums over many layers would overflow.
        weight = namespace(weight).where(weight > 0.0, namespace(weight).ones_like(weight), 0.0 * weight)
        found[node.name] = to_numpy(weight > 0.0).reshape(-1)
        parts = node.op.magnitude.adjoint(weight) if isinstance(node.op, Linear) else (weight,) * len(node.inputs)
        for name, part in zip(node.inputs, parts, strict=True):
            waiting[name] = waiting[name] + part if name in waiting else part
    return found


def _not_yet(mask: np.ndarray, places: np.ndarray | None, done: np.ndarray) -> np.ndarray:
    """The flat elements that the masked ones are selected from, those done left out; all are done then."""
    index = np.flatnonzero(mask)
    index = index if places is None else np.unique(places[index])
    index = index[~done[index]]
    done[index] = True
    return index


def _selected(interval: Interval, places: np.ndarray, shape: tuple[int, ...]) -> Interval:
    """The flat elements `places` of an interval, [batch, *shape]."""
    flat = (side.reshape(side.shape[0], -1) for side in interval)
    return Interval(*(side[:, _on_device(places, like=side)].reshape(-1, *shape) for side in flat))


def _any_of_batch(mask: Array) -> np.ndarray:
    return to_numpy(mask).any(axis=0).reshape(-1)


def _chosen(mask: Array, now: Interval, before: Interval) -> Interval:
    """What was found where a box itself asked for it, as before elsewhere.

    What is known of a box must not depend on who shares its batch: a checker goes through other batches.
    """
    where, mask = namespace(now.lower).where, mask.reshape(now.lower.shape)
    return Interval(where(mask, now.lower, before.lower), where(mask, now.upper, before.upper))


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
    whole: bool,
) -> Interval:
    """The interval with the elements `index`, [k] or [batch, k], bounded from both sides by backward walks."""
    batch = relaxed.box.lower.shape[0]
    network = relaxed.network.cone(name)
    room = (WALK_FLOATS_CUDA if network.library.device.startswith("cuda") else WALK_FLOATS) // batch
    lower = interval.lower.reshape(batch, -1) + 0.0
    upper = interval.upper.reshape(batch, -1) + 0.0
    pieces: Iterable[tuple[Relaxed, np.ndarray, np.ndarray]] = [(replace(relaxed, network=network), index, index)]
    if not whole and network.convolves:
        from certify.bounds.tiles import tiles

        pieces = tiles(replace(relaxed, network=network), index, room)
    for part, inside, outside in pieces:
        widest = max((int(np.prod(s)) for s in part.network.shapes.values()), default=1)
        step = max(1, room // (2 * widest))
        for first in range(0, inside.shape[-1], step):
            chosen = inside[..., first : first + step]
            bounds, form = bound_rows(part, rows_of(part.network, part.network.output, chosen))
            chosen = outside[..., first : first + step]
            place = (slice(None), chosen) if chosen.ndim == 1 else (np.arange(batch)[:, None], chosen)
            where = tuple(_on_device(axis, like=lower) for axis in place)
            count = chosen.shape[-1]
            found = Interval(bounds[:, :count], -bounds[:, count:])
            tight = intersect(Interval(lower[where], upper[where]), found)
            lower[where], upper[where] = tight.lower, tight.upper
            if forms is not None and form is not None:
                forms[name] = (chosen, form) if name not in forms else _join(forms[name], (chosen, form))
    return Interval(lower.reshape(interval.lower.shape), upper.reshape(interval.upper.shape))


def _on_device(index: slice | np.ndarray, like: Array) -> slice | Array:
    """An index array where the array it indexes lives."""
    if isinstance(index, slice) or isinstance(like, np.ndarray):
        return index
    return namespace(like).asarray(index, device=like.device)


def _join(a: tuple[np.ndarray, LinearForm], b: tuple[np.ndarray, LinearForm]) -> tuple[np.ndarray, LinearForm]:
    """Two (elements, form) pairs as one, keeping all + rows in front of all - rows."""
    xp = namespace(a[1].offset)
    n, m = len(a[0]), len(b[0])
    pick = lambda x, y: xp.concat((x[:, :n], y[:, :m], x[:, n:], y[:, m:]), axis=1)  # noqa: E731
    return np.concatenate((a[0], b[0])), LinearForm(
        *(pick(first, second) for first, second in zip(a[1], b[1], strict=True))
    )
