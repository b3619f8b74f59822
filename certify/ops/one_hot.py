"""What is told by whole numbers that the network computes: OneHot, Hardmax, and Gather by them."""

from __future__ import annotations

import numpy as np

from certify.ops.arg_max import MOST, wins
from certify.ops.arithmetic import add, scale
from certify.ops.jumps import IsZero
from certify.ops.layout import permute, reshape
from certify.ops.logic import apply
from certify.ops.registry import Builder, Example, Kind, NodeSpec, Value, register


def one_hot(build: Builder, index: Value, depth: int) -> Value:
    """[*index.shape, depth]: 1 where the place is the index, also where that counts from the end; all 0 beyond."""
    column = reshape(build, index, (*index.shape, 1))
    front, back = (
        apply(build, IsZero, scale(build, column, np.ones(depth), shift - np.arange(depth))) for shift in (0.0, depth)
    )
    return add(build, front, back)


def _kind(node: NodeSpec) -> Kind:
    """Of the two values."""
    return "float" if np.asarray(node.operand(2)).dtype.kind == "f" else "int"


@register(
    "OneHot",
    takes="float int",
    gives=_kind,
    handled="a jump of each difference",
    examples=lambda: [
        Example([(2, 3), np.array(4), np.array([0.5, 2.0], np.float32)], kind="int"),
        Example([(3,), np.array([3]), np.array([0.0, 1.0], np.float32)], {"axis": 0}, kind="int"),
        Example([(2, 2), np.array(3), np.array([2, 5])], {"axis": 1}, kind="int", gives="int"),
    ],
)
def one_hot_node(node: NodeSpec, build: Builder) -> Value:
    """The second value where the place is the index, else the first."""
    index = node.variable()
    if index.kind != "int":
        raise node.unsupported("an index that is no whole number")
    off, on = (float(value) for value in np.asarray(node.constant(2)).reshape(-1))
    y = one_hot(build, index, int(np.asarray(node.constant(1)).reshape(-1)[0]))
    rank = len(y.shape)
    axis = node.axis(rank, -1)
    order = [*range(rank - 1)]
    order.insert(axis, rank - 1)
    return scale(build, permute(build, y, tuple(order)), np.asarray(on - off), np.asarray(off))


def _hardmax(node: NodeSpec, build: Builder, x: Value, axis: int) -> Value:
    """1 at the first of the largest elements along the axis, else 0."""
    if x.shape[axis] > MOST:
        raise node.unsupported(f"{x.shape[axis]} elements are too many to compare all pairs")
    last = (*(i for i in range(len(x.shape)) if i != axis), axis)
    y = permute(build, x, last)
    y = wins(build, y, False) if x.shape[axis] > 1 else scale(build, y, np.zeros(()), np.ones(()))
    return permute(build, y, tuple(int(i) for i in np.argsort(last)))


@register("Hardmax", handled="jumps of all differences, and Relu",
          examples=lambda: [Example([(2, 3)], opset=11), Example([(2, 1, 3)], {"axis": 1}, opset=9)])  # fmt: skip
def hardmax_flat(node: NodeSpec, build: Builder) -> Value:
    """Hardmax over all axes from `axis` on."""
    x = node.variable()
    axis = node.axis(len(x.shape), 1)
    split = int(np.prod(x.shape[:axis], dtype=np.int64)), int(np.prod(x.shape[axis:], dtype=np.int64))
    return reshape(build, _hardmax(node, build, reshape(build, x, split), 1), x.shape)


@register("Hardmax", since=13, handled="jumps of all differences, and Relu",
          examples=lambda: [Example([(2, 3)]), Example([(3, 2)], {"axis": 0}), Example([(2, 1)])])  # fmt: skip
def hardmax(node: NodeSpec, build: Builder) -> Value:
    """Hardmax along one axis."""
    x = node.variable()
    return _hardmax(node, build, x, node.axis(len(x.shape), -1))


def gather_computed(node: NodeSpec, build: Builder, x: Value, index: Value, axis: int) -> Value:
    """X at an index that the network computes: each element times whether it is the one."""
    from certify.ops.bilinear import inner_products

    if index.kind != "int":
        raise node.unsupported("an index that is no whole number")
    rank, n = len(x.shape), x.shape[axis]
    rest = tuple(i for i in range(rank) if i != axis)
    columns = reshape(build, permute(build, x, (*rest, axis)), (int(np.prod([x.shape[i] for i in rest])), n))
    rows = reshape(build, one_hot(build, index, n), (int(np.prod(index.shape)), n))
    y = reshape(build, inner_products(node, build, columns, rows), (*(x.shape[i] for i in rest), *index.shape))
    order = [*range(axis), *range(rank - 1, rank - 1 + len(index.shape)), *range(axis, rank - 1)]
    return permute(build, y, tuple(order))
