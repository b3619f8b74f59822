"""Leave out rectifiers that are zero wherever we look: matrices shrink, and with them the cost of every walk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from certify.network.graph import Network, Node
from certify.ops.dense import Dense
from certify.ops.relu import Relu


def drop_dead_neurons(network: Network, alive: Mapping[str, np.ndarray]) -> tuple[Network, dict[str, np.ndarray]]:
    """Shrink dense rectifier layers.

    alive: by name of a rectifier's input, a flat mask of the elements that can be positive on every box of interest.
    Requires: elements outside of the mask are <= 0 there. Ensures: the output is the same on those boxes.
    Returns the network and, by name of each shrunk value's rectifier input, the flat elements that were kept. Layers
    that do not lie between two dense ops, or where little would be saved, stay as they are.
    """
    kept: dict[str, np.ndarray] = {}
    changed: dict[str, Node] = {}
    for node in network.nonlinear:
        mask = alive.get(node.inputs[0])
        if mask is None or not _can_shrink(network, node):
            continue
        index = np.flatnonzero(mask)
        if len(index) == 0:
            index = np.zeros(1, dtype=int)
        if len(index) > 0.9 * len(mask):
            continue
        kept[node.inputs[0]] = index
        _shrink(network, node, index, changed)
    return network.with_nodes(changed.get(node.name, node) for node in network.nodes), kept


def _can_shrink(network: Network, node: Node) -> bool:
    """A rectifier over one feature axis, fed by a matrix that only it reads, read by matrices only."""
    producer = network.by_name.get(node.inputs[0])
    shape = node.op.out_shape
    return (
        isinstance(node.op, Relu)
        and node.op.negative_slope == 0.0
        and producer is not None
        and isinstance(producer.op, Dense)
        and int(np.prod(shape)) == shape[-1]
        and len(network.consumers[producer.name]) == 1
        and producer.name != network.output != node.name
        and all(isinstance(reader.op, Dense) for reader in network.consumers[node.name])
    )


def _shrink(network: Network, node: Node, index: np.ndarray, changed: dict[str, Node]) -> None:
    producer = changed.get(node.inputs[0], network.by_name[node.inputs[0]])
    shape = (*node.op.out_shape[:-1], len(index))
    op = producer.op
    assert isinstance(op, Dense)
    shift = None if op.shift is None else op.shift[index]
    changed[producer.name] = replace(producer, op=replace(op, out_shape=shape, weight=op.weight[index], shift=shift))
    changed[node.name] = replace(node, op=replace(node.op, in_shapes=(shape,), out_shape=shape))
    for reader in network.consumers[node.name]:
        reader = changed.get(reader.name, reader)
        assert isinstance(reader.op, Dense)
        weight = (
            np.ascontiguousarray(reader.op.weight[:, index])
            if isinstance(reader.op.weight, np.ndarray)
            else (reader.op.weight[:, index.tolist()])
        )
        op = replace(reader.op, in_shapes=(shape,), weight=weight, summed=reader.op.summands - 1)
        changed[reader.name] = replace(reader, op=op)
