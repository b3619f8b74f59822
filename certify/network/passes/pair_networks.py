"""Two networks become one that also carries what they differ by, layer by layer where their structures match.

With f's value x and g's value y of the same place, d = x - y follows the networks itself:

    d' = W_g d + (W_f - W_g) x + (b_f - b_g)        through a linear op
    d' = relu(x) - relu(y), bounded by planes in x, y and d        through a rectifier (`ops/relu_difference`)

so that every bound method and search of the engine becomes a differential one (Paulsen et al. 2020, ReluDiff and
NeuroDiff; Teuber et al. 2024, VeryDiff). Where nothing pairs up, d is the difference of the outputs: a product network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from certify.errors import InputError
from certify.network.graph import INPUT, GraphBuilder, Network, Node, TensorSpec
from certify.ops.arithmetic import add, scale
from certify.ops.conv import Conv
from certify.ops.conv_transpose import ConvTranspose
from certify.ops.dense import Dense
from certify.ops.kinds import Linear, Op
from certify.ops.layout import reshape
from certify.ops.registry import Value
from certify.ops.relu import Relu
from certify.ops.relu_difference import relu_difference
from certify.ops.scale import ScaleShift
from certify.ops.select import concat

# The parameters in which an op is linear: of two such ops that differ in nothing else the difference is such an op.
WEIGHTS: dict[type[Op], str] = {Dense: "weight", Conv: "weight", ConvTranspose: "weight", ScaleShift: "scale"}


@dataclass(frozen=True)
class Paired:
    """network: on the shared input, with outputs [f (m), g (m), f - g (m)]; paired: whether layer by layer."""

    network: Network
    n_outputs: int
    paired: bool


def pair_networks(f: Network, g: Network) -> Paired:
    """Both networks and their difference. Raises InputError unless they take and give equally many numbers."""
    for what, before, after in (("inputs", f.n_inputs, g.n_inputs), ("outputs", f.n_outputs, g.n_outputs)):
        if before != after:
            hint = "only models of the same inputs and outputs have a difference"
            raise InputError(f"the first model has {before} {what}, the second {after}", hint)
    paired = _match(f, g)
    pairing = _Pairing()
    first, second, apart = pairing.together(f, g) if paired else pairing.side_by_side(f, g)
    build = pairing.build
    flat = [reshape(build, value, (f.n_outputs,)) for value in (first, second, apart)]
    output = concat(build, tuple(flat), 0)
    specs = (TensorSpec("inputs", (f.n_inputs,), "float64"),)
    found = (TensorSpec("outputs", output.shape, "float64"),)
    return Paired(Network((), output.name, specs, found).with_nodes(build.nodes, output.name), f.n_outputs, paired)


def _match(f: Network, g: Network) -> bool:
    """Whether node by node the two apply the same kind of op to the same places."""
    if len(f.nodes) != len(g.nodes):
        return False
    place = {INPUT: INPUT}
    for a, b in zip(f.nodes, g.nodes, strict=True):
        same = type(a.op) is type(b.op) and a.op.in_shapes == b.op.in_shapes and a.op.out_shape == b.op.out_shape
        if not same or tuple(place[name] for name in a.inputs) != b.inputs:
            return False
        place[a.name] = b.name
    return place[f.output] == g.output


@dataclass(frozen=True)
class _Triple:
    """The values of one place: f's, g's and their difference, None where that is zero (and both are one value)."""

    f: Value
    g: Value
    d: Value | None


@dataclass
class _Pairing:
    build: GraphBuilder = field(default_factory=GraphBuilder)

    def side_by_side(self, f: Network, g: Network) -> tuple[Value, Value, Value]:
        """Both networks on one input, and the difference of their outputs."""
        outputs = []
        for network in (f, g):
            values = {INPUT: Value(INPUT, (network.n_inputs,))}
            for node in network.nodes:
                values[node.name] = self.build.emit(node.op, *(values[name] for name in node.inputs))
            outputs.append(values[network.output])
        return outputs[0], outputs[1], add(self.build, outputs[0], outputs[1], -1)

    def together(self, f: Network, g: Network) -> tuple[Value, Value, Value]:
        """Both networks with the difference of every value."""
        start = Value(INPUT, (f.n_inputs,))
        found = {INPUT: _Triple(start, start, None)}
        for a, b in zip(f.nodes, g.nodes, strict=True):
            found[a.name] = self._step(a, b, [found[name] for name in a.inputs])
        end = found[f.output]
        return end.f, end.g, self._zero(end.f) if end.d is None else end.d

    def _step(self, a: Node, b: Node, inputs: list[_Triple]) -> _Triple:
        x = self.build.emit(a.op, *(value.f for value in inputs))
        same = _equal(a.op, b.op)
        if same and all(value.d is None for value in inputs):
            return _Triple(x, x, None)
        y = self.build.emit(b.op, *(value.g for value in inputs))
        if same and isinstance(a.op, Relu) and a.op.negative_slope < 1.0:
            return _Triple(x, y, self._rectified(a.op, inputs[0]))
        if isinstance(a.op, Linear) and isinstance(b.op, Linear):
            return _Triple(x, y, self._linear(a.op, b.op, inputs, x, y, same))
        return _Triple(x, y, add(self.build, x, y, -1))

    def _rectified(self, op: Relu, value: _Triple) -> Value:
        """Behind a rectifier of negative slope s, which is  s x + (1 - s) relu(x)."""
        assert value.d is not None
        apart = relu_difference(self.build, value.f, value.g, value.d)
        if op.negative_slope == 0.0:
            return apart
        steep = scale(self.build, apart, np.asarray(1.0 - op.negative_slope))
        return add(self.build, scale(self.build, value.d, np.asarray(op.negative_slope)), steep)

    def _linear(self, a: Linear, b: Linear, inputs: list[_Triple], x: Value, y: Value, same: bool) -> Value:
        """W_g d + (W_f - W_g) x + (b_f - b_g), as one matrix where it is one."""
        if same:
            unbiased = _unbiased(b)
            differences = [self._zero(value.f) if value.d is None else value.d for value in inputs]
            return add(self.build, x, y, -1) if unbiased is None else self.build.emit(unbiased, *differences)
        change, unbiased = _change(a, b), _unbiased(b)
        if change is None or unbiased is None:
            return add(self.build, x, y, -1)
        (value,) = inputs
        if value.d is None:
            return self.build.emit(change, value.f)
        if isinstance(change, Dense) and isinstance(unbiased, Dense):
            both = concat(self.build, (value.d, value.f), len(value.f.shape) - 1)
            weight = np.concatenate((unbiased.weight, change.weight), axis=1)
            return self.build.emit(Dense((both.shape,), change.out_shape, weight, change.shift), both)
        return add(self.build, self.build.emit(unbiased, value.d), self.build.emit(change, value.f))

    def _zero(self, like: Value) -> Value:
        return self.build.emit(ScaleShift.scalar(like.shape, 0.0), like)


def _equal(a: Op, b: Op) -> bool:
    """Whether two ops of one kind are the same function."""
    pairs = ((getattr(a, part.name), getattr(b, part.name)) for part in fields(a))
    return all(
        np.array_equal(x, y) if isinstance(x, np.ndarray) or isinstance(y, np.ndarray) else x == y for x, y in pairs
    )


def _unbiased(op: Linear) -> Linear | None:
    """The op without its constant part; None where we do not know how to take it out."""
    if op.bias is None:
        return op
    return replace(op, shift=None) if type(op) in WEIGHTS else None  # type: ignore[call-arg]


def _change(a: Linear, b: Linear) -> Linear | None:
    """The op  x -> a(x) - b(x)  of two ops that differ in weights and shifts only; None where they do not."""
    name = WEIGHTS.get(type(a))
    if name is None:
        return None
    first, second = getattr(a, name), getattr(b, name)
    shifts = [np.zeros(1) if op.bias is None else op.shift for op in (a, b)]  # type: ignore[attr-defined]
    plain = [replace(op, **{name: np.zeros(1), "shift": None}) for op in (a, b)]  # type: ignore[arg-type]
    if first.shape != second.shape or shifts[0].shape != shifts[1].shape or not _equal(*plain):
        return None
    return replace(a, **{name: first - second, "shift": shifts[0] - shifts[1]})
