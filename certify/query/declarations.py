"""The declarations of VNN-LIB 2.0: networks, their tensors, and the elements of these."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from certify.query.assertions import STATEMENTS
from certify.query.syntax import Likeness, NetworkDeclaration, Role, Tensor
from certify.query.tokens import BOUND, CLOSE, OPEN, WORD, Source, Token
from certify.query.typecheck import check_declared_types, check_likeness, element_type

MAX_ELEMENTS = 10**8  # per tensor: 80 times the largest of the competition; above it a box alone exhausts the memory

_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_SHAPE = re.compile(r"\[(?:\d{1,9}(?:,\d{1,9})*)?\]", re.ASCII)
_ROLES: dict[str, Role] = {"declare-input": "input", "declare-hidden": "hidden", "declare-output": "output"}
_ORDER = list(_ROLES.values())
_LIKENESSES: dict[str, Likeness] = {"equal-to": "equal-to", "isomorphic-to": "isomorphic-to"}
ONE_BY_ONE = "the shape [0], and elements declared one by one"
_RESERVED = frozenset({"and", "or", "initialized"})


class Declarations:
    """What the networks and their tensors are called, and what shape and type they have."""

    def __init__(self, source: Source, tokens: Iterator[Token]) -> None:
        self.source, self.tokens = source, tokens
        self.networks: dict[str, NetworkDeclaration] = {}
        self.tensors: dict[str, Tensor] = {}
        self.counted: set[str] = set()  # tensors whose elements are declared one by one
        self._names: dict[str, int] = {}  # networks and tensors share one namespace: name -> offset

    def read_network(self, offset: int) -> NetworkDeclaration:
        """The rest of the `(declare-network` at `offset`."""
        source, name = self.source, ""
        like: tuple[Likeness, str] | None = None
        tensors: list[Tensor] = []
        for token in self.tokens:
            kind, head = token.lastindex, token[OPEN]
            if kind == WORD and not name:
                name = self._new_name(token[WORD], token.start())
            elif kind == OPEN and name and head in _ROLES:
                tensors.append(self._read_tensor(_ROLES[head], token.start(), tensors))
            elif kind == OPEN and name and head in _LIKENESSES:
                if like or tensors:
                    raise source.error(
                        "V0308", token.start(), f"{head} stands once, after the name {name}, before its tensors"
                    )
                like = self._read_likeness(_LIKENESSES[head], token.start())
            elif kind == CLOSE and name:
                break
            elif kind == BOUND or (kind == OPEN and head in STATEMENTS):
                raise source.unclosed(offset)
            else:
                hint = "(declare-network NAME (declare-input ...) (declare-output ...))"
                raise source.error(
                    "V0301", token.start(), "expected the network's name, then its inputs and outputs", hint
                )
        else:
            raise source.unclosed(offset)
        network = NetworkDeclaration(
            name, _with_role(tensors, "input"), _with_role(tensors, "hidden"), _with_role(tensors, "output"), like
        )
        self._check(network, offset)
        self.networks[name] = network
        return network

    def _check(self, network: NetworkDeclaration, offset: int) -> None:
        for role, tensors in (("input", network.inputs), ("output", network.outputs)):
            if not tensors:
                raise self.source.error(
                    "V0305", offset, f"network {network.name} has no {role}", f"add (declare-{role} ...)"
                )
        check_declared_types(self.source, tuple(self.tensors.values()))
        if network.like:
            check_likeness(self.source, network, self.networks[network.like[1]])

    def _read_likeness(self, kind: Likeness, offset: int) -> tuple[Likeness, str]:
        words = self.source.words(self.tokens, offset)
        other = words[0][0] if len(words) == 1 else ""
        if other not in self.networks:
            message = f"'{other}' is no network declared before" if other else f"{kind} takes the name of one network"
            raise self.source.error("V0308", offset, message, f"({kind} NAME) names an earlier network")
        like = self.networks[other].like
        if like:
            message = f"{other} is itself {like[0]} another network"
            raise self.source.error("V0308", offset, message, f"name {like[1]} instead")
        return kind, other

    def _read_tensor(self, role: Role, offset: int, before: Sequence[Tensor]) -> Tensor:
        words = self.source.words(self.tokens, offset)
        initialized = len(words) == 3 and words[2][0] == "initialized" and role == "input"
        if initialized:
            words.pop()
        value = ""
        if role == "hidden":
            value = self.source.strings.get(words.pop()[1], "") if words else ""
            if not value:
                hint = '(declare-hidden NAME float32 [1,2] "name of a tensor in the ONNX file")'
                raise self.source.error(
                    "V0301", offset, "a hidden value needs the ONNX name of a tensor, in quotes", hint
                )
        dtype, bracket, dims = words[1][0].partition("[") if len(words) == 2 else ("", "", "")
        if not _SHAPE.fullmatch(bracket + dims):
            hint = f"(declare-{role} NAME float32 [1,2]), with commas; [] is a scalar"
            raise self.source.error("V0301", offset, "a declaration needs a name, a type and a shape", hint)
        name = self._new_name(*words[0])
        place = words[1][1]
        dtype = element_type(self.source, dtype, place)
        shape = _integers(dims)
        if shape == (0,):
            shape = self._counted(name, place)
        if 0 in shape:
            hint = "every dimension is at least 1; a scalar has the shape []"
            raise self.source.error("V0306", place, f"the shape of {name} has a dimension 0", hint)
        if math.prod(shape) > MAX_ELEMENTS:
            raise self.source.error("V0306", place, f"{name} has more than {MAX_ELEMENTS} elements")
        if any(_ORDER.index(tensor.role) > _ORDER.index(role) for tensor in before):
            what = "an input declared after an output" if role == "input" else "a hidden value declared after an output"
            self.source.tolerate("V1204", offset, what)
        self.tensors[name] = Tensor(name, role, dtype, shape, offset, value, initialized)
        return self.tensors[name]

    def _counted(self, name: str, offset: int) -> tuple[int, ...]:
        """The shape of a tensor with the shape [0] whose elements are declared one by one, as a converter writes it."""
        pattern = rf"\(declare-fun\s+{name}\[(\d{{1,9}})\]\s+\(\s*\)\s+Real\s*\)"
        indices = [int(found[1]) for found in re.finditer(pattern, self.source.code, re.ASCII)]
        if indices and indices == list(range(len(indices))):
            self.source.tolerate("V1208", offset, ONE_BY_ONE, f"write the shape [{len(indices)}]")
            self.counted.add(name)
            return (len(indices),)
        return (0,)

    def _new_name(self, name: str, offset: int) -> str:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            hint = "a letter, then letters, digits and '_'; not and, or, initialized"
            raise self.source.error("V0302", offset, f"'{name}' cannot be a name", hint)
        if name in self._names:
            line = self.source.line(self._names[name])
            raise self.source.error("V0303", offset, f"{name} is declared twice, first on line {line}")
        self._names[name] = offset
        return name

    def element(self, word: str, offset: int) -> tuple[str, int]:
        """The tensor and the flat index that a word such as `X[0,3]` stands for."""
        name, bracket, inside = word.partition("[")
        tensor = self.tensors.get(name)
        if tensor is None:
            raise self.source.unknown(word, offset)
        if bracket and not _SHAPE.fullmatch(bracket + inside):
            raise self.source.error(
                "V0205", offset, f"'{word}' is not an element of a tensor", "indices are whole: X[0,3]"
            )
        indices, rank = _integers(inside), len(tensor.shape)
        if len(indices) == rank and bool(bracket) == (rank > 0):
            index = int(flat_index(np.array([indices], dtype=np.int64), tensor.shape)[0])
            if index >= 0:
                return name, index
        elif len(indices) <= 1 and sum(indices) < tensor.size and (indices or tensor.size == 1):
            self.source.tolerate("V1311", offset, "a flat index where the tensor has another number of axes")
            return name, sum(indices)
        shape = "[" + ",".join(map(str, tensor.shape)) + "]"
        hint = f"it has {rank} axes, counted from 0" if rank else f"a scalar is written {name}"
        raise self.source.error("V0205", offset, f"{word} is not an element of {name}, whose shape is {shape}", hint)

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


def _with_role(tensors: Sequence[Tensor], role: Role) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in tensors if tensor.role == role)


def _integers(text: str) -> tuple[int, ...]:
    """The whole numbers of `1,2]`, which may be none."""
    return tuple(int(digits) for digits in text.rstrip("]").split(",") if digits)
