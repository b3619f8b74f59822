"""VNN-LIB 2.0: networks, several inputs, hidden values and outputs each, polynomial atoms over all of them.

Strict mode is the standard's grammar and typing.
"""

from __future__ import annotations

import re
from functools import partial

from certify.query.assertions import STATEMENTS, AssertionReader
from certify.query.bulk import BoundRows
from certify.query.declarations import ONE_BY_ONE, Declarations
from certify.query.syntax import Assertion, Constant, Query, TensorBounds, Variable
from certify.query.tokens import BOUND, OPEN, Source, Token, scanner
from certify.query.typecheck import FLOATS, check_comparisons

_DECIMAL = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_VERSION = re.compile(r"<?(\d+)\.(\d+)>?", re.ASCII)

# Only the canonical spelling is read in bulk: it leaves nothing to check about the number.
_SCANNER = scanner(
    r"(\(assert\s*)?\(\s*([<>])=\s+([A-Za-z]\w*\[\d{1,9}(?:,\d{1,9})*\])\s+(-?\d+\.\d+)\s*\)(?(1)\s*\))",
    r"(?!)()()",
)
# Brackets with blanks before or inside them. It begins with a literal, which the regex engine finds fast.
_LOOSE_BRACKETS = re.compile(r"\[(?:(?<=\s\[)|(?=[^\[\]()\s]*\s))([^\[\]()]*)\]", re.ASCII)


def read_v2(source: Source, sha256: str) -> Query:
    """The query of a VNN-LIB 2.0 text."""
    source.standard = "VNN-LIB 2.0"
    source.check_characters()
    source.code = _tighten_brackets(source.code)
    return _Reader(source).read(sha256)


def _tighten_brackets(code: str) -> str:
    """`X [0, 1]` as `X[0,1]`, the blanks put behind, so that no offset changes."""
    pieces, done = [], 0
    for brackets in _LOOSE_BRACKETS.finditer(code):
        before = code[done : brackets.start()].rstrip()
        inside = ",".join(index.strip() for index in brackets[1].split(","))
        pieces.append(f"{before}[{inside}]".ljust(brackets.end() - done))
        done = brackets.end()
    return "".join(pieces) + code[done:]


class _Reader:
    minimum_operands = 2

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = _SCANNER.finditer(source.code)
        self.version_seen = False
        self.declarations = Declarations(source, self.tokens)
        self.bounds: dict[str, BoundRows] = {}  # by name of an input of a floating-point type
        self.assertions: list[Assertion] = []
        self._known: dict[str, tuple[str, int]] = {}
        self._assertion_reader = AssertionReader(source, self.tokens, self)

    def read(self, sha256: str) -> Query:
        """All statements, one after the other."""
        source, declarations = self.source, self.declarations
        for token in self.tokens:
            kind = token.lastindex
            if kind == BOUND and token[1]:
                if not self.store(token):
                    self._assert(self._assertion_reader.bound(token))
            elif kind == OPEN:
                self._statement(token)
            else:
                raise source.stray(token)
        if not declarations.networks:
            raise source.error("V0305", 0, "no network is declared", "add (declare-network N (declare-input ...) ...)")
        return Query(
            file=source.file, version="2.0", networks=tuple(declarations.networks.values()),
            bounds=tuple(self._finish(name, rows) for name, rows in self.bounds.items() if rows),
            assertions=tuple(self.assertions), text=source.text, sha256=sha256, warnings=source.warnings(),
        )  # fmt: skip

    def term(self, word: str, offset: int) -> Constant | Variable:
        """See `Vocabulary`."""
        known = self._known.get(word)
        if known is None:
            constant = self.source.number(word, offset)
            if constant:
                if not _DECIMAL.fullmatch(word):
                    self.source.tolerate("V1104", offset, "a number with an exponent, a '+' or a bare point")
                return constant
            known = self._known[word] = self.declarations.element(word, offset)
        return Variable(*known, offset)

    def store(self, token: Token) -> bool:
        """See `Vocabulary`."""
        variable = token[3]
        rows = self.bounds.get(variable[: variable.index("[")])
        if rows is None:
            return False
        rows.add(token)
        return True

    def _finish(self, name: str, rows: BoundRows) -> TensorBounds:
        decode = partial(self.declarations.flat_indices, self.declarations.tensors[name])
        return rows.finish(self.source, name, decode, self)

    def _statement(self, token: Token) -> None:
        """Any statement that is not a single token."""
        head, offset = token[OPEN], token.start()
        if head in STATEMENTS and token.start(OPEN) > offset + 1:
            self.source.tolerate("V1103", offset, "a blank between '(' and its keyword")
        if head == "assert":
            assertion = self._assertion_reader.read(offset)
            if assertion is not None:
                self._assert(assertion)
        elif head == "declare-network":
            self._network(offset)
        elif head == "vnnlib-version" and not self.version_seen and not self.declarations.networks:
            self._version(offset)
        elif head == "declare-fun" and self.declarations.counted:
            word, place = (*self.source.words(self.tokens, offset), ("", offset))[0]
            if word.partition("[")[0] not in self.declarations.counted:
                raise self.source.unknown(word, place)
            self.source.tolerate("V1208", offset, ONE_BY_ONE)
        else:
            hint = "VNN-LIB 2.0 knows vnnlib-version (once, first), declare-network and assert"
            raise self.source.error("V0105", offset, f"unknown statement '{head}'", hint)

    def _assert(self, assertion: Assertion) -> None:
        check_comparisons(self.source, assertion, self.declarations.tensors)
        self.assertions.append(assertion)

    def _network(self, offset: int) -> None:
        if not self.version_seen and not self.declarations.networks:
            self.source.tolerate("V1201", offset, "no (vnnlib-version <2.0>) at the beginning")
        if self.assertions or any(self.bounds.values()):
            self.source.tolerate("V1203", offset, "a network declared after an assertion")
        inputs = self.declarations.read_network(offset).inputs
        self.bounds |= {tensor.name: BoundRows() for tensor in inputs if tensor.dtype in FLOATS}

    def _version(self, offset: int) -> None:
        words = self.source.words(self.tokens, offset)
        version = _VERSION.fullmatch(words[0][0]) if len(words) == 1 else None
        if not version or version[1] != "2":
            raise self.source.error("V0307", offset, "this is not version 2 of VNN-LIB", "write (vnnlib-version <2.0>)")
        if words[0][0] not in ("<2.0>", "<2.1>"):
            self.source.tolerate("V1202", words[0][1], f"the version written '{words[0][0]}'")
        self.version_seen = True
