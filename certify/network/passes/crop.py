"""The part of a network that a window of its output depends on, where ops can be cropped: convolutions, mostly.

A walk through it costs what the window's receptive field costs. (alpha-beta-CROWN and others get the same from
coefficients stored as patches; Xu et al. 2020.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from certify.network.graph import INPUT, Network, Node, TensorSpec
from certify.ops.kinds import Window, shape_of
from certify.ops.layout import Reshape
from certify.ops.select import Part


@dataclass(frozen=True)
class Cropped:
    """network: the part, with the window as output; windows: by value name, (value, window of it) in the whole network;
    inputs: the places [n_inputs] of its flat input in that of the whole network.
    """

    network: Network
    windows: dict[str, tuple[str, Window]]
    inputs: np.ndarray

    @property
    def size(self) -> int:
        """Elements of all values."""
        return sum(int(np.prod(shape)) for shape in self.network.shapes.values())

    @property
    def widest(self) -> int:
        """Elements of the largest value."""
        return max(int(np.prod(shape)) for shape in self.network.shapes.values())


def everything(shape: tuple[int, ...]) -> Window:
    """The window that leaves nothing out."""
    return tuple(slice(0, n) for n in shape)


def crop(network: Network, window: Window) -> Cropped:
    """The part of the network that this window of its output depends on. Values keep their names.

    Ensures: its output on the inputs' part is the window of the output.
    """
    needed: dict[str, Window] = {network.output: window}
    made: dict[str, tuple[Node, tuple[Window, ...]]] = {}
    inputs = np.arange(network.n_inputs)
    for node in reversed(network.nodes):
        if node.name not in needed:
            continue
        found = node.op.crop(needed[node.name])
        if found is None and _sole_reader_of_input(network, node):
            here = needed[node.name]
            inputs = inputs.reshape(node.op.out_shape)[here].reshape(-1)
            whole = (slice(0, len(inputs)),)
            needed[INPUT] = whole
            made[node.name] = replace(node, op=Reshape((shape_of(whole),), shape_of(here))), (whole,)
            continue
        if found is None:
            needed[node.name] = everything(node.op.out_shape)
            found = node.op, tuple(map(everything, node.op.in_shapes))
        made[node.name] = replace(node, op=found[0]), found[1]
        for name, part in zip(node.inputs, found[1], strict=True):
            needed[name] = _hull(needed[name], part) if name in needed else part
    needed.setdefault(INPUT, everything((network.n_inputs,)))
    return _built(network, window, needed, made, inputs)


def _sole_reader_of_input(network: Network, node: Node) -> bool:
    return isinstance(node.op, Reshape) and node.inputs == (INPUT,) and network.consumers[INPUT] == (node,)


def _hull(a: Window, b: Window) -> Window:
    return tuple(slice(min(x.start, y.start), max(x.stop, y.stop)) for x, y in zip(a, b, strict=True))


def _built(
    network: Network,
    window: Window,
    needed: dict[str, Window],
    made: dict[str, tuple[Node, tuple[Window, ...]]],
    inputs: np.ndarray,
) -> Cropped:
    """The network of these nodes, with a `Part` wherever one takes less of a value than another."""
    windows = {name: (name, part) for name, part in needed.items()}
    nodes: list[Node] = []

    def part_of(name: str, wanted: Window) -> str:
        have = needed[name]
        if wanted == have:
            return name
        label = f"@part:{name}:{','.join(f'{w.start}-{w.stop}' for w in wanted)}"
        if label not in windows:
            inside = tuple(slice(w.start - h.start, w.stop - h.start) for w, h in zip(wanted, have, strict=True))
            nodes.append(Node(label, Part((shape_of(have),), shape_of(wanted), inside), (name,)))
            windows[label] = name, wanted
        return label

    for original in network.nodes:
        if original.name in made:
            node, parts = made[original.name]
            sources = tuple(part_of(name, part) for name, part in zip(node.inputs, parts, strict=True))
            nodes.append(replace(node, inputs=sources))
    output = part_of(network.output, window)
    cropped = replace(
        network,
        nodes=tuple(nodes),
        output=output,
        inputs=(TensorSpec("input", (len(inputs),), "float32"),),
        outputs=(TensorSpec("output", shape_of(window), "float32"),),
    )
    return Cropped(cropped, windows, inputs)
