"""Exact truth of a query's assertions for concrete values: rational arithmetic on the float64 values, no tolerance."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from certify.query.syntax import Arithmetic, Assertion, Connective, Constant, Query, Term, Variable

RELATIONS = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}

Values = Mapping[str, np.ndarray]


def satisfies(query: Query, values: Values) -> bool:
    """Whether all assertions hold. values: by tensor name, flat float64 arrays, all finite."""
    for bounds in query.bounds:
        found = values[bounds.tensor][bounds.index]
        if not np.where(bounds.upper, found <= bounds.value, found >= bounds.value).all():
            return False
    return all(holds(assertion, values) for assertion in query.assertions)


def holds(assertion: Assertion, values: Values) -> bool:
    """Whether one assertion holds."""
    if isinstance(assertion, Connective):
        parts = (holds(part, values) for part in assertion.operands)
        return all(parts) if assertion.operator == "and" else any(parts)
    relation = RELATIONS[assertion.relation]
    return bool(relation(exact(assertion.left, values), exact(assertion.right, values)))


def exact(term: Term, values: Values) -> Fraction:
    """The term's value as a rational number."""
    if isinstance(term, Constant):
        return Fraction(term.value)
    if isinstance(term, Variable):
        return Fraction(float(values[term.tensor][term.index]))
    assert isinstance(term, Arithmetic)
    parts = [exact(operand, values) for operand in term.operands]
    if term.operator == "*":
        product = Fraction(1)
        for part in parts:
            product *= part
        return product
    if term.operator == "-":
        return -parts[0] if len(parts) == 1 else parts[0] - sum(parts[1:], Fraction(0))
    return sum(parts, Fraction(0))
