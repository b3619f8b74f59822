"""Common subexpressions: nodes that apply an equal op to the same values become one."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np

from certify.network.graph import Network, Node
from certify.ops.kinds import Op


def merge_duplicates(network: Network) -> Network:
    """Requires: nothing. Ensures: no two nodes have equal ops and equal inputs."""
    renamed: dict[str, str] = {}
    seen: dict[object, str] = {}
    nodes: list[Node] = []
    for node in network.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        key = (type(node.op), inputs, _fingerprint(node.op))
        if key in seen:
            renamed[node.name] = seen[key]
        else:
            seen[key] = node.name
            nodes.append(replace(node, inputs=inputs))
    return network.with_nodes(nodes, renamed.get(network.output, network.output))


def _fingerprint(op: Op) -> tuple[object, ...]:
    parts: list[object] = []
    for field in dataclasses.fields(op):
        value = getattr(op, field.name)
        parts.append((value.shape, str(value.dtype), value.tobytes()) if isinstance(value, np.ndarray) else value)
    return tuple(parts)
