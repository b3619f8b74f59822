"""The network over one box as a few matrices between its open rectifiers, for work whose rounding does not matter.

A rectifier that is stable on the box is linear there, so everything between two open ones is one matrix. In networks
with convolutions few rectifiers stay open, and walks through these matrices cost a fraction of the walks through all
layers. (Merging stable neurons is what nnenum and others do for reachability; here it only serves to find parameters,
which are then evaluated on the network itself.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from certify.arrays import Array, namespace, single, to_numpy
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.network.graph import INPUT, Network, Node
from certify.ops.conv import Conv
from certify.ops.dense import Dense, product
from certify.ops.kinds import Linear
from certify.ops.relu import Relu

# Columns that are composed at once.
CHUNK = 256
# A product of matrices does its multiplications so many times as fast as a convolution, and as a matrix layer with all
# that happens in between.
FASTER_THAN_CONV = 6.0
FASTER_THAN_DENSE = 0.6


@dataclass(frozen=True, eq=False)
class Affine(Linear):
    """y = sum_i A_i x_i + b over flat values: weights [n_out, n_i] each, shift [n_out]. Not an ONNX operator."""

    weights: tuple[Array, ...] = ()
    shift: Array | None = None

    @property
    def bias(self) -> Array | None:
        """b."""
        return self.shift

    @property
    def terms(self) -> int:
        """The longest row or column."""
        return max(self.out_shape[0], sum(weight.shape[1] for weight in self.weights))

    def linear(self, *xs: Array) -> Array:
        """sum_i A_i x_i, one matrix product each over all leading axes."""
        return sum(product(x, weight.T) for x, weight in zip(xs, self.weights, strict=True))

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """A_i^T y."""
        return tuple(product(y, weight) for weight in self.weights)

    def absolute(self) -> Affine:
        """|A_i|."""
        return Affine(self.in_shapes, self.out_shape, tuple(abs(weight) for weight in self.weights))


@dataclass(frozen=True)
class Condensed:
    """whole: the bounds it was made from, batch 1; relaxed: the same ones in the condensed network.

    The condensed network is in float32 and takes u in [-1, 1], with which x = center + radius * u. Rectifiers and their
    inputs keep their names; index: by either name, the flat elements that are left.
    """

    whole: Relaxed
    relaxed: Relaxed
    index: dict[str, np.ndarray]

    def gather(self, name: str, array: Array) -> Array:
        """[*leading, *shape] -> [*leading, open elements]."""
        return _flat(array, self.whole.network.shapes[name])[..., self._place(name, array)]

    def scatter(self, name: str, part: Array, into: Array) -> Array:
        """[*leading, *shape]: a copy of `into`, which may be broadcast to it, with [*leading, open elements] put in."""
        xp, shape = namespace(part), (*part.shape[:-1], *self.whole.network.shapes[name])
        into = xp.broadcast_to(xp.asarray(into, dtype=part.dtype), shape)
        flat = _flat(xp.asarray(into, copy=True), self.whole.network.shapes[name])
        flat[..., self._place(name, part)] = part
        return flat.reshape(shape)

    def inputs(self, unit: np.ndarray) -> np.ndarray:
        """Points [..., n_inputs] of the box of the network itself, in float64."""
        return to_numpy(self.whole.box.center)[0] + to_numpy(self.whole.box.radius)[0] * unit

    def _place(self, name: str, like: Array) -> Any:
        index = self.index[name]
        return index if isinstance(like, np.ndarray) else namespace(like).asarray(index, device=like.device)


def _flat(array: Array, shape: tuple[int, ...]) -> Array:
    return array.reshape((*array.shape[: array.ndim - len(shape)], -1))


def condense(whole: Relaxed) -> Condensed | None:
    """None if other nonlinear ops than rectifiers occur, or if nothing would be saved. whole: batch 1."""
    network, intervals = whole.network, whole.intervals
    nodes = network.nonlinear
    if not nodes or not all(isinstance(node.op, Relu) for node in nodes):
        return None
    index = {n.name: _open(n, intervals) for n in nodes}
    ends = np.cumsum([network.n_inputs, *(len(index[n.name]) for n in nodes)])
    counts = np.diff(ends)
    work = float((counts * ends[:-1]).sum() + network.n_outputs * ends[-1])
    if work > _worth(network) or not counts.all() or network.output in index:
        return None
    index |= {n.inputs[0]: index[n.name] for n in nodes}
    matrices = _compose(network.single, intervals, index, ends)
    center, radius = (to_numpy(part)[0] for part in (whole.box.center, whole.box.radius))
    for matrix in matrices.values():
        matrix[-1] += center @ matrix[: network.n_inputs]
        matrix[: network.n_inputs] *= radius[:, None]
    small = _built(network, matrices, index, ends)
    one = np.ones((1, network.n_inputs))
    condensed = Condensed(whole, Relaxed(small, Interval(*map(small.library.put, (-one, one)))), index)
    for node in small.nonlinear:
        value = node.inputs[0]
        interval = Interval(*(single(condensed.gather(value, side)) for side in intervals[value]))
        condensed.relaxed.intervals[value] = interval
        condensed.relaxed.relax(node, node.nonlinear_op.relax(interval))
    return condensed


def _open(node: Node, intervals: dict[str, Interval]) -> np.ndarray:
    return np.flatnonzero(to_numpy(node.nonlinear_op.inexact(intervals[node.inputs[0]]))[0])


def _worth(network: Network) -> float:
    """Multiplications of a condensed network that would take as long as this one's."""
    total = 0.0
    for node in network.nodes:
        if isinstance(node.op, Conv):
            total += FASTER_THAN_CONV * np.prod(node.op.out_shape) * np.prod(node.op.weight.shape[1:])
        elif isinstance(node.op, Dense):
            total += FASTER_THAN_DENSE * np.prod(node.op.weight.shape)
    return float(total)


