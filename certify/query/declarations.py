"""The declarations of VNN-LIB 2.0 for one network, and the elements of its tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from certify.query.assertions import STATEMENTS
from certify.query.syntax import Tensor
from certify.query.tokens import BOUND, CLOSE, OPEN, WORD, Source, Token
from certify.query.typecheck import check_declared_types, element_type

MAX_ELEMENTS = 10**8  # per tensor: 80 times the largest of the competition; above it a box alone exhausts the memory

_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_SHAPE = re.compile(r"\[(?:\d{1,9}(?:,\d{1,9})*)?\]", re.ASCII)
_RESERVED = frozenset({"and", "or", "initialized"})


class Declarations:
    """What the network and its tensors are called, and what shape and type they have."""

    def __init__(self, source: Source, tokens: Iterator[Token]) -> None:
        self.source, self.tokens = source, tokens
        self.network = ""
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[str, int] = {}  # networks and tensors share one namespace: name -> offset

    def with_role(self, role: str) -> tuple[Tensor, ...]:
        """The inputs, or the outputs, in the order declared."""
        return tuple(tensor for tensor in self.tensors.values() if tensor.role == role)

    def read_network(self, offset: int) -> None:
        """The rest of the `(declare-network` at `offset`."""
        source = self.source
        for token in self.tokens:
            kind, head = token.lastindex, token[OPEN]
            if kind == WORD and not self.network:
                self.network = self._new_name(token[WORD], token.start())
            elif kind == OPEN and self.network and head in ("declare-input", "declare-output"):
                self._read_tensor("input" if head == "declare-input" else "output", token.start())
            elif kind == OPEN and head in ("declare-hidden", "equal-to", "isomorphic-to"):
                raise source.error(token.start(), f"{head} is not supported yet")
            elif kind == CLOSE and self.network:
                break
            elif kind == BOUND or (kind == OPEN and head in STATEMENTS):
                raise source.unclosed(offset)
            else:
                hint = "(declare-network NAME (declare-input ...) (declare-output ...))"
                raise source.error(token.start(), "expected the network's name, then its inputs and outputs", hint)
        else:
            raise source.unclosed(offset)
        for role in ("input", "output"):
            if not self.with_role(role):
                raise source.error(offset, f"network {self.network} has no {role}", f"add (declare-{role} ...)")
        check_declared_types(source, tuple(self.tensors.values()))

    def _read_tensor(self, role: Literal["input", "output"], offset: int) -> None:
        words = self.source.words(self.tokens, offset)
        if len(words) == 3 and words[2][0] == "initialized":
            raise self.source.error(words[2][1], "an initialized input is not supported yet")
        dtype, bracket, dims = words[1][0].partition("[") if len(words) == 2 else ("", "", "")
        if not _SHAPE.fullmatch(bracket + dims):
            hint = f"(declare-{role} NAME float32 [1,2]), with commas; [] is a scalar"
            raise self.source.error(offset, "a declaration needs a name, a type and a shape", hint)
        name = self._new_name(*words[0])
        place = words[1][1]
        dtype = element_type(self.source, dtype, place)
        shape = _integers(dims)
        if 0 in shape:
            hint = "every dimension is at least 1; a scalar has the shape []"
            raise self.source.error(place, f"the shape of {name} has a dimension 0", hint)
        if math.prod(shape) > MAX_ELEMENTS:
            raise self.source.error(place, f"{name} has more than {MAX_ELEMENTS} elements")
        if role == "input" and self.with_role("output"):
            self.source.tolerate(offset, "an input declared after an output")
        self.tensors[name] = Tensor(name, role, dtype, shape, offset)

    def _new_name(self, name: str, offset: int) -> str:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            hint = "a letter, then letters, digits and '_'; not and, or, initialized"
            raise self.source.error(offset, f"'{name}' cannot be a name", hint)
        if name in self._names:
            line = self.source.line(self._names[name])
            raise self.source.error(offset, f"{name} is declared twice, first on line {line}")
        self._names[name] = offset
        return name

    def element(self, word: str, offset: int) -> tuple[str, int]:
        """The tensor and the flat index that a word such as `X[0,3]` stands for."""
        name, bracket, inside = word.partition("[")
        tensor = self.tensors.get(name)
        if tensor is None:
            raise self.source.unknown(word, offset)
        if bracket and not _SHAPE.fullmatch(bracket + inside):
            raise self.source.error(offset, f"'{word}' is not an element of a tensor", "indices are whole: X[0,3]")
        indices, rank = _integers(inside), len(tensor.shape)
        if len(indices) == rank and bool(bracket) == (rank > 0):
            index = int(flat_index(np.array([indices], dtype=np.int64), tensor.shape)[0])
            if index >= 0:
                return name, index
        elif len(indices) <= 1 and sum(indices) < tensor.size and (indices or tensor.size == 1):
            self.source.tolerate(offset, "a flat index where the tensor has another number of axes")
            return name, sum(indices)
        shape = "[" + ",".join(map(str, tensor.shape)) + "]"
        hint = f"it has {rank} axes, counted from 0" if rank else f"a scalar is written {name}"
        raise self.source.error(offset, f"{word} is not an element of {name}, whose shape is {shape}", hint)

    def flat_indices(self, tensor: Tensor, words: Sequence[str]) -> np.ndarray:
        """The flat index of each word `NAME[i,j,...]` about one tensor; all -1 if any is no plain element of it."""
        rank, start = len(tensor.shape), len(tensor.name) + 1
        if rank == 0 or any(word.count(",") != rank - 1 for word in words):
            return np.full(len(words), -1)
        indices = list(map(int, ",".join([word[start:-1] for word in words]).split(",")))
        return flat_index(np.array(indices).reshape(-1, rank), tensor.shape)


def flat_index(indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Row-major index [rows] of each row of indices [rows, rank], or -1 where one of them is out of range."""
    inside = (indices < np.array(shape, dtype=np.int64)).all(axis=1)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return np.where(inside, indices @ np.array(strides, dtype=np.int64), -1)


def _integers(text: str) -> tuple[int, ...]:
    """The whole numbers of `1,2]`, which may be none."""
    return tuple(int(digits) for digits in text.rstrip("]").split(",") if digits)
