"""Conditions as Python builds them: arrays of assertions that combine with &, |, ~, all_of and any_of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NoReturn

import numpy as np

from certify.errors import InputError
from certify.query.assertions import negation
from certify.query.syntax import Arithmetic, Assertion, Comparison, Connective, Constant, Term


class Condition:
    """One condition, or an array of them, of any shape; numpy's rules of broadcasting apply."""

    __array_ufunc__ = None  # numpy leaves operators to this class
    __slots__ = ("assertions",)

    def __init__(self, assertions: Any) -> None:
        """assertions: an object array of `Assertion`, or one of these."""
        self.assertions = np.asarray(assertions, dtype=object)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array, () for a single condition."""
        return self.assertions.shape

    @property
    def size(self) -> int:
        """How many conditions these are."""
        return self.assertions.size

    def __and__(self, other: Condition) -> Condition:
        return self._with(other, "and")

    def __or__(self, other: Condition) -> Condition:
        return self._with(other, "or")

    def __invert__(self) -> Condition:
        return Condition(np.frompyfunc(negation, 1, 1)(self.assertions))

    def __bool__(self) -> NoReturn:
        message = "a condition on a network has no truth value in Python"
        raise InputError(message, "write & | ~ instead of and, or, not, and (0 <= x) & (x <= 1) instead of 0 <= x <= 1")

    def __len__(self) -> int:
        if not self.shape:
            raise InputError("this is a single condition, not an array")
        return self.shape[0]

    def __iter__(self) -> Iterator[Condition]:
        return (Condition(self.assertions[i]) for i in range(len(self)))

    def __getitem__(self, index: Any) -> Condition:
        return Condition(element(self.assertions, index, "these conditions"))

    def all(self) -> Condition:
        """The condition that all of these hold."""
        return all_of(self)

    def any(self) -> Condition:
        """The condition that at least one of these holds."""
        return any_of(self)

    def __repr__(self) -> str:
        return f"<condition {list(self.shape) if self.shape else _shown(self.assertions.item())}>"

    def _with(self, other: Condition, operator: Literal["and", "or"]) -> Condition:
        if not isinstance(other, Condition):
            return NotImplemented
        check_broadcast(self.assertions, other.assertions)
        pair = np.frompyfunc(lambda a, b: _joined([a, b], operator), 2, 1)
        return Condition(pair(self.assertions, other.assertions))


def all_of(*conditions: Condition) -> Condition:
    """The single condition that every one of these holds; of an array, every element."""
    return Condition(_joined(_each(conditions, "all_of"), "and"))


def any_of(*conditions: Condition) -> Condition:
    """The single condition that at least one of these holds; of an array, at least one element."""
    return Condition(_joined(_each(conditions, "any_of"), "or"))


def implies(first: Condition, second: Condition) -> Condition:
    """The condition that the second holds wherever the first does."""
    return ~first | second


def element(items: np.ndarray, index: Any, what: str) -> np.ndarray:
    """items[index]. Raises InputError for an index that numpy refuses, or that leaves nothing."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, Condition) for part in parts):
        raise InputError("a condition is no index", "its truth is not known before the network runs")
    try:
        found = np.asarray(items[index], dtype=object)
    except (IndexError, ValueError, TypeError) as error:
        raise InputError(f"[{index}] is no index of {what}, of shape {list(items.shape)}: {error}") from None
    if not found.size:
        hint = "the first axis is often the batch: y[0, 1:] instead of y[1:]"
        raise InputError(f"[{index}] leaves nothing of {what}, of shape {list(items.shape)}", hint)
    return found


def check_broadcast(a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """The common shape. Raises InputError where there is none, or where both would be repeated to reach it."""
    said = f"the shapes {list(a.shape)} and {list(b.shape)} do not fit each other"
    hint = "reshape one of them"
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise InputError(said, hint) from None
    if np.prod(shape, dtype=int) != max(a.size, b.size):
        raise InputError(f"{said}: each element would be paired with several", hint)
    return shape


def _each(conditions: tuple[Any, ...], name: str) -> list[Assertion]:
    found: list[Assertion] = []
    for condition in conditions:
        if isinstance(condition, list | tuple):
            found += _each(tuple(condition), name)
        elif isinstance(condition, Condition):
            found += condition.assertions.ravel().tolist()
        else:
            hint = "comparisons of expressions are conditions; a comparison of numbers is decided already"
            raise InputError(f"{name} takes conditions, not {condition!r}", hint)
    if not found:
        raise InputError(f"{name} is given no condition")
    return found


def _joined(assertions: list[Assertion], operator: Literal["and", "or"]) -> Assertion:
    """The connective of the assertions, flat."""
    flat: list[Assertion] = []
    for assertion in assertions:
        same = isinstance(assertion, Connective) and assertion.operator == operator
        flat += assertion.operands if same else (assertion,)  # type: ignore[union-attr]
    return flat[0] if len(flat) == 1 else Connective(operator, tuple(flat), 0)


def _shown(node: Assertion | Term, room: int = 4) -> str:
    """The beginning of an assertion as VNN-LIB would have it, elements by the ONNX name of their tensor."""
    if isinstance(node, Constant):
        return repr(node.value)
    if isinstance(node, Comparison):
        return f"({node.relation} {_shown(node.left, room - 1)} {_shown(node.right, room - 1)})"
    if isinstance(node, Connective | Arithmetic):
        if room <= 0:
            return f"({node.operator} ...)"
        rest = " ..." if len(node.operands) > 3 else ""
        return f"({node.operator} {' '.join(_shown(part, room - 1) for part in node.operands[:3])}{rest})"
    return f"{node.tensor}[{node.index}]"
