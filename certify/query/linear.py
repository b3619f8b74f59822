"""Comparisons as linear constraints over numbered variables, collected without rounding."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from certify.query.syntax import Arithmetic, Comparison, Constant, Query, Relation, Term, Variable

Number = float | Fraction
_CONSTANT = -1  # stands for the constant among the numbers of variables
MIRRORED: dict[Relation, Relation] = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "==", "!=": "!="}


class Constraint(NamedTuple):
    """`sum of coefficient * variable  relation  rhs`, exact. Variables are numbered: all inputs, then all outputs."""

    coefficients: dict[int, Number]
    relation: Relation
    rhs: Number

    def mirrored(self) -> Constraint:
        """The same constraint with both sides negated."""
        negated = {variable: -coefficient for variable, coefficient in self.coefficients.items()}
        return Constraint(negated, MIRRORED[self.relation], -self.rhs)


class Linearizer:
    """Collects the terms of comparisons of one query."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._start: dict[str, int] = {}
        start = 0
        for tensor in query.tensors():
            self._start[tensor.name] = start
            start += tensor.size

    def number(self, variable: Variable) -> int:
        """The number of a variable: inputs flattened in order of declaration, then outputs likewise."""
        return self._start[variable.tensor] + variable.index

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
            return Constraint({self.number(left): 1.0}, relation, right.value)
        if isinstance(right, Variable):
            first, second = self.number(left), self.number(right)
            return Constraint({first: 1.0, second: -1.0} if first != second else {}, relation, 0.0)
        return None

    def _general(self, comparison: Comparison) -> Constraint:
        difference = Arithmetic("-", (comparison.left, comparison.right), comparison.offset)
        coefficients = self._collect(difference)
        rhs = -coefficients.pop(_CONSTANT, 0.0)
        nonzero = {variable: value for variable, value in coefficients.items() if value}
        return Constraint(nonzero, comparison.relation, rhs)

    def _collect(self, term: Term) -> dict[int, Number]:
        """The exact coefficients of a term, its constant under `_CONSTANT`; zeros may occur."""
        if isinstance(term, Constant):
            return {_CONSTANT: term.value}
        if isinstance(term, Variable):
            return {self.number(term): 1.0}
        parts = [self._collect(operand) for operand in term.operands]
        if term.operator == "*":
            return self._product(parts, term)
        total: dict[int, Number] = {}
        for position, part in enumerate(parts):
            minus = term.operator == "-" and (position > 0 or len(parts) == 1)  # (- a) is -a, (- a b c) is a-b-c
            for variable, value in part.items():
                total[variable] = _plus(total.get(variable, 0.0), -value if minus else value)
        return total

    def _product(self, factors: list[dict[int, Number]], product: Arithmetic) -> dict[int, Number]:
        total: dict[int, Number] = {_CONSTANT: 1.0}
        for factor in factors:
            if factor.keys() - {_CONSTANT}:
                total, factor = factor, total
            if factor.keys() - {_CONSTANT}:
                raise self._query.error(product.offset, "a product of two variables is not supported yet")
            scale = factor.get(_CONSTANT, 0.0)
            total = {variable: _times(value, scale) for variable, value in total.items()}
        return total


def nearest(value: Number) -> float:
    """The nearest float64, with no negative zero. OverflowError beyond the largest."""
    return float(value) + 0.0


def rounded_up(value: Number) -> float:
    """The smallest float64 that is not below the value."""
    rounded = nearest(value)
    return math.nextafter(rounded, math.inf) if rounded < value else rounded


def _plus(a: Number, b: Number) -> Number:
    """The exact sum: a float where it is one (Knuth's two-sum leaves no error), else a fraction."""
    if isinstance(a, float) and isinstance(b, float):
        total = a + b
        b_part = total - a
        if (a - (total - b_part)) + (b - b_part) == 0.0:
            return total
    return Fraction(a) + Fraction(b)


def _times(a: Number, b: Number) -> Number:
    """The exact product."""
    if b in (1.0, -1.0):
        return a if b > 0 else -a
    if a in (1.0, -1.0):
        return b if a > 0 else -b
    return Fraction(a) * Fraction(b)
