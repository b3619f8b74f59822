"""The registry of ONNX operators: name and version -> how a node becomes ops of ours.

A translation gets a `NodeSpec` (plain Python values, no protobuf) and a `Builder`, emits one or more ops, and returns
the value of each ONNX output. A new operator is one new file here with `@register(...)` and its examples, which the
tests run against onnxruntime.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from certify.errors import UnsupportedOp
from certify.ops.kinds import Op, Shape

Kind = Literal["float", "int", "bool", "quantised"]
ANY = "float int bool quantised"


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the network's input.

    kind: how the model stores it. Bounds treat all numbers as real ones and truth as 0 or 1, but a division of integers
    is another operation than one of floats, and bytes wrap.
    """

    name: str
    shape: Shape
    kind: Kind = "float"


Operand = Value | np.ndarray | None


class Builder(Protocol):
    """Collects emitted ops into a network."""

    def emit(self, op: Op, *inputs: Value) -> Value:
        """Append an op applied to these values; returns its output."""


@dataclass(frozen=True)
class NodeSpec:
    """One ONNX node: a constant input is an array, one that depends on the network's input is a `Value`, an omitted
    optional one is None.
    """

    op_type: str
    name: str
    opset: int
    inputs: tuple[Operand, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    n_outputs: int = 1

    def unsupported(self, message: str, hint: str = "") -> UnsupportedOp:
        """An error that names this node."""
        return UnsupportedOp(self.op_type, self.name, message, hint)

    def operand(self, position: int) -> Operand:
        """The input at this position, None if absent."""
        return self.inputs[position] if position < len(self.inputs) else None

    def variable(self, position: int = 0) -> Value:
        """The input at this position, which must depend on the network's input."""
        operand = self.operand(position)
        if not isinstance(operand, Value):
            raise self.unsupported(f"input {position} must not be constant here")
        return operand

    def constant(self, position: int, default: Any = None) -> np.ndarray | Any:
        """The constant input at this position, `default` if it is absent."""
        operand = self.operand(position)
        if isinstance(operand, Value):
            raise self.unsupported(f"input {position} must be constant, but it depends on the network's input")
        return default if operand is None else operand

    def setting(self, name: str, position: int | None = None, default: Any = None) -> Any:
        """An attribute that later opsets moved to the constant input at `position` (ints as a list, else as given)."""
        if name in self.attributes:
            return self.attributes[name]
        if position is not None and self.operand(position) is not None:
            array = np.asarray(self.constant(position))
            return array.tolist()
        return default

    def axis(self, rank: int, default: int) -> int:
        """The attribute `axis`, counted from the front and checked against the rank."""
        return self.normal_axis(int(self.attributes.get("axis", default)), rank)

    def normal_axis(self, axis: int, rank: int) -> int:
        """`axis` counted from the front, checked against the rank."""
        if not -rank <= axis < rank:
            raise self.unsupported(f"axis {axis} is out of range for a tensor of rank {rank}")
        return axis % rank


@dataclass(frozen=True)
class Example:
    """One use of an operator for the tests: shapes of the variable inputs or constant arrays, and attributes.

    kind: of the variable inputs, which the tests make from floats; gives: of the outputs.
    """

    inputs: Sequence[Shape | np.ndarray]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    n_outputs: int = 1
    kind: Kind = "float"
    gives: Kind = "float"


Translation = Callable[[NodeSpec, Builder], Value | tuple[Value, ...]]


@dataclass(frozen=True)
class Entry:
    """One registered operator: since which opset, how it is handled (for people), and examples.

    takes: the kinds its variable inputs may have; gives: the kind of its outputs, that of the first variable input if
    None.
    """

    op_type: str
    domain: str
    since: int
    handled: str
    translate: Translation
    examples: Callable[[], list[Example]]
    takes: frozenset[str] = frozenset({"float"})
    gives: Callable[[NodeSpec], Kind] | None = None

    def kind(self, node: NodeSpec) -> Kind:
        """Of the outputs."""
        if self.gives is not None:
            return self.gives(node)
        return next((x.kind for x in node.inputs if isinstance(x, Value)), "float")


_entries: dict[tuple[str, str], list[Entry]] = {}


def register(
    op_type: str,
    *,
    handled: str,
    examples: Callable[[], list[Example]],
    since: int = 1,
    domain: str = "",
    takes: str = "float",
    gives: Callable[[NodeSpec], Kind] | None = None,
) -> Callable[[Translation], Translation]:
    """Register a translation for `op_type` from opset `since` on, until a later entry for it."""

    def add(translate: Translation) -> Translation:
        entries = _entries.setdefault((domain, op_type), [])
        kinds = frozenset(takes.split())
        entries.append(Entry(op_type, domain, since, handled, translate, examples, kinds, gives))
        entries.sort(key=lambda entry: entry.since)
        return translate

    return add


@cache
def load_all() -> None:
    """Import every file of this package, so that each registers its operators."""
    for name in _texts():
        importlib.import_module(f"certify.ops.{name}")


@cache
def _texts() -> dict[str, str]:
    """The text of each file of this package, empty where it cannot be had."""
    package = importlib.import_module("certify.ops")
    texts = {}
    for module in pkgutil.iter_modules(package.__path__):
        file = Path(package.__path__[0], f"{module.name}.py")
        texts[module.name] = file.read_text(encoding="utf-8") if file.is_file() else ""
    return texts


@cache
def _load(op_type: str) -> None:
    """Import the files that name the operator, since most models need few of them and start-up counts."""
    for name, text in _texts().items():
        if not text or f'"{op_type}"' in text:
            importlib.import_module(f"certify.ops.{name}")


def find(op_type: str, domain: str, opset: int) -> Entry | None:
    """The entry for this operator at this opset, None if there is none."""
    _load(op_type)
    fitting = [e for e in _entries.get(("" if domain == "ai.onnx" else domain, op_type), []) if e.since <= opset]
    return fitting[-1] if fitting else None


def all_entries() -> list[Entry]:
    """Every registered operator, by name and version."""
    load_all()
    return [entry for key in sorted(_entries) for entry in _entries[key]]
