"""Inputs that an asserted equation expresses by other inputs: networks that share an input, above all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from certify.query.linear import CONSTANT, Constraint, Linearizer, Sum, plus, times
from certify.query.syntax import Assertion, Comparison, Query


def define_inputs(query: Query, linearizer: Linearizer) -> None:
    """Find the definitions that the equations asserted at the top level allow; from then on the linearizer uses them.

    An equation is used only where all coefficients of the definition are exact in float64; it is left as it is, two
    inequalities, where they are not. An equation of one input with a number stays a bound.
    """
    users: dict[int, set[int]] = {}  # by input: the defined inputs whose definition mentions it
    for comparison in _asserted(query.assertions):
        if comparison.relation == "==":
            constraint = linearizer.constraint(comparison)
            variables = constraint.coefficients
            if len(variables) > 1 and max(variables) < linearizer.n_inputs:
                _define(constraint, linearizer.definitions, users)


def _asserted(assertions: Iterable[Assertion]) -> Iterator[Comparison]:
    """The comparisons that must all hold."""
    for assertion in assertions:
        if isinstance(assertion, Comparison):
            yield assertion
        elif assertion.operator == "and" or len(assertion.operands) == 1:
            yield from _asserted(assertion.operands)


def _define(equation: Constraint, definitions: dict[int, Sum], users: dict[int, set[int]]) -> None:
    """Add the definition of the input declared last that the equation can be solved for, and use it in the others."""
    for variable in sorted(equation.coefficients, reverse=True):
        coefficient = equation.coefficients[variable]
        if abs(coefficient) != 1:
            continue
        definition: Sum = {v: times(-a, coefficient) for v, a in equation.coefficients.items() if v != variable}
        definition[CONSTANT] = times(equation.rhs, coefficient)
        changed = {variable: definition}
        for user in users.get(variable, set()):
            if variable in definitions[user]:  # it may have cancelled since
                changed[user] = _replaced(definitions[user], variable, definition)
        if all(_exact(value) for terms in changed.values() for value in terms.values()):
            definitions.update(changed)
            for user, terms in changed.items():
                for mentioned in terms.keys() - {CONSTANT}:
                    users.setdefault(mentioned, set()).add(user)
            users.pop(variable, None)
            return


def _replaced(before: Sum, variable: int, definition: Sum) -> Sum:
    after = {v: a for v, a in before.items() if v != variable}
    for v, a in definition.items():
        after[v] = plus(after.get(v, 0.0), times(a, before[variable]))
    return {v: a for v, a in after.items() if a or v == CONSTANT}


def _exact(value: object) -> bool:
    try:
        return float(value) == value  # type: ignore[arg-type]
    except OverflowError:
        return False
