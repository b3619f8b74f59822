"""One number of a property as Python builds it: a polynomial over elements of tensors, plus largest values of such.

A `Scalar` is  base + sum of sign * max(options), so that absolute values and maxima can be added, scaled and compared:
`compared` turns a comparison of them into comparisons of polynomials, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from certify.errors import InputError
from certify.query.linear import MIRRORED, plus
from certify.query.syntax import (
    Arithmetic,
    Assertion,
    Comparison,
    Connective,
    Constant,
    Relation,
    Role,
    Term,
    Variable,
)

MAX_COMPARISONS = 4096  # that one comparison of absolute values and maxima may become


@dataclass(frozen=True, eq=False)
class Source:
    """A tensor of a model file that expressions are about. network: what it belongs to, compared by identity."""

    network: Any
    role: Role
    onnx_name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Element(Variable):
    """One element of a source; what the tensor is called in a query is decided when the query is assembled."""

    source: Source


class Extreme(NamedTuple):
    """sign * max(options), the sign being 1 or -1."""

    sign: int
    options: tuple[Term, ...]

    def times(self, factor: float) -> Extreme:
        """The extreme multiplied by a number that is not 0."""
        sign = 1 if factor > 0 else -1
        size = Constant(abs(factor), "", 0)
        return Extreme(sign * self.sign, tuple(_product(size, option) for option in self.options))


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """base + sum of extremes. The operators are what numpy applies to the elements of an array of these."""

    base: Term
    extremes: tuple[Extreme, ...] = ()

    def __add__(self, other: Scalar) -> Scalar:
        return Scalar(_sum(self.base, other.base), self.extremes + other.extremes)

    def __sub__(self, other: Scalar) -> Scalar:
        turned = tuple(extreme.times(-1.0) for extreme in other.extremes)
        return Scalar(_difference(self.base, other.base), self.extremes + turned)

    def __neg__(self) -> Scalar:
        return Scalar(_negative(self.base), tuple(extreme.times(-1.0) for extreme in self.extremes))

    def __mul__(self, other: Scalar) -> Scalar:
        if other.extremes:
            self, other = other, self
        if not self.extremes:
            return Scalar(_product(self.base, other.base))
        if other.extremes or not isinstance(other.base, Constant):
            hint = "distinguish the cases with | and &"
            raise InputError("an absolute value or a maximum can be multiplied by numbers only", hint)
        factor = other.base.value
        scaled = tuple(extreme.times(factor) for extreme in self.extremes) if factor else ()
        return Scalar(_product(self.base, other.base), scaled)

    def __abs__(self) -> Scalar:
        return largest([self, -self])

    def options(self) -> list[Term]:
        """The terms whose maximum this is. Raises InputError where it is none."""
        if any(extreme.sign < 0 for extreme in self.extremes):
            hint = "distinguish the cases with | and &"
            raise InputError("a minimum inside a maximum or an absolute value cannot be written as VNN-LIB", hint)
        _check_count(self.extremes)
        return [_total(self.base, chosen) for chosen in product(*(extreme.options for extreme in self.extremes))]


def constant(value: Any) -> Scalar:
    """A number that float64 holds. Raises InputError for anything else."""
    try:
        number = float(value)
        exact = math.isfinite(number) and bool(number == value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{value!r} is not a real number", "compare with numbers or arrays of numbers") from None
    if not exact:
        what = "NaN or infinite" if not math.isfinite(number) else "no float64"
        raise InputError(f"the number {value!r} is {what}", "use finite float64 numbers")
    return Scalar(Constant(number, repr(number), 0))


def largest(scalars: Iterable[Scalar]) -> Scalar:
    """The maximum of the scalars."""
    options = tuple(option for scalar in scalars for option in scalar.options())
    return Scalar(options[0]) if len(options) == 1 else Scalar(_ZERO, (Extreme(1, options),))


def compared(relation: Relation, left: Scalar, right: Scalar) -> Assertion:
    """The assertion `left relation right`, as comparisons of polynomials. Raises InputError if those are too many.

    max(a, b) <= c  is  a <= c and b <= c,  max(a, b) >= c  is  a >= c or b >= c.
    """
    extremes = left.extremes + tuple(extreme.times(-1.0) for extreme in right.extremes)
    if not extremes:
        return _comparison(relation, left.base, right.base)
    if relation == "==":
        return Connective("and", (compared("<=", left, right), compared(">=", left, right)), 0)
    if relation == "!=":
        return Connective("or", (compared("<", left, right), compared(">", left, right)), 0)
    _check_count(extremes)
    upper = 1 if relation in ("<=", "<") else -1
    all_of = [[(e.sign, option) for option in e.options] for e in extremes if e.sign == upper]
    any_of = [[(e.sign, option) for option in e.options] for e in extremes if e.sign != upper]
    conjuncts = []
    for every in product(*all_of):
        disjuncts = tuple(
            _comparison(relation, _total(left.base, _signed(every + some)), right.base) for some in product(*any_of)
        )
        conjuncts.append(disjuncts[0] if len(disjuncts) == 1 else Connective("or", disjuncts, 0))
    return conjuncts[0] if len(conjuncts) == 1 else Connective("and", tuple(conjuncts), 0)


def _comparison(relation: Relation, left: Term, right: Term) -> Comparison:
    """`left relation right`; a bound on one element is written as such where that loses nothing."""
    if isinstance(left, Variable) and left == right:
        hint = "leave it out, as y.without(3) does with element 3"
        raise InputError(f"{_name(left)} is compared with itself", hint)
    if isinstance(left, Arithmetic) and left.operator == "-" and isinstance(right, Constant):
        if len(left.operands) == 1:
            return _comparison(MIRRORED[relation], left.operands[0], _negative(right))
        first, *others = left.operands
        if isinstance(first, Variable) and len(others) == 1 and isinstance(others[0], Constant):
            total = plus(others[0].value, right.value)
            if isinstance(total, float) and math.isfinite(total):
                return Comparison(relation, first, Constant(total, "", 0), 0)
    return Comparison(relation, left, right, 0)


def _name(variable: Variable) -> str:
    return f"element {variable.index} of '{variable.tensor}'"


def _check_count(extremes: Iterable[Extreme]) -> None:
    if math.prod(len(extreme.options) for extreme in extremes) > MAX_COMPARISONS:
        message = f"a sum of absolute values or maxima needs more than {MAX_COMPARISONS} comparisons"
        raise InputError(message, "use fewer of them in one comparison")


def _signed(chosen: Iterable[tuple[int, Term]]) -> list[Term]:
    return [term if sign > 0 else _negative(term) for sign, term in chosen]


def _total(base: Term, terms: Iterable[Term]) -> Term:
    for term in terms:
        base = _sum(base, term)
    return base


_ZERO = Constant(0.0, "0.0", 0)


def _is(term: Term, value: float) -> bool:
    return isinstance(term, Constant) and term.value == value


def _sum(a: Term, b: Term) -> Term:
    """a + b, flat: long sums stay within the depth that readers allow."""
    if _is(a, 0.0) or _is(b, 0.0):
        return b if _is(a, 0.0) else a
    return Arithmetic("+", (*_operands(a, "+"), *_operands(b, "+")), 0)


def _difference(a: Term, b: Term) -> Term:
    if _is(a, 0.0) or _is(b, 0.0):
        return a if _is(b, 0.0) else _negative(b)
    if isinstance(a, Arithmetic) and a.operator == "+":
        return _sum(a, _negative(b))
    if isinstance(a, Arithmetic) and a.operator == "-" and len(a.operands) > 1:
        return Arithmetic("-", (*a.operands, b), 0)
    return Arithmetic("-", (a, b), 0)


def _negative(a: Term) -> Term:
    if isinstance(a, Constant):
        return Constant(0.0 - a.value, "", 0)
    if isinstance(a, Arithmetic) and a.operator == "-" and len(a.operands) == 1:
        return a.operands[0]
    return Arithmetic("-", (a,), 0)


def _product(a: Term, b: Term) -> Term:
    if _is(a, 0.0) or _is(b, 0.0):
        return _ZERO
    if _is(a, 1.0) or _is(b, 1.0):
        return b if _is(a, 1.0) else a
    return Arithmetic("*", (*_operands(a, "*"), *_operands(b, "*")), 0)


def _operands(term: Term, operator: str) -> tuple[Term, ...]:
    return term.operands if isinstance(term, Arithmetic) and term.operator == operator else (term,)