def _compose(
    network: Network, intervals: dict[str, Interval], index: dict[str, np.ndarray], ends: np.ndarray
) -> dict[str, np.ndarray]:
    """Of every rectifier's input and the output, by name: [columns + 1, elements], columns being the input and then the
    open rectifiers in order, with the constant last.
    """
    first = {node.name: int(end) for node, end in zip(network.nonlinear, ends[:-1], strict=True)}
    wanted = {node.inputs[0] for node in network.nonlinear} | {network.output}
    stable = {}
    for node in network.nonlinear:
        assert isinstance(node.op, Relu)
        slope = np.where(to_numpy(intervals[node.inputs[0]].lower) >= 0.0, 1.0, node.op.negative_slope)[0]
        slope.reshape(-1)[index[node.name]] = 0.0
        stable[node.name] = network.library.put(slope)
    columns = int(ends[-1]) + 1
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for start in range(0, columns, CHUNK):
        here = np.arange(start, min(start + CHUNK, columns))
        values = {INPUT: network.library.put((here[:, None] == np.arange(network.n_inputs)).astype(np.float32))}
        for node in network.nodes:
            arguments = [values[name] for name in node.inputs]
            if isinstance(node.op, Linear):
                value = node.op.linear(*arguments)
                if node.op.bias is not None and here[-1] == columns - 1:
                    value[-1] += node.op.bias
            else:
                unit = np.zeros((len(here), int(np.prod(node.op.out_shape))), dtype=np.float32)
                own = first[node.name] + np.arange(len(index[node.name]))
                mine = (own >= here[0]) & (own <= here[-1])
                unit[own[mine] - start, index[node.name][mine]] = 1.0
                value = stable[node.name] * arguments[0] + network.library.put(unit.reshape(-1, *node.op.out_shape))
            values[node.name] = value
        for name in wanted:
            flat = to_numpy(values[name]).reshape(len(here), -1)
            parts[name].append(flat[:, index[name]] if name in index else flat)
    return {name: np.concatenate(part) for name, part in parts.items()}


def _built(
    network: Network, matrices: dict[str, np.ndarray], index: dict[str, np.ndarray], ends: np.ndarray
) -> Network:
    """The network of these matrices."""
    put, rectifiers = network.single.library.put, network.nonlinear
    names = (INPUT, *(node.name for node in rectifiers))
    starts = (0, *(int(end) for end in ends))
    nodes: list[Node] = []

    def affine(name: str, sources: int) -> None:
        matrix = matrices[name]
        weights = tuple(put(matrix[starts[i] : starts[i + 1]].T) for i in range(sources))
        shapes = tuple((weight.shape[1],) for weight in weights)
        op = Affine(shapes, (matrix.shape[1],), weights, put(matrix[-1]))
        nodes.append(Node(name, op, names[:sources]))

    for number, node in enumerate(rectifiers):
        if all(made.name != node.inputs[0] for made in nodes):
            affine(node.inputs[0], number + 1)
        shape = (len(index[node.name]),)
        nodes.append(replace(node, op=replace(node.nonlinear_op, in_shapes=(shape,), out_shape=shape)))
    affine(network.output, len(names))
    return replace(network.single, nodes=tuple(nodes))
