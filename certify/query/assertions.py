"""Reading what stands between `(assert` and its closing parenthesis: the same in both versions of VNN-LIB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol, cast

from certify.errors import ParseError
from certify.query.syntax import Arithmetic, Assertion, Comparison, Connective, Constant, Relation, Term, Variable
from certify.query.tokens import BINARY, BOUND, CLOSE, OPEN, WORD, Source, Token

MAX_DEPTH = 200  # far above any real file, far below where the recursion of those who walk the syntax would end
STATEMENTS = frozenset({"assert", "declare-const", "declare-fun", "declare-network", "vnnlib-version"})

_RELATIONS: dict[str, Relation] = {"<=": "<=", ">=": ">=", "<": "<", ">": ">", "==": "==", "!=": "!=", "=": "=="}
_NEGATED: dict[Relation, Relation] = {"<=": ">", ">": "<=", ">=": "<", "<": ">=", "==": "!=", "!=": "=="}
_ARITHMETIC: dict[str, Literal["+", "-", "*"]] = {"+": "+", "-": "-", "*": "*"}
_CONNECTIVES: dict[str, Literal["and", "or"]] = {"and": "and", "or": "or"}
_FIXED_COUNTS = {"assert": 1, "not": 1, "=>": 2}
_OPERATORS = frozenset({"not", "=>"}) | _CONNECTIVES.keys() | _ARITHMETIC.keys() | _RELATIONS.keys()
_SINGLE_EQUALS = "'=' written for '=='"
_OPERATORS_FIRST = "operators stand first, as in (<= X_0 0.5); there are and or <= >= < > == != + - *"


class Vocabulary(Protocol):
    """What a version of VNN-LIB calls things."""

    minimum_operands: int

    def term(self, word: str, offset: int) -> Constant | Variable:
        """The number or variable a word stands for. Neither: ParseError."""

    def store(self, token: Token) -> bool:
        """Keep an asserted bound in bulk; False if it must be read like any other comparison."""


class _Pair(tuple[Term, Term]):
    """The malformed `(0.74 (- Y_0 ...))` of linearizenn: both sides of a comparison in a list of their own."""

    offset: int


class _Infix(NamedTuple):
    """An operator between its operands, where a list begins with neither an operator nor a pair."""

    operator: str
    offset: int


_Operand = Assertion | Term | _Pair | _Infix


class _List:
    """A list while it is open. `asserted`: what stands directly in it must hold, it is not one of several options."""

    __slots__ = ("asserted", "head", "offset", "operands", "stored")

    def __init__(self, head: str, offset: int, asserted: bool) -> None:
        self.head, self.offset, self.asserted = head, offset, asserted
        self.operands: list[_Operand] = []
        self.stored = 0  # how many operands went to the bulk store instead


class AssertionReader:
    """Turns tokens into assertions. Open lists are kept on a stack of our own, so the depth is ours to limit."""

    def __init__(self, source: Source, tokens: Iterator[Token], vocabulary: Vocabulary) -> None:
        self.source, self.tokens, self.vocabulary = source, tokens, vocabulary

    def read(self, start: int) -> Assertion | None:
        """The assertion of the statement opened at `start`, or None if all of it went to the bulk store."""
        innermost = _List("assert", start, asserted=True)
        around: list[_List] = []
        for token in self.tokens:
            kind = token.lastindex
            if kind == BINARY:
                innermost.operands.append(self._binary(token))
            elif kind == BOUND and not token[1]:
                if innermost.asserted and self.vocabulary.store(token):
                    innermost.stored += 1
                else:
                    innermost.operands.append(self.bound(token))
            elif kind == CLOSE:
                node = self._close(innermost)
                if not around:
                    return cast("Assertion | None", node)
                innermost = around.pop()
                if node is None:
                    innermost.stored += 1
                else:
                    innermost.operands.append(node)
            elif kind == OPEN and token[OPEN] not in STATEMENTS:
                around.append(innermost)
                innermost = self._open(token, around)
            elif kind == WORD:
                innermost.operands.append(self._word(token[WORD], token.start(), innermost))
            else:
                break  # the next statement begins inside this one
        raise self.source.unclosed(innermost.offset)

    def _open(self, token: Token, around: list[_List]) -> _List:
        """A new list for an opening parenthesis and the operator after it."""
        head, offset = token[OPEN], token.start()
        if len(around) > MAX_DEPTH:
            hint = "(and a b c ...), (or ...) and (+ ...) take any number of operands"
            raise self.source.error("V0106", offset, f"nested deeper than {MAX_DEPTH}", hint)
        opened = _List(head, offset, asserted=head == "and" and around[-1].asserted)
        if head and head not in _OPERATORS:
            opened.head = ""
            opened.operands.append(self._first(head, token.start(OPEN)))
        return opened

    def _first(self, word: str, offset: int) -> Term:
        """The number or variable that stands where an operator belongs."""
        try:
            return self.vocabulary.term(word, offset)
        except ParseError as error:
            if error.code != "V0204":
                raise
            raise self.source.error("V0201", offset, f"'{word}' is not an operator", _OPERATORS_FIRST) from None

    def _word(self, word: str, offset: int, innermost: _List) -> Term | _Infix:
        """An operand, or the operator between two of them."""
        if not innermost.head and (word in _RELATIONS or word in _ARITHMETIC):
            return _Infix(word, offset)
        return self.vocabulary.term(word, offset)

    def _close(self, closed: _List) -> _Operand | None:
        """The node a complete list stands for, or None if all of it went to the bulk store."""
        head = closed.head
        if head in _RELATIONS:
            return self._relation(closed)
        if head in _ARITHMETIC:
            return self._arithmetic(closed)
        if head in _OPERATORS or head == "assert":
            return self._formula(closed)
        return self._headless(closed)

    def bound(self, token: Token) -> Comparison:
        """The comparison that a bound token is."""
        variable = self.vocabulary.term(token[3], token.start(3))
        constant = self.source.finite(token[4], token.start(4))
        return Comparison("<=" if token[2] == "<" else ">=", variable, constant, token.start(2) - 1)

    def _binary(self, token: Token) -> Comparison | Arithmetic:
        """The comparison, sum, difference or product of two words that a token is."""
        operator, offset = token[7], token.start()
        left = self.vocabulary.term(token[8], token.start(8))
        right = self.vocabulary.term(token[9], token.start(9))
        if operator in _ARITHMETIC:
            return Arithmetic(_ARITHMETIC[operator], (left, right), offset)
        if operator not in _RELATIONS:
            raise self.source.error("V0201", offset, f"'{operator}' is not a relation", "use one of <= >= < > == !=")
        if operator == "=":
            self.source.tolerate("V1301", offset, _SINGLE_EQUALS)
        return Comparison(_RELATIONS[operator], left, right, offset)

    def _relation(self, closed: _List) -> Comparison:
        """A comparison whose sides are not both words."""
        if closed.head == "=":
            self.source.tolerate("V1301", closed.offset, _SINGLE_EQUALS)
        operands: list[_Operand] = closed.operands
        if len(operands) == 1 and isinstance(operands[0], _Pair):
            self.source.tolerate(
                "V1302", operands[0].offset, "both sides of a comparison in one extra pair of parentheses"
            )
            operands = list(operands[0])
        if len(operands) != 2:
            hint = "write one comparison for each pair of neighbours" if len(operands) > 2 else ""
            raise self.source.error(
                "V0202", closed.offset, f"{closed.head} compares 2 terms, not {len(operands)}", hint
            )
        left, right = operands
        return Comparison(_RELATIONS[closed.head], self._term(left), self._term(right), closed.offset)

    def _arithmetic(self, closed: _List) -> Arithmetic:
        """A sum, difference or product."""
        self._check_count(closed, 1 if closed.head == "-" else self.vocabulary.minimum_operands)
        terms = tuple([self._term(operand) for operand in closed.operands])
        return Arithmetic(_ARITHMETIC[closed.head], terms, closed.offset)

    def _formula(self, closed: _List) -> Assertion | None:
        """A connective, an implication or negation without them, or what the whole statement asserts."""
        head, offset = closed.head, closed.offset
        fixed = _FIXED_COUNTS.get(head)
        count = len(closed.operands) + closed.stored
        if fixed and count != fixed:
            raise self.source.error("V0202", offset, f"{head} takes {fixed} condition(s), not {count}")
        self._check_count(closed, fixed or self.vocabulary.minimum_operands)
        parts = [self._condition(operand) for operand in closed.operands]
        if not parts:
            return None
        if head in _CONNECTIVES:
            return Connective(_CONNECTIVES[head], tuple(parts), offset)
        if head == "assert":
            return parts[0]
        self.source.tolerate("V1305", offset, f"'{head}'")
        return negation(parts[0]) if head == "not" else Connective("or", (negation(parts[0]), parts[1]), offset)

    def _headless(self, closed: _List) -> Comparison | Arithmetic | _Pair:
        """A list that begins with an operand: one operator between two, or the malformed pair."""
        match closed.operands:
            case [Constant() | Variable() | Arithmetic() as left, _Infix(operator, offset), right]:
                self.source.tolerate("V1303", offset, "an operator between its operands", _OPERATORS_FIRST)
                if operator in _ARITHMETIC:
                    return Arithmetic(_ARITHMETIC[operator], (left, self._term(right)), closed.offset)
                return Comparison(_RELATIONS[operator], left, self._term(right), closed.offset)
            case [Constant() as left, right] if not isinstance(right, _Infix):
                pair = _Pair((left, self._term(right)))
                pair.offset = closed.offset
                return pair
        raise self.source.error("V0201", closed.offset, "expected an operator after '('", _OPERATORS_FIRST)

    def _check_count(self, closed: _List, minimum: int) -> None:
        count = len(closed.operands) + closed.stored
        if count == 0:
            raise self.source.error("V0202", closed.offset, f"'{closed.head}' without operands")
        if count < minimum:
            self.source.tolerate("V1304", closed.offset, f"'{closed.head}' with a single operand")

    def _term(self, operand: _Operand) -> Term:
        if not isinstance(operand, (Constant, Variable, Arithmetic)):
            raise self.source.error("V0203", operand.offset, "expected a number, a variable or arithmetic here")
        return operand

    def _condition(self, operand: _Operand) -> Assertion:
        if not isinstance(operand, (Comparison, Connective)):
            raise self.source.error("V0203", operand.offset, "expected a comparison, 'and' or 'or' here")
        return operand


def negation(assertion: Assertion) -> Assertion:
    """The opposite of an assertion, the negation pushed down to the comparisons."""
    if isinstance(assertion, Comparison):
        return Comparison(_NEGATED[assertion.relation], assertion.left, assertion.right, assertion.offset)
    opposite = tuple(negation(operand) for operand in assertion.operands)
    return Connective("or" if assertion.operator == "and" else "and", opposite, assertion.offset)
