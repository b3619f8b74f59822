"""Where an edited model provably equals the original: every weight that differs is out of use there.

A weight is out of use on a region if the value it multiplies is zero there, or if what it adds to goes into a rectifier
that is off, in both models. Layer by layer, all other values are then equal, so that the outputs are: exactly, over the
real numbers.
"""

from __future__ import annotations

import numpy as np

from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.network.graph import Network, Node
from certify.ops.dense import Dense
from certify.ops.relu import Relu
from certify.quantities.ranges import batches


def equal_on(original: Network, edited: Network, box: Interval) -> np.ndarray:
    """Mask [boxes]: where the two networks are proven to be the same function; box: [boxes, n_inputs]."""
    pairs = _matched(original, edited)
    if pairs is None:
        return np.zeros(len(box.lower), dtype=bool)
    return np.concatenate([_equal_on(original, edited, pairs, part) for part in batches(original, box)])


def _matched(original: Network, edited: Network) -> list[tuple[Node, Node]] | None:
    """The nodes of both whose parameters differ; None where the networks are built differently."""
    if len(original.nodes) != len(edited.nodes) or original.n_inputs != edited.n_inputs:
        return None
    place = [{node.name: number for number, node in enumerate(network.nodes)} for network in (original, edited)]
    differing = []
    for ours, theirs in zip(original.nodes, edited.nodes, strict=True):
        reads = [
            [numbers.get(name, -1) for name in node.inputs] for numbers, node in zip(place, (ours, theirs), strict=True)
        ]
        same_kind = type(ours.op) is type(theirs.op) and ours.op.in_shapes == theirs.op.in_shapes
        if not same_kind or ours.op.out_shape != theirs.op.out_shape or reads[0] != reads[1]:
            return None
        if not _same(ours, theirs):
            if not isinstance(ours.op, Dense):
                return None
            differing.append((ours, theirs))
    return differing if place[0][original.output] == place[1][edited.output] else None


def _same(ours: Node, theirs: Node) -> bool:
    """Whether two ops of one kind have the same parameters."""
    first, second = vars(ours.op), vars(theirs.op)
    names = set(type(ours.op).__dataclass_fields__)
    return all(_equal(first[name], second[name]) for name in names)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    return bool(a == b)


def _equal_on(original: Network, edited: Network, pairs: list[tuple[Node, Node]], box: Interval) -> np.ndarray:
    bounds = [intermediate_bounds(network, box) for network in (original, edited)]
    found = np.ones(len(box.lower), dtype=bool)
    for ours, theirs in pairs:
        f, g = ours.op, theirs.op
        assert isinstance(f, Dense) and isinstance(g, Dense)
        nodes = list(zip(bounds, (ours, theirs), strict=True))
        off = _off(*nodes[0], len(box.lower)) & _off(*nodes[1], len(box.lower))
        idle = _zero(*nodes[0], len(box.lower)) & _zero(*nodes[1], len(box.lower))
        changed = f.weight != g.weight
        used = (changed & ~idle[:, None, :]).any(axis=2) | (_shift(f) != _shift(g))
        found &= ~(used & ~off).any(axis=1)
    return found


def _off(relaxed: Relaxed, node: Node, count: int) -> np.ndarray:
    """Mask [boxes, outputs]: what all readers make zero, being rectifiers."""
    assert isinstance(node.op, Dense)
    size, readers = len(node.op.weight), relaxed.network.consumers[node.name]
    plain = all(isinstance(reader.op, Relu) and reader.op.negative_slope == 0.0 for reader in readers)
    if node.name == relaxed.network.output or not readers or not plain or _positions(node) != 1:
        return np.zeros((count, size), dtype=bool)
    mask: np.ndarray = relaxed.intervals[node.name].upper.reshape(count, size) <= 0.0
    return mask


def _zero(relaxed: Relaxed, node: Node, count: int) -> np.ndarray:
    """Mask [boxes, inputs]: the values that rectifiers made zero."""
    assert isinstance(node.op, Dense)
    size, before = node.op.weight.shape[1], relaxed.network.by_name.get(node.inputs[0])
    if before is None or not isinstance(before.op, Relu) or before.op.negative_slope != 0.0 or _positions(node) != 1:
        return np.zeros((count, size), dtype=bool)
    mask: np.ndarray = relaxed.intervals[before.inputs[0]].upper.reshape(count, size) <= 0.0
    return mask


def _positions(node: Node) -> int:
    """To how many vectors the matrix is applied."""
    assert isinstance(node.op, Dense)
    return int(np.prod(node.op.out_shape)) // len(node.op.weight)


def _shift(op: Dense) -> np.ndarray:
    return np.zeros(len(op.weight)) if op.shift is None else np.broadcast_to(op.shift, (len(op.weight),))
