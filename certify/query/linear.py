"""Comparisons as linear constraints over numbered variables and products of them, collected without rounding."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from certify.errors import ParseError
from certify.query.syntax import Arithmetic, Comparison, Constant, Query, Relation, Term, Variable

Number = float | Fraction
Sum = dict[int, Number]  # coefficients by number of a variable or product, and of the constant
CONSTANT = -1  # stands for the constant among the numbers of variables
MAX_DEGREE = 16
MAX_TERMS = 10_000  # of one product, multiplied out
MIRRORED: dict[Relation, Relation] = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "==", "!=": "!="}


class Constraint(NamedTuple):
    """`sum of coefficient * variable  relation  rhs`, exact.

    Variables are numbered: all inputs, then all computed values (hidden and outputs), then products of those.
    """

    coefficients: Sum
    relation: Relation
    rhs: Number

    def mirrored(self) -> Constraint:
        """The same constraint with both sides negated."""
        negated = {variable: -coefficient for variable, coefficient in self.coefficients.items()}
        return Constraint(negated, MIRRORED[self.relation], -self.rhs)


class Linearizer:
    """Collects the terms of comparisons of one query.

    products: the factors (numbers of variables, ascending) of each product met so far, the first of which has the
    number `n_variables`. definitions: inputs that an equation expresses by others, which are put in their place.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self._start: dict[str, int] = {}
        start = 0
        for tensor in query.inputs + query.computed:
            self._start[tensor.name] = start
            start += tensor.size
        self.n_variables = start
        self.n_inputs = sum(tensor.size for tensor in query.inputs)
        self.products: list[tuple[int, ...]] = []
        self.definitions: dict[int, Sum] = {}
        self._numbers: dict[tuple[int, ...], int] = {}

    def number(self, variable: Variable) -> int:
        """The number of a variable: inputs flattened in order of declaration, then computed values likewise."""
        return self._start[variable.tensor] + variable.index

    def factors(self, number: int) -> tuple[int, ...]:
        """The variables whose product has this number; a variable's own number is its only factor."""
        return (number,) if number < self.n_variables else self.products[number - self.n_variables]

    def substituted(self, constraint: Constraint) -> Constraint:
        """A constraint without products, with defined inputs replaced."""
        if not self.definitions.keys() & constraint.coefficients.keys():
            return constraint
        total: Sum = {CONSTANT: -constraint.rhs}
        for variable, coefficient in constraint.coefficients.items():
            for other, value in self._value(variable).items():
                total[other] = plus(total.get(other, 0.0), times(value, coefficient))
        return _compared(total, constraint.relation)

    def _value(self, number: int) -> Sum:
        return self.definitions.get(number) or {number: 1.0}

    def constraint(self, comparison: Comparison) -> Constraint:
        """Everything with a variable on the left, the constant on the right. Variables that cancel are left out.

        An equation, or its negation, starts with a positive coefficient, whichever side was written first.
        """
        constraint = self._pair(comparison) or self._general(comparison)
        coefficients = constraint.coefficients
        if constraint.relation in ("==", "!=") and coefficients and coefficients[min(coefficients)] < 0:
            return constraint.mirrored()
        return constraint

    def _pair(self, comparison: Comparison) -> Constraint | None:
        """The constraint of a variable with a number or a variable, as nearly all are: nothing to collect or round."""
        left, relation, right = comparison.left, comparison.relation, comparison.right
        if isinstance(left, Constant):
            left, relation, right = right, MIRRORED[relation], left
        if not isinstance(left, Variable):
            return None
        if isinstance(right, Constant):
            return self.substituted(Constraint({self.number(left): 1.0}, relation, right.value))
        if isinstance(right, Variable):
            first, second = self.number(left), self.number(right)
            return self.substituted(Constraint({first: 1.0, second: -1.0} if first != second else {}, relation, 0.0))
        return None

    def _general(self, comparison: Comparison) -> Constraint:
        difference = Arithmetic("-", (comparison.left, comparison.right), comparison.offset)
        return _compared(self._collect(difference), comparison.relation)

    def _collect(self, term: Term) -> Sum:
        """The exact coefficients of a term, its constant under `CONSTANT`; zeros may occur."""
        if isinstance(term, Constant):
            return {CONSTANT: term.value}
        if isinstance(term, Variable):
            return self._value(self.number(term))
        parts = [self._collect(operand) for operand in term.operands]
        if term.operator == "*":
            return self._product(parts, term)
        total: Sum = {}
        for position, part in enumerate(parts):
            minus = term.operator == "-" and (position > 0 or len(parts) == 1)  # (- a) is -a, (- a b c) is a-b-c
            for variable, value in part.items():
                total[variable] = plus(total.get(variable, 0.0), -value if minus else value)
        return total

    def _product(self, factors: list[Sum], product: Arithmetic) -> Sum:
        total: Sum = {CONSTANT: 1.0}
        for factor in factors:
            if len(total) * len(factor) > MAX_TERMS:
                raise self._too_large(product, f"more than {MAX_TERMS} terms")
            before, total = total, {}
            for first, scale in before.items():
                for second, value in factor.items():
                    if scale and value:
                        number = self._multiplied(first, second, product)
                        total[number] = plus(total.get(number, 0.0), times(scale, value))
        return total

    def _multiplied(self, first: int, second: int, product: Arithmetic) -> int:
        """The number of the product of two numbered things."""
        if CONSTANT in (first, second):
            return max(first, second)
        factors = tuple(sorted(self.factors(first) + self.factors(second)))
        if len(factors) > MAX_DEGREE:
            raise self._too_large(product, f"degree {len(factors)}, above {MAX_DEGREE}")
        number = self._numbers.setdefault(factors, self.n_variables + len(self.products))
        if number == self.n_variables + len(self.products):
            self.products.append(factors)
        return number

    def _too_large(self, product: Arithmetic, what: str) -> ParseError:
        return self._query.error("V0504", product.offset, f"this product is too large: {what}", "split the property")


def _compared(difference: Sum, relation: Relation) -> Constraint:
    """The constraint `difference relation 0`."""
    nonzero = {variable: value for variable, value in difference.items() if value and variable != CONSTANT}
    return Constraint(nonzero, relation, -difference.get(CONSTANT, 0.0))


def nearest(value: Number) -> float:
    """The nearest float64, with no negative zero. OverflowError beyond the largest."""
    return float(value) + 0.0


def rounded_up(value: Number) -> float:
    """The smallest float64 that is not below the value."""
    rounded = nearest(value)
    return math.nextafter(rounded, math.inf) if rounded < value else rounded


def plus(a: Number, b: Number) -> Number:
    """The exact sum: a float where it is one (Knuth's two-sum leaves no error), else a fraction."""
    if isinstance(a, float) and isinstance(b, float):
        total = a + b
        b_part = total - a
        if (a - (total - b_part)) + (b - b_part) == 0.0:
            return total
    return Fraction(a) + Fraction(b)


def times(a: Number, b: Number) -> Number:
    """The exact product."""
    if b in (1.0, -1.0):
        return a if b > 0 else -a
    if a in (1.0, -1.0):
        return b if a > 0 else -b
    return Fraction(a) * Fraction(b)
