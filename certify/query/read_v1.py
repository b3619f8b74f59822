"""VNN-LIB 1.0 as VNN-COMP uses it, and the wider dialects that other generators write.

Strict mode reads the core dialect: what the official scorer's own reader of version 1.0 accepts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from certify.query.assertions import AssertionReader
from certify.query.bulk import BoundRows
from certify.query.syntax import (
    Arithmetic,
    Assertion,
    Comparison,
    Constant,
    NetworkDeclaration,
    Query,
    Tensor,
    Variable,
)
from certify.query.tokens import BOUND, DECLARATION, OPEN, Source, Token, scanner

_INDEX = r"0|[1-9]\d{0,8}"
_PLAIN = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"  # any other spelling of a number earns a note, so not in bulk
_NAME = re.compile(rf"([XY])_({_INDEX})", re.ASCII)
_SCANNER = scanner(
    rf"(\(\s*assert\s*)?\(\s*([<>])=\s+(X_(?:{_INDEX}))\s+({_PLAIN})\s*\)(?(1)\s*\))",
    rf"\(\s*declare-const\s+([XY])_({_INDEX})\s+Real\s*\)",
)
_IGNORED = frozenset({"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"})


def read_v1(source: Source, sha256: str) -> Query:
    """The query of a VNN-LIB 1.0 text: tensors X and Y with one axis each, assertions in the order written."""
    source.standard = "the core dialect of VNN-LIB 1.0"
    source.check_characters()
    return _Reader(source).read(sha256)


class _Reader:
    minimum_operands = 1

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = _SCANNER.finditer(source.code)
        self.declared: dict[str, dict[int, int]] = {"X": {}, "Y": {}}  # by tensor: index -> offset of the declaration
        self.bounds = BoundRows()
        self.assertions: list[Assertion] = []
        self._known: dict[str, tuple[str, int]] = {}
        self._assertion_reader = AssertionReader(source, self.tokens, self)

    def read(self, sha256: str) -> Query:
        """All statements, one after the other."""
        for token in self.tokens:
            kind = token.lastindex
            if kind == BOUND and token[1]:
                self.bounds.add(token)
            elif kind == DECLARATION:
                self._declare(token[5], int(token[6]), token.start())
            elif kind == OPEN:
                self._statement(token[OPEN], token.start())
            else:
                raise self.source.stray(token)
        inputs, outputs = self._tensor("X", "input"), self._tensor("Y", "output")
        bounds = (self.bounds.finish(self.source, "X", self._flat_indices, self),) if self.bounds else ()
        source = self.source
        return Query(
            file=source.file, version="1.0", bounds=bounds,
            networks=(NetworkDeclaration("", (inputs,), (), (outputs,)),),
            assertions=tuple(self.assertions), text=source.text, sha256=sha256, warnings=source.warnings(),
        )  # fmt: skip

    def term(self, word: str, offset: int) -> Constant | Variable:
        """See `Vocabulary`."""
        known = self._known.get(word)
        if known is None:
            constant = self.source.number(word, offset)
            if constant:
                if word[0] in "+." or word[-1] == "." or word[:2] == "-.":
                    self.source.tolerate(
                        "V1104", offset, "a number with '+' or without a digit before and after its point"
                    )
                return constant
            name = _NAME.fullmatch(word)
            if not name or int(name[2]) not in self.declared[name[1]]:
                raise self.source.unknown(word, offset)
            known = self._known[word] = name[1], int(name[2])
        return Variable(*known, offset)

    def store(self, token: Token) -> bool:
        """See `Vocabulary`."""
        self.bounds.add(token)
        return True

    def _declare(self, tensor: str, index: int, offset: int) -> None:
        if self.bounds or self.assertions:
            self.source.tolerate("V1203", offset, "a declaration after an assertion")
        first = self.declared[tensor].setdefault(index, offset)
        if first != offset:
            line = self.source.line(first)
            raise self.source.error("V0303", offset, f"{tensor}_{index} is declared twice, first on line {line}")

    def _statement(self, head: str, offset: int) -> None:
        """Any statement that is not a single token."""
        if head == "assert":
            assertion = self._assertion_reader.read(offset)
            if assertion is None:
                self.source.tolerate("V1306", offset, _TOP_LEVEL_AND)
            else:
                check_core_dialect(self.source, assertion)
                self.assertions.append(assertion)
        elif head in ("declare-const", "declare-fun"):
            self._unusual_declaration(head, offset)
        elif head in _IGNORED:
            self.source.tolerate("V1206", offset, f"({head} ...), ignored")
            self.source.words(self.tokens, offset)
        else:
            hint = "VNN-LIB 1.0 knows declare-const and assert"
            raise self.source.error("V0105", offset, f"unknown statement '{head}'", hint)

    def _unusual_declaration(self, head: str, offset: int) -> None:
        """A declaration that is no token of its own: spelt as a function, misspelt, or of something else."""
        words = self.source.words(self.tokens, offset)
        name, *rest = (word for word, _ in words) if words else ("",)
        if rest[:2] == ["(", ")"] and head == "declare-fun":
            self.source.tolerate("V1205", offset, "declare-fun written for declare-const")
            rest = rest[2:]
        if len(rest) != 1:
            raise self.source.error("V0301", offset, "a declaration needs a name and a sort", f"({head} X_0 Real)")
        matched = _NAME.fullmatch(name)
        if not matched:
            hint = "inputs are called X_0, X_1, ... and outputs Y_0, Y_1, ..."
            raise self.source.error("V0302", words[0][1], f"'{name}' is not a variable of VNN-LIB 1.0", hint)
        if rest[0] != "Real":
            if rest[0].lower() != "real":
                raise self.source.error(
                    "V0401", words[-1][1], f"unknown sort '{rest[0]}'", "variables are of sort Real"
                )
            self.source.tolerate("V1207", words[-1][1], f"'{rest[0]}' written for 'Real'")
        self._declare(matched[1], int(matched[2]), offset)

    def _tensor(self, name: str, role: str) -> Tensor:
        declared = self.declared[name]
        if not declared:
            raise self.source.error("V0305", 0, f"no {role} {name}_0 is declared", f"add (declare-const {name}_0 Real)")
        last = max(declared)
        if last != len(declared) - 1:
            missing = next(index for index in range(last) if index not in declared)
            hint = "the numbering must have no gaps"
            raise self.source.error(
                "V0304", declared[last], f"{name}_{last} is declared, but {name}_{missing} is not", hint
            )
        return Tensor(name, role, "real", (len(declared),), declared[0])  # type: ignore[arg-type]

    def _flat_indices(self, variables: Sequence[str]) -> np.ndarray:
        index = np.array([int(word[2:]) for word in variables])
        return np.where(index < len(self.declared["X"]), index, -1)


_TOP_LEVEL_AND = "a top-level 'and'"


def check_core_dialect(source: Source, assertion: Assertion) -> None:
    """Tolerate, one by one, what the core dialect lacks: it has comparisons and one level of (or (and ...) ...)."""
    pending: list[tuple[Assertion, str]] = [(assertion, "assert")]
    while pending:
        node, parent = pending.pop()
        if isinstance(node, Comparison):
            if parent == "or":
                source.tolerate("V1307", node.offset, "a comparison directly inside 'or'")
            _check_core_comparison(source, node)
            continue
        if (parent, node.operator) == ("assert", "and"):
            source.tolerate("V1306", node.offset, _TOP_LEVEL_AND)
        elif (parent, node.operator) not in (("assert", "or"), ("or", "and")):
            source.tolerate("V1307", node.offset, f"'{node.operator}' inside '{parent}'")
        pending.extend((operand, node.operator) for operand in reversed(node.operands))


def _check_core_comparison(source: Source, comparison: Comparison) -> None:
    left, right = comparison.left, comparison.right
    if isinstance(left, Variable) and isinstance(right, Constant) and comparison.relation in ("<=", ">="):
        return  # nearly all of them
    if comparison.relation not in ("<=", ">="):
        source.tolerate("V1308", comparison.offset, f"the relation '{comparison.relation}'")
    if isinstance(left, Arithmetic) or isinstance(right, Arithmetic):
        source.tolerate("V1309", comparison.offset, "arithmetic")
        return
    names = {term.tensor for term in (left, right) if isinstance(term, Variable)}
    if not names:
        source.tolerate("V1310", comparison.offset, "a comparison of two numbers")
    elif names == {"X", "Y"}:
        source.tolerate("V1310", comparison.offset, "a comparison of an input with an output")
    elif names == {"X"} and isinstance(left, Variable) and isinstance(right, Variable):
        source.tolerate("V1310", comparison.offset, "a comparison of two inputs")
    elif names == {"X"} and isinstance(left, Constant):
        source.tolerate("V1310", comparison.offset, "a number left of an input")
