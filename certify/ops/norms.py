"""Reductions that are more than a sum: norms, logarithms of sums, products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from certify.ops.arithmetic import add, multiply
from certify.ops.exponential import Log
from certify.ops.layout import permute, reshape
from certify.ops.logic import apply
from certify.ops.moments import square
from certify.ops.power import power
from certify.ops.reduce import SumOver, axes_of
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.relu import leaky
from certify.ops.select import take
from certify.ops.softmax import LogOfSum


def _examples() -> list[Example]:
    return [
        Example([(2, 3)], {"axes": [1]}, opset=13),
        Example([(2, 2, 3)], {"axes": [-1, 0], "keepdims": 0}, opset=13),
        Example([(2, 3), np.array([0])], opset=18),
        Example([(3, 1)], {"axes": [1]}, opset=13),
        Example([(3,)], opset=13),
    ]


def _rows(build: Builder, x: Value, over: list[int]) -> Value:
    """The axes that stay, then all of the others as one."""
    stay = [i for i in range(len(x.shape)) if i not in over]
    y = permute(build, x, (*stay, *over))
    return reshape(build, y, (*(x.shape[i] for i in stay), int(np.prod([x.shape[i] for i in over], dtype=np.int64))))


def _total(build: Builder, rows: Value) -> Value:
    """The sum over the last axis, which is gone."""
    kept = build.emit(SumOver((rows.shape,), (*rows.shape[:-1], 1), (-1,)), rows)
    return reshape(build, kept, rows.shape[:-1])


def _absolute_sum(build: Builder, rows: Value) -> Value:
    return _total(build, leaky(build, rows, -1.0))


def _euclidean(build: Builder, rows: Value) -> Value:
    return power(build, _total(build, square(build, rows)), 0.5)


def _log_sum(build: Builder, rows: Value) -> Value:
    return apply(build, Log, _total(build, rows))


def _log_sum_exp(build: Builder, rows: Value) -> Value:
    """x_0 + log(1 + sum_k exp(x_k - x_0)): what is large cancels before it is raised to a power."""
    axis, n = len(rows.shape) - 1, rows.shape[-1]
    parts = [reshape(build, take(build, rows, axis, np.array([k])), rows.shape[:-1]) for k in range(n)]
    others = [add(build, part, parts[0], -1) for part in parts[1:]]
    return add(build, parts[0], build.emit(LogOfSum.of(parts[0].shape, n - 1), *others)) if others else parts[0]


def _product(build: Builder, rows: Value) -> Value:
    """A balanced tree of products of two."""
    axis = len(rows.shape) - 1
    parts = [reshape(build, take(build, rows, axis, np.array([k])), rows.shape[:-1]) for k in range(rows.shape[-1])]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [multiply(build, a, b) for a, b in pairs] + parts[len(parts) // 2 * 2 :]
    return parts[0]


def _register(name: str, handled: str, reduced: Callable[[Builder, Value], Value], takes: str = "float") -> None:
    @register(name, handled=handled, takes=takes, examples=_examples)
    def translate(node: NodeSpec, build: Builder) -> Value:
        x = node.variable()
        over = axes_of(node, len(x.shape))
        if over is None:
            raise node.unsupported("no axes, which runtimes treat differently")
        y = reduced(build, _rows(build, x, over))
        kept = tuple(1 if i in over else n for i, n in enumerate(x.shape))
        return reshape(build, y, kept) if node.attributes.get("keepdims", 1) else y


_register("ReduceL1", "exactly, as a Relu", _absolute_sum, "float int")
_register("ReduceL2", "chord and tangent planes of squares and the root", _euclidean)
_register("ReduceLogSum", "chord below, tangent above, tangent point optimised; positive sums only", _log_sum)
_register("ReduceLogSumExp", "tangent planes, tangent points optimised", _log_sum_exp)
_register("ReduceProd", "McCormick planes per pair", _product, "float int")
