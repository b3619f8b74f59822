"""Several networks become one: on shared inputs, with chosen values and products of values as its outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np

from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.network.passes import simplify
from certify.ops.arithmetic import multiply
from certify.ops.dense import dense
from certify.ops.power import power
from certify.ops.registry import Value
from certify.ops.scale import ScaleShift
from certify.ops.select import concat, take


@dataclass(frozen=True)
class Wiring:
    """How the networks' inputs come from the joined one's, and its outputs from the networks' values.

    weight: [defined, inputs] and shift: [defined], further values as functions of the joined inputs; source: [all
    inputs of the networks, laid end to end], where each lies in the joined inputs followed by the defined values.
    outputs: for each output the values whose product it is, numbered through all inputs of the networks, then all their
    outputs.
    """

    weight: np.ndarray
    shift: np.ndarray
    source: np.ndarray
    outputs: Sequence[tuple[int, ...]]


def join_networks(networks: Mapping[str, Network], wiring: Wiring) -> Network:
    """One network that computes the wanted outputs of all; values are called as in their network, its name before.

    Requires: every output names existing values. Ensures: evaluates like the networks one by one.
    """
    build = GraphBuilder()
    inputs, place = _inputs(build, wiring)
    numbered, start = [(inputs, place)], 0
    for name, network in networks.items():
        piece = take(build, inputs, 0, place[start : start + network.n_inputs])
        output = _embed(build, name, network, piece)
        numbered.append((output, np.arange(network.n_outputs)))
        start += network.n_inputs
    output = _outputs(build, numbered, wiring.outputs)
    specs = (TensorSpec("inputs", (wiring.weight.shape[1],), "float64"),)
    found = (TensorSpec("outputs", output.shape, "float64"),)
    return simplify(Network((), output.name, specs, found).with_nodes(build.nodes, output.name))


def _inputs(build: GraphBuilder, wiring: Wiring) -> tuple[Value, np.ndarray]:
    """A value that holds every input of the networks, and the place of each in it."""
    free = Value(INPUT, (wiring.weight.shape[1],))
    if len(wiring.shift) == 0:
        return free, wiring.source
    used = np.flatnonzero(wiring.weight.any(axis=0))
    used = used if len(used) else np.zeros(1, dtype=int)
    defined = dense(build, take(build, free, 0, used), wiring.weight[:, used], wiring.shift)
    return concat(build, (free, defined), 0), wiring.source


def _embed(build: GraphBuilder, prefix: str, network: Network, x: Value) -> Value:
    """Append a network's nodes, with x as its input; its output."""
    names = {INPUT: x.name, **{node.name: f"{prefix}.{node.name}" for node in network.nodes}}
    for node in network.nodes:
        build.nodes.append(replace(node, name=names[node.name], inputs=tuple(names[name] for name in node.inputs)))
    return Value(names[network.output], (network.n_outputs,))


def _outputs(
    build: GraphBuilder, numbered: Sequence[tuple[Value, np.ndarray]], wanted: Sequence[tuple[int, ...]]
) -> Value:
    """Values and products, in the order wanted.

    numbered: values that hold what the numbers in `wanted` count, one after the other, and the place of each in them.
    """
    ends = np.cumsum([len(place) for _, place in numbered])
    used = sorted(set(np.searchsorted(ends, [number for factors in wanted for number in factors], side="right")))
    pool = concat(build, tuple(numbered[part][0] for part in used), 0)
    place, start = np.full(ends[-1], -1), 0
    for part in used:
        value, inside = numbered[part]
        place[ends[part] - len(inside) : ends[part]] = start + inside
        start += value.shape[0]
    # Powers of one value are bounded better than products of two, so products are counted out: x x y is x^2 y^1.
    counted = [Counter(factors) for factors in wanted]
    exponents = [tuple(counts.values()) for counts in counted]
    pieces, positions = [], []
    for pattern in sorted(set(exponents)):
        chosen = [number for number, found in enumerate(exponents) if found == pattern]
        columns = place[np.array([list(counted[number]) for number in chosen])].T
        powers = [power(build, take(build, pool, 0, c), e) for c, e in zip(columns, pattern, strict=True)]
        pieces.append(reduce(partial(multiply, build), powers))
        positions += chosen
    output = take(build, concat(build, tuple(pieces), 0), 0, np.argsort(positions))
    return output if output.name != INPUT else build.emit(ScaleShift.scalar(output.shape, 1.0), output)
