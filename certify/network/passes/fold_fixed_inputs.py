"""Inputs that never vary are folded into the first computed value: what is left depends on the free inputs only.

The first op that computes anything is affine, y = A x + b. With x split into free inputs t and fixed ones,

    y = A_free t + c,    c = A_fixed x_fixed + b.

The constants c, one vector per sample, become inputs of the folded network, so that samples share a batch of boxes, and
so that what rounding did to them is an interval, as everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from certify.network.graph import INPUT, Network, Node, TensorSpec
from certify.ops.arithmetic import Add
from certify.ops.dense import Dense
from certify.ops.kinds import Linear
from certify.ops.layout import Reshape
from certify.ops.select import Take


def first_computed(network: Network) -> str | None:
    """The name of the first value that is computed from the input, where everything else depends on it alone.

    None where there is none: a value that branches off before it, or an op there that is not affine.
    """
    chain = list(_chain(network))
    if not chain or not isinstance(chain[-1].op, Linear) or chain[-1].op.terms == 0:
        return None
    return chain[-1].name


def fold_fixed_inputs(network: Network, free: np.ndarray) -> Network | None:
    """The network over (t, c): the free inputs, in the order of `free` [d], then the first computed value at t = 0 [m].

    Requires: whoever evaluates it gives c as that value of `network` at the sample with zeros for the free inputs.
    Ensures: it evaluates as `network` does at the sample with t for the free inputs. None where that cannot be done, or
    would not make the input smaller.
    """
    name = first_computed(network)
    if name is None:
        return None
    shape = network.shapes[name]
    m, d = int(np.prod(shape)), len(free)
    if d + m >= network.n_inputs and m > d:
        return None
    total = d + m
    first = network.by_name[name].op
    assert isinstance(first, Linear)
    folded = Dense(((d,),), (m,), _columns(network, name, free), summed=first.summands)
    moved = Node("@fold:moved", folded, ("@fold:free",))
    nodes = [
        Node("@fold:free", Take(((total,),), (d,), -1, np.arange(d)), (INPUT,)),
        moved,
        Node("@fold:fixed", Take(((total,),), (m,), -1, np.arange(d, total)), (INPUT,)),
        Node("@fold:sum", Add(((m,), (m,)), (m,), (1, 1)), ("@fold:moved", "@fold:fixed")),
        Node(name, Reshape(((m,),), shape), ("@fold:sum",), network.by_name[name].source),
    ]
    before = {node.name for node in _chain(network)}
    rest = [node for node in network.nodes if node.name not in before]
    specs = (TensorSpec("free", (d,), "float64"), TensorSpec("fixed", (m,), "float64"))
    return replace(network, nodes=(), inputs=specs).with_nodes([*nodes, *rest], network.output)


def _chain(network: Network) -> Iterator[Node]:
    """The nodes from the input on, each the only reader of the one before, up to the first that computes something."""
    name = INPUT
    while len(network.consumers[name]) == 1 and name != network.output:
        (node,) = network.consumers[name]
        if len(node.inputs) != 1:
            return
        yield node
        if not isinstance(node.op, Linear) or node.op.terms or node.op.bias is not None:
            return
        name = node.name


def _columns(network: Network, name: str, free: np.ndarray) -> np.ndarray:
    """A_free as [m, d]: exact, as each unit vector leaves one product in every sum."""
    unit = np.zeros((len(free), network.n_inputs))
    unit[np.arange(len(free)), free] = 1.0
    value = unit
    for node in network.cone(name).nodes:
        assert isinstance(node.op, Linear)
        value = node.op.linear(value)
    return np.ascontiguousarray(value.reshape(len(free), -1).T)
