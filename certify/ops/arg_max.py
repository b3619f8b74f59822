"""ArgMax and ArgMin: the sum of positions, each times whether it wins, which is a conjunction of comparisons."""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import add, scale
from certify.ops.dense import dense
from certify.ops.extremes import negated
from certify.ops.jumps import Step
from certify.ops.layout import permute, reshape
from certify.ops.logic import apply
from certify.ops.registry import Builder, Example, Kind, NodeSpec, Value, register
from certify.ops.relu import Relu
from certify.ops.select import take

MOST = 256


def wins(build: Builder, x: Value, last: bool) -> Value:
    """1 where an element is the largest along the last axis, else 0; of equal ones the first (or the last) wins."""
    n = x.shape[-1]
    axis, place = len(x.shape) - 1, np.arange(n)
    total = None
    for k in range(1, n):
        other = (place + k) % n
        ahead = add(build, x, take(build, x, axis, other), -1)
        ties = ((other < place) if last else (other > place)).astype(np.float64)
        closed, strict = apply(build, Step, ahead, True), apply(build, Step, ahead)
        beats = add(build, scale(build, closed, ties), scale(build, strict, 1.0 - ties))
        total = beats if total is None else add(build, total, beats)
    assert total is not None
    return apply(build, Relu, scale(build, total, None, np.asarray(2.0 - n))) if n > 2 else total


def _position(node: NodeSpec, build: Builder, x: Value) -> Value:
    rank, axis = len(x.shape), node.axis(len(x.shape), 0)
    if x.shape[axis] > MOST:
        raise node.unsupported(f"{x.shape[axis]} elements are too many to compare all pairs")
    last = (*(i for i in range(rank) if i != axis), axis)
    y = permute(build, x, last)
    if x.shape[axis] == 1:
        y = scale(build, y, np.zeros(()))
    else:
        winners = wins(build, y, bool(node.attributes.get("select_last_index", 0)))
        y = dense(build, winners, np.arange(x.shape[axis], dtype=np.float64)[None, :])
    kept = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    keep = node.attributes.get("keepdims", 1)
    return reshape(build, y, kept if keep else tuple(n for i, n in enumerate(x.shape) if i != axis))


def _int(node: NodeSpec) -> Kind:
    return "int"


def _examples() -> list[Example]:
    return [
        Example([(2, 3)], {"axis": 1}, gives="int"),
        Example([(3, 2)], {"keepdims": 0}, gives="int"),
        Example([(2, 4)], {"axis": -1, "select_last_index": 1}, gives="int"),
        Example([(2, 1)], {"axis": 1}, gives="int"),
    ]


@register("ArgMax", takes="float int", gives=_int, handled="jumps of all differences, and Relu", examples=_examples)
def arg_max(node: NodeSpec, build: Builder) -> Value:
    """The position of the largest element."""
    return _position(node, build, node.variable())


@register("ArgMin", takes="float int", gives=_int, handled="jumps of all differences, and Relu", examples=_examples)
def arg_min(node: NodeSpec, build: Builder) -> Value:
    """The position of the smallest element."""
    return _position(node, build, negated(build, node.variable()))
