"""The ONNX operators Softmax, LogSoftmax and ReduceLogSumExp, through differences of elements."""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import add
from certify.ops.layout import reshape
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.s_shaped import Sigmoid
from certify.ops.scale import ScaleShift
from certify.ops.select import take
from certify.ops.softmax import LogOfSum, Share


def differences(build: Builder, x: Value, axis: int) -> list[Value]:
    """x_{i+k} - x_i along the axis, cyclically, for k = 1 ... n - 1: each other element once."""
    n = x.shape[axis]
    return [add(build, take(build, x, axis, (np.arange(n) + k) % n), x, -1) for k in range(1, n)]


def softmax(build: Builder, x: Value, axis: int) -> Value:
    """Softmax along the axis."""
    others = differences(build, x, axis)
    if not others:
        return build.emit(ScaleShift((x.shape,), x.shape, np.zeros(1), np.ones(1)), x)
    if len(others) == 1:
        return build.emit(Sigmoid((x.shape,), x.shape), build.emit(ScaleShift.scalar(x.shape, -1.0), others[0]))
    return build.emit(Share.of(x.shape, len(others)), *others)


def log_softmax(build: Builder, x: Value, axis: int) -> Value:
    """Its logarithm."""
    others = differences(build, x, axis)
    if not others:
        return build.emit(ScaleShift((x.shape,), x.shape, np.zeros(1), np.zeros(1)), x)
    return build.emit(ScaleShift.scalar(x.shape, -1.0), build.emit(LogOfSum.of(x.shape, len(others)), *others))


def _flat(node: NodeSpec, build: Builder) -> Value:
    """Before opset 13: the axes from `axis` on as one."""
    x = node.variable()
    axis = node.axis(len(x.shape), 1)
    split = int(np.prod(x.shape[:axis], dtype=np.int64)), int(np.prod(x.shape[axis:], dtype=np.int64))
    return reshape(build, x, split)


@register("Softmax", handled="tangent planes, tangent points optimised",
          examples=lambda: [Example([(2, 3)], opset=11), Example([(2, 1, 3)], {"axis": 1}, opset=9)])  # fmt: skip
def softmax_flat(node: NodeSpec, build: Builder) -> Value:
    """Softmax over all axes from `axis` on."""
    return reshape(build, softmax(build, _flat(node, build), 1), node.variable().shape)


@register("Softmax", since=13, handled="tangent planes, tangent points optimised",
          examples=lambda: [Example([(2, 3)]), Example([(3, 2)], {"axis": 0}), Example([(3, 2)]),
                            Example([(2, 1)])])  # fmt: skip
def softmax_node(node: NodeSpec, build: Builder) -> Value:
    """Softmax along one axis."""
    x = node.variable()
    return softmax(build, x, node.axis(len(x.shape), -1))


@register("LogSoftmax", handled="tangent planes, tangent points optimised",
          examples=lambda: [Example([(2, 3)], opset=11), Example([(2, 3, 1)], {"axis": 1}, opset=9)])  # fmt: skip
def log_softmax_flat(node: NodeSpec, build: Builder) -> Value:
    """LogSoftmax over all axes from `axis` on."""
    return reshape(build, log_softmax(build, _flat(node, build), 1), node.variable().shape)


@register("LogSoftmax", since=13, handled="tangent planes, tangent points optimised",
          examples=lambda: [Example([(2, 3)]), Example([(3, 2)], {"axis": 0}), Example([(2, 1)]),
                            Example([(2, 2)])])  # fmt: skip
def log_softmax_node(node: NodeSpec, build: Builder) -> Value:
    """LogSoftmax along one axis."""
    x = node.variable()
    return log_softmax(build, x, node.axis(len(x.shape), -1))
