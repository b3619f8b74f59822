"""The abstract syntax of a query, the same for VNN-LIB 1.0 and 2.0.

A query asks: is there an assignment of the declared inputs such that every assertion holds, the hidden values and the
outputs being what the networks compute? Nodes are immutable and carry the offset of their first character in the text,
from which `Query.locate` finds line and column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from certify.errors import ParseError
from certify.query.diagnostics import Diagnostic

Version = Literal["1.0", "2.0"]
Relation = Literal["<=", ">=", "<", ">", "==", "!="]
Role = Literal["input", "hidden", "output"]
Likeness = Literal["equal-to", "isomorphic-to"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number: the nearest float64, and the text it was written as."""

    value: float
    lexeme: str
    offset: int


@dataclass(frozen=True, slots=True)
class Variable:
    """One element of a declared tensor. `index` is flat, in row-major (C) order."""

    tensor: str
    index: int
    offset: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`operator` applied to its operands from left to right: (- a b c) is a - b - c, (- a) is -a."""

    operator: Literal["+", "-", "*"]
    operands: tuple[Term, ...]
    offset: int


Term = Constant | Variable | Arithmetic


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left relation right`."""

    relation: Relation
    left: Term
    right: Term
    offset: int


@dataclass(frozen=True, slots=True)
class Connective:
    """Conjunction or disjunction of its operands, in the order written."""

    operator: Literal["and", "or"]
    operands: tuple[Assertion, ...]
    offset: int


Assertion = Comparison | Connective


@dataclass(frozen=True, slots=True, eq=False)
class TensorBounds:
    """Many assertions `X_i <= c` or `X_i >= c` on one tensor, in bulk: the compact form of what most specs consist of.

    Row k asserts: element `index[k]` of `tensor` is <= (where `upper[k]`) or >= (elsewhere) `value[k]`.
    """

    tensor: str
    index: np.ndarray
    upper: np.ndarray
    value: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True, slots=True)
class Tensor:
    """A declared input, hidden value or output. `shape` is () for a scalar; the flat elements of VNN-LIB 1.0 have (n,).

    value: the ONNX name of a hidden value; inputs and outputs are matched by position instead. initialized: whether an
    input keeps the value that the model gives it (2.1).
    """

    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]
    offset: int
    value: str = ""
    initialized: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def element(self, index: int, version: Version) -> str:
        """How a version of VNN-LIB writes the element with a flat index: X_7, X[1,2], or Y for a scalar."""
        if version == "1.0":
            return f"{self.name}_{index}"
        if not self.shape:
            return self.name
        return f"{self.name}[{','.join(map(str, np.unravel_index(index, self.shape)))}]"


@dataclass(frozen=True, slots=True)
class NetworkDeclaration:
    """A declared network and its tensors. like: how it is related to an earlier network, and that network's name."""

    name: str
    inputs: tuple[Tensor, ...]
    hidden: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    like: tuple[Likeness, str] | None = None

    @property
    def computed(self) -> tuple[Tensor, ...]:
        """What the network computes: hidden values, then outputs."""
        return self.hidden + self.outputs

    @property
    def model_name(self) -> str:
        """The network whose model file this one uses: its own, unless it is equal to another."""
        return self.like[1] if self.like and self.like[0] == "equal-to" else self.name


def locate(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character offset into a text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


@dataclass(frozen=True, eq=False)
class Query:
    """A specification as written: declarations and assertions, all of which must hold together.

    In version 1.0 the tensors are called X and Y and have one axis. `warnings` lists what was read leniently.
    """

    file: str
    version: Version
    networks: tuple[NetworkDeclaration, ...]
    bounds: tuple[TensorBounds, ...]
    assertions: tuple[Assertion, ...]
    text: str
    sha256: str
    warnings: tuple[Diagnostic, ...] = ()

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of all networks, in declaration order."""
        return tuple(tensor for network in self.networks for tensor in network.inputs)

    @cached_property
    def computed(self) -> tuple[Tensor, ...]:
        """The hidden values and outputs of all networks, in declaration order."""
        return tuple(tensor for network in self.networks for tensor in network.computed)

    def element(self, number: int) -> str:
        """How the query writes the variable with a number, counted through all inputs, then all computed values."""
        for tensor in self.inputs + self.computed:
            if number < tensor.size:
                return tensor.element(number, self.version)
            number -= tensor.size
        raise IndexError(number)

    def locate(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character offset into the text."""
        return locate(self.text, offset)

    def lines(self, offsets: np.ndarray) -> np.ndarray:
        """The lines, from 1, of many character offsets at once."""
        ends = np.cumsum([len(line) + 1 for line in self.text.split("\n")])
        return np.searchsorted(ends, offsets, side="right") + 1

    def error(self, code: str, offset: int, message: str, hint: str = "") -> ParseError:
        """A complaint about what stands at a character offset."""
        return ParseError(self.file, *self.locate(offset), message, hint, code)

    def tensors(self) -> Iterator[Tensor]:
        """All declared tensors in declaration order: network by network inputs, hidden values, outputs."""
        for network in self.networks:
            yield from network.inputs + network.computed
