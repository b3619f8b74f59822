"""The network as the engine sees it: a frozen graph of ops from one flat input vector to one flat output vector."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from certify.arrays import NUMPY, Library, to_numpy
from certify.ops.kinds import Linear, Nonlinear, Op, Shape
from certify.ops.registry import Value

# Names of our own start with "@", so that they cannot meet an ONNX tensor name (which other values keep).
INPUT = "@input"


@dataclass(frozen=True)
class Node:
    """One op applied to named values; its own value has the node's name. `source` names the ONNX node it came from."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    source: str = ""

    @property
    def nonlinear_op(self) -> Nonlinear:
        """The op, of a node known to need a relaxation."""
        assert isinstance(self.op, Nonlinear)
        return self.op


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the user's model: name, static shape (symbolic axes read as 1) and numpy element type name."""

    name: str
    shape: Shape
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Network:
    """Nodes in topological order, from the value INPUT of shape [n_inputs] to `output`, of shape [n_outputs].

    `inputs` and `outputs` describe the user's model, whose tensors are laid end to end in the flat vectors. roundoff:
    unit roundoff of the arithmetic that the user's model runs in, if bounds are to make room for it (about; who needs
    it to be proven asks `certify.checker`), else 0.
    """

    nodes: tuple[Node, ...]
    output: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    library: Library = NUMPY
    roundoff: float = 0.0

    @property
    def n_inputs(self) -> int:
        """Length of the flat input."""
        return sum(t.size for t in self.inputs)

    @property
    def n_outputs(self) -> int:
        """Length of the flat output."""
        return sum(t.size for t in self.outputs)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every value."""
        return {INPUT: (self.n_inputs,), **{node.name: node.op.out_shape for node in self.nodes}}

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """The node that computes each value."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def consumers(self) -> dict[str, tuple[Node, ...]]:
        """The nodes that read each value."""
        readers: dict[str, list[Node]] = {name: [] for name in self.shapes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    @cached_property
    def nonlinear(self) -> tuple[Node, ...]:
        """The nodes that need a relaxation, in topological order."""
        return tuple(node for node in self.nodes if isinstance(node.op, Nonlinear))

    @cached_property
    def relaxed_inputs(self) -> tuple[str, ...]:
        """The values whose bounds relaxations need, in topological order, each once."""
        return tuple(dict.fromkeys(name for node in self.nonlinear for name in node.inputs))

    @cached_property
    def convolves(self) -> bool:
        """Whether elements may depend on a part of the input only."""
        return any(hasattr(node.op, "strides") for node in self.nodes)

    @cached_property
    def _cones(self) -> dict[str, Network]:
        return {}

    def cone(self, name: str) -> Network:
        """The part of the network that the named value depends on, with that value as output."""
        if name not in self._cones:
            self._cones[name] = self.with_nodes(self.nodes, name)
        return self._cones[name]

    @cached_property
    def _origins(self) -> dict[str, tuple[str, np.ndarray | None]]:
        return {}

    def origin(self, name: str) -> tuple[str, np.ndarray | None]:
        """(value, places): the earliest value whose elements the named one only selects, and the flat place there of
        each of its elements; None where they are the same in the same order.
        """
        if name not in self._origins:
            source, numbers, node = name, None, self.by_name.get(name)
            if node is not None and isinstance(node.op, Linear) and node.op.selects:
                before = node.inputs[0]
                source, places = self.origin(before)
                count = np.arange(float(np.prod(self.shapes[before]))).reshape(self.shapes[before])
                taken = to_numpy(node.op.linear(self.library.put(count))).reshape(-1).astype(np.int64)
                numbers = taken if places is None else places[taken]
                if np.array_equal(numbers, np.arange(int(np.prod(self.shapes[source])))):
                    numbers = None
            self._origins[name] = source, numbers
        return self._origins[name]

    @cached_property
    def single(self) -> Network:
        """The same network in float32, for work whose rounding does not matter."""
        return self.on(replace(self.library, dtype="float32"))

    def on(self, library: Library) -> Network:
        """The same network with its parameters in another library, element type or device."""
        if library == self.library:
            return self
        nodes = tuple(replace(node, op=node.op.on(library)) for node in self.nodes)
        return replace(self, nodes=nodes, library=library)

    def with_nodes(self, nodes: Iterable[Node], output: str | None = None) -> Network:
        """The network with other nodes, those not needed for the output left out."""
        nodes = tuple(nodes)
        needed = {output or self.output}
        kept = []
        for node in reversed(nodes):
            if node.name in needed:
                kept.append(node)
                needed.update(node.inputs)
        return replace(self, nodes=tuple(reversed(kept)), output=output or self.output)


class GraphBuilder:
    """Collects ops into nodes; the `Builder` that operator translations emit into."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.source = ""

    def emit(self, op: Op, *inputs: Value) -> Value:
        """Append a node."""
        assert tuple(v.shape for v in inputs) == op.in_shapes, (op, inputs)
        name = f"@{len(self.nodes)}:{type(op).__name__}"
        self.nodes.append(Node(name, op, tuple(v.name for v in inputs), self.source))
        return Value(name, tuple(int(n) for n in op.out_shape))

    def rename_last(self, value: Value, name: str) -> Value:
        """The value under its ONNX tensor name, if the newest node computes it and the name is not one of ours."""
        if (
            not self.nodes
            or self.nodes[-1].name != value.name
            or not value.name.startswith("@")
            or name.startswith("@")
        ):
            return value
        self.nodes[-1] = replace(self.nodes[-1], name=name)
        return replace(value, name=name)
