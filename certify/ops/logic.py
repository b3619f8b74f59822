"""Comparisons, truth and choice over computed values: truth is 0 or 1, and every comparison a jump of a difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from certify.ops.arithmetic import add, multiply, scale
from certify.ops.jumps import IsZero, Step, Truncate
from certify.ops.kinds import Elementwise
from certify.ops.layout import FLOAT_TYPES, WIDE_TYPES
from certify.ops.registry import ANY, Builder, Example, Kind, NodeSpec, Operand, Value, register
from certify.ops.relu import Relu

INTEGERS, BOOL = {6, 7}, 9  # onnx.TensorProto: INT32, INT64; BOOL


def _bool(node: NodeSpec) -> Kind:
    return "bool"


def apply(build: Builder, kind: type[Elementwise], x: Value, *settings: Any) -> Value:
    """An elementwise function of x."""
    return build.emit(kind((x.shape,), x.shape, *settings), x)


def difference(node: NodeSpec, build: Builder, a: Operand, b: Operand) -> Value:
    """A - b, at least one of them variable."""
    if isinstance(a, Value) and isinstance(b, Value):
        return add(build, a, b, -1)
    constant = np.asarray(b if isinstance(a, Value) else a, dtype=np.float64)
    if not np.isfinite(constant).all():
        raise node.unsupported("a comparison with an infinite constant")
    if isinstance(a, Value):
        return scale(build, a, None, -constant)
    assert isinstance(b, Value)
    return scale(build, b, -np.ones(()), constant)


def _compared() -> list[Example]:
    ramp = np.linspace(-1.0, 1.0, 3, dtype=np.float32)
    return [
        Example([(2, 3), (3,)], gives="bool"),
        Example([(2, 3), ramp], gives="bool"),
        Example([ramp, (2, 1)], gives="bool"),
        Example([(2, 3), np.array([0, 1, -1])], kind="int", gives="bool"),
    ]


def _truths() -> list[Example]:
    some = np.array([True, False, True])
    return [
        Example([(2, 3), (3,)], kind="bool", gives="bool"),
        Example([(2, 3), some], kind="bool", gives="bool"),
        Example([some, (2, 1)], kind="bool", gives="bool"),
    ]


@register("Greater", takes="float int", gives=_bool, handled="a jump of the difference", examples=_compared)
def greater(node: NodeSpec, build: Builder) -> Value:
    """a > b."""
    return apply(build, Step, difference(node, build, node.operand(0), node.operand(1)))


@register("GreaterOrEqual", takes="float int", gives=_bool, handled="a jump of the difference", examples=_compared)
def greater_or_equal(node: NodeSpec, build: Builder) -> Value:
    """a >= b."""
    return apply(build, Step, difference(node, build, node.operand(0), node.operand(1)), True)


@register("Less", takes="float int", gives=_bool, handled="a jump of the difference", examples=_compared)
def less(node: NodeSpec, build: Builder) -> Value:
    """a < b."""
    return apply(build, Step, difference(node, build, node.operand(1), node.operand(0)))


@register("LessOrEqual", takes="float int", gives=_bool, handled="a jump of the difference", examples=_compared)
def less_or_equal(node: NodeSpec, build: Builder) -> Value:
    """a <= b."""
    return apply(build, Step, difference(node, build, node.operand(1), node.operand(0)), True)


@register("Equal", takes="float int bool", gives=_bool, handled="a jump of the difference", examples=_compared)
def equal(node: NodeSpec, build: Builder) -> Value:
    """a = b."""
    return apply(build, IsZero, difference(node, build, node.operand(0), node.operand(1)))


def both(build: Builder, a: Value, b: Operand) -> Value:
    """a and b = relu(a + b - 1) for truth values."""
    if not isinstance(b, Value):
        return scale(build, a, np.asarray(b, dtype=np.float64))
    return apply(build, Relu, scale(build, add(build, a, b), None, -np.ones(())))


def inverted(build: Builder, a: Operand) -> Operand:
    """Not a."""
    return scale(build, a, -np.ones(()), np.ones(())) if isinstance(a, Value) else 1.0 - np.asarray(a, np.float64)


def _variable_first(node: NodeSpec) -> tuple[Value, Operand]:
    a, b = node.operand(0), node.operand(1)
    return (a, b) if isinstance(a, Value) else (node.variable(1), a)


@register("Not", takes="bool", handled="linear", examples=lambda: [Example([(2, 3)], kind="bool", gives="bool")])
def not_node(node: NodeSpec, build: Builder) -> Value:
    """1 - a."""
    return scale(build, node.variable(), -np.ones(()), np.ones(()))


@register("And", takes="bool", handled="exactly, as Relu", examples=_truths)
def and_node(node: NodeSpec, build: Builder) -> Value:
    """a and b."""
    return both(build, *_variable_first(node))


@register("Or", takes="bool", handled="exactly, as Relu", examples=_truths)
def or_node(node: NodeSpec, build: Builder) -> Value:
    """not (not a and not b)."""
    a, b = (inverted(build, x) for x in _variable_first(node))
    assert isinstance(a, Value)
    result = inverted(build, both(build, a, b))
    assert isinstance(result, Value)
    return result


@register("Xor", takes="bool", handled="exactly, as Relu", examples=_truths)
def xor_node(node: NodeSpec, build: Builder) -> Value:
    """a + b - 2 (a and b)."""
    a, b = _variable_first(node)
    joint = both(build, a, b)
    if isinstance(b, Value):
        return add(build, add(build, a, b), scale(build, joint, np.asarray(2.0)), -1)
    constant = np.asarray(b, dtype=np.float64)
    return scale(build, a, 1.0 - 2.0 * constant, constant)


def _chosen(node: NodeSpec) -> Kind:
    """The kind of the two alternatives."""
    kinds: dict[str, Kind] = {"f": "float", "i": "int", "b": "bool"}
    for branch in node.inputs[1:3]:
        if isinstance(branch, Value):
            return branch.kind
        if branch is not None and branch.dtype.kind in kinds:
            return kinds[branch.dtype.kind]
    raise node.unsupported("alternatives of a type that is not supported")


def _where_examples() -> list[Example]:
    condition, ramp = np.array([True, False, True]), np.linspace(-1.0, 1.0, 3, dtype=np.float32)
    return [
        Example([condition, (2, 3), (3,)]),
        Example([condition, (2, 1), ramp]),
        Example([condition, ramp, (2, 3)]),
        Example([condition, (2, 3), np.array([2])], kind="int", gives="int"),
    ]


@register("Where", takes="float int bool", gives=_chosen,
          handled="linear with a constant condition, else a product with it", examples=_where_examples)  # fmt: skip
def where(node: NodeSpec, build: Builder) -> Value:
    """b + condition * (a - b)."""
    condition, a, b = (node.operand(i) for i in range(3))
    if not isinstance(condition, Value):
        mask = np.asarray(condition, dtype=bool)
        first, second = _masked(node, build, a, mask), _masked(node, build, b, ~mask)
        if isinstance(first, Value) and isinstance(second, Value):
            return add(build, first, second)
        variable, constant = (first, second) if isinstance(first, Value) else (second, first)
        assert isinstance(variable, Value)
        return scale(build, variable, None, constant)
    if not isinstance(a, Value) and not isinstance(b, Value):
        first, second = (np.asarray(x, dtype=np.float64) for x in (a, b))
        if not (np.isfinite(first).all() and np.isfinite(second).all()):
            raise node.unsupported("an alternative is infinite or NaN")
        return scale(build, condition, first - second, second)
    choice = multiply(build, condition, difference(node, build, a, b))
    return add(build, choice, b) if isinstance(b, Value) else scale(build, choice, None, b)


def _masked(node: NodeSpec, build: Builder, x: Operand, mask: np.ndarray) -> Operand:
    """X where the mask is set, else 0."""
    if isinstance(x, Value):
        return scale(build, x, mask.astype(np.float64))
    found = np.where(mask, np.asarray(x, dtype=np.float64), 0.0)
    if not np.isfinite(found).all():
        raise node.unsupported("an alternative that is chosen is infinite or NaN")
    return found


def _target(node: NodeSpec) -> Kind:
    target = int(node.attributes["to"])
    return "bool" if target == BOOL else "int" if target in INTEGERS else "float"


@register(
    "Cast",
    takes=ANY,
    gives=_target,
    handled="no computation between wide types; a jump to integers and truth",
    examples=lambda: [
        Example([(2, 3)], {"to": 1}),
        Example([(2, 3)], {"to": 7}, gives="int"),
        Example([(2, 3)], {"to": 9}, gives="bool"),
        Example([(2, 3)], {"to": 9}, kind="int", gives="bool"),
        Example([(2, 3)], {"to": 1}, kind="bool"),
        Example([(2, 3)], {"to": 7}, kind="bool", gives="int"),
    ],
)
def cast(node: NodeSpec, build: Builder) -> Value:
    """Casts to float32 and float64 keep the value (their rounding is not modelled, like all of the model's)."""
    x, target = node.variable(), int(node.attributes["to"])
    if x.kind == "quantised":
        raise node.unsupported("a cast of quantised values")
    if target in WIDE_TYPES:
        return x
    if target in FLOAT_TYPES:
        raise node.unsupported("a cast of a computed value to 16 bits loses too much to be left out of the model")
    if target in INTEGERS:
        return apply(build, Truncate, x) if x.kind == "float" else x
    if target == BOOL:
        if x.kind == "bool":
            return x
        zero = apply(build, IsZero, x)
        return scale(build, zero, -np.ones(()), np.ones(()))
    raise node.unsupported("a cast of a computed value to a type that is neither wide float, wide integer nor bool")
