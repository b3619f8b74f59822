"""Random specifications as text, and what they mean by an evaluator that shares no code with the lowering."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from functools import cache, reduce
from itertools import product

import numpy as np
from hypothesis import strategies as st

from certify.query.formula import AllOf, Formula
from certify.query.normal_form import UnsafeSet
from certify.query.syntax import Arithmetic, Assertion, Comparison, Connective, Constant, Query, Term

GRID = [Fraction(k, 2) for k in range(-3, 4)]  # points on and between the constants below: ties are common
POINTS = list(product(GRID, GRID, GRID[1:6], GRID[1:6]))  # x0, x1, y0, y1
CONSTANTS = ["-1.0", "-0.5", "0.0", "0.5", "1.0"]
X = ["X[0]", "X[1]"]
Y = ["Y[0]", "Y[1]"]
HEAD = "(vnnlib-version <2.0>)\n(declare-network N (declare-input X real [2]) (declare-output Y real [2]))\n"
RELATIONS = ["<=", ">=", "<", ">", "==", "!="]
_COMPARE = dict(
    zip(RELATIONS, [operator.le, operator.ge, operator.lt, operator.gt, operator.eq, operator.ne], strict=True)
)


@cache
def terms(depth: int) -> st.SearchStrategy[str]:
    """Polynomials."""
    leaf = st.sampled_from([*X, *Y, *CONSTANTS])
    if depth == 0:
        return leaf
    inner = terms(depth - 1)
    return st.one_of(
        leaf,
        st.builds("({} {})".format, st.sampled_from("+-"), st.lists(inner, min_size=2, max_size=3).map(" ".join)),
        st.builds("(- {})".format, inner),
        st.builds("(* {} {})".format, st.sampled_from([*CONSTANTS, "(+ 0.5 1.0)", *X, *Y]), inner),
    )


@cache
def atoms() -> st.SearchStrategy[str]:
    """Comparisons: mostly input bounds and output atoms, sometimes general linear ones."""
    compare = "({} {} {})".format
    relations = st.sampled_from(RELATIONS)
    bound = st.builds(compare, st.sampled_from(["<=", ">=", "<=", ">=", *RELATIONS]), st.sampled_from(X), _constants())
    output = st.builds(compare, relations, st.sampled_from(Y), st.sampled_from([*Y, *CONSTANTS]))
    return st.one_of(bound, bound, output, st.builds(compare, relations, terms(2), terms(1)))


def _constants() -> st.SearchStrategy[str]:
    return st.sampled_from(CONSTANTS)


@cache
def formulas(depth: int = 3) -> st.SearchStrategy[str]:
    """Nested conjunctions and disjunctions of `atoms`."""
    if depth == 0:
        return atoms()
    parts = st.lists(formulas(depth - 1), min_size=2, max_size=3).map(" ".join)
    return st.one_of(atoms(), st.builds("({} {})".format, st.sampled_from(["and", "or", "or"]), parts))


@st.composite
def queries(draw: st.DrawFn) -> str:
    """A whole specification, every input bounded at the top level or in each of two disjuncts."""
    text = HEAD
    for variable in X:
        if draw(st.booleans()):
            text += f"(assert (and (>= {variable} -1.0) (<= {variable} 1.0)))\n"
        else:
            boxes = [f"(and (>= {variable} {low}) (<= {variable} {high}))" for low, high in ((-1.0, 0.0), (0.5, 1.0))]
            text += f"(assert (or {' '.join(boxes)}))\n"
    if draw(st.integers(0, 3)) == 0:
        text += draw(st.sampled_from(["(assert (== X[0] X[1]))\n", "(assert (== X[0] (- 0.5 X[1])))\n"]))
    return text + "".join(f"(assert {formula})\n" for formula in draw(st.lists(formulas(), max_size=3)))


def holds(query: Query, point: tuple[Fraction, ...], closed: Callable[[Comparison], bool] | None = None) -> bool:
    """Whether every assertion holds at (x0, x1, y0, y1).

    closed: the comparisons whose strictness does not count; by default bounds on a single input.
    """
    bounds_hold = all(
        point[index] <= Fraction(value) if upper else point[index] >= Fraction(value)
        for bounds in query.bounds
        for index, upper, value in zip(bounds.index, bounds.upper, bounds.value.tolist(), strict=True)
    )
    return bounds_hold and all(_holds(assertion, point, closed or only_one_input) for assertion in query.assertions)


def _holds(assertion: Assertion, point: tuple[Fraction, ...], closed: Callable[[Comparison], bool]) -> bool:
    if isinstance(assertion, Connective):
        combine = all if assertion.operator == "and" else any
        return combine([_holds(operand, point, closed) for operand in assertion.operands])
    return _compare(assertion, point, closed)


def _compare(comparison: Comparison, point: tuple[Fraction, ...], closed: Callable[[Comparison], bool]) -> bool:
    relation = comparison.relation
    if relation in "<>" and closed(comparison):
        relation += "="
    return bool(_COMPARE[relation](_value(comparison.left, point), _value(comparison.right, point)))


@cache
def only_one_input(comparison: Comparison) -> bool:
    """Whether the comparison is linear in one input and independent of the rest, found from its values on a grid."""

    def difference(point: tuple[Fraction, ...]) -> Fraction:
        return _value(comparison.left, point) - _value(comparison.right, point)

    zero = difference((Fraction(0),) * 4)
    slope = [difference(tuple(Fraction(i == j) for j in range(4))) - zero for i in range(4)]
    linear = all(
        difference(tuple(map(Fraction, point))) == zero + sum(map(operator.mul, slope, map(Fraction, point)))
        for point in product((-1, 1, 2), repeat=4)
    )
    return linear and sum(map(bool, slope)) == 1 and bool(slope[0] or slope[1])


def _value(term: Term, point: tuple[Fraction, ...]) -> Fraction:
    if isinstance(term, Constant):
        return Fraction(term.lexeme)
    if not isinstance(term, Arithmetic):
        return point[term.index + (2 if term.tensor == "Y" else 0)]
    values = [_value(operand, point) for operand in term.operands]
    if term.operator == "+":
        return sum(values, Fraction(0))
    if term.operator == "*":
        result = Fraction(1)
        for value in values:
            result *= value
        return result
    return -values[0] if len(values) == 1 else values[0] - sum(values[1:], Fraction(0))


def contains(unsafe: UnsafeSet, points: list[tuple[Fraction, ...]]) -> list[bool]:
    """Whether each point lies in some region and satisfies its formula, in exact arithmetic."""
    regions = list(unsafe.regions)
    found = []
    for declared in points:
        point = counted(unsafe, declared)
        if point is None:
            found.append(False)
            continue
        true = [_atom_holds(unsafe, row, point) for row in range(len(unsafe.atoms))]
        x = np.array([float(value) for value in point[: unsafe.n_inputs]])
        inside = [region for region in regions if (region.lower <= x).all() and (x <= region.upper).all()]
        found.append(any(_true(region.formula, true) for region in inside))
    return found


def counted(unsafe: UnsafeSet, point: tuple[Fraction, ...], n_inputs: int = 2) -> tuple[Fraction, ...] | None:
    """The free inputs and the outputs that the unsafe set counts; None where an equation between inputs fails."""
    columns = unsafe.columns
    if columns is None:
        return point
    free = [point[number] for number in columns.free]
    defined = [
        sum(map(operator.mul, map(Fraction, row), free), Fraction(shift))
        for row, shift in zip(columns.weight.tolist(), columns.shift.tolist(), strict=True)
    ]
    if tuple((free + defined)[place] for place in columns.source) != point[:n_inputs]:
        return None
    return (*free, *(reduce(operator.mul, (point[number] for number in factors)) for factors in columns.outputs))


def _atom_holds(unsafe: UnsafeSet, row: int, point: tuple[Fraction, ...]) -> bool:
    atoms = unsafe.atoms
    inputs = [0.0] * unsafe.n_inputs if atoms.inputs is None else atoms.inputs[row].tolist()
    coefficients = map(Fraction, inputs + atoms.outputs[row].tolist())
    margin = sum(map(operator.mul, coefficients, point), -Fraction(atoms.rhs[row]))
    return margin < 0 if atoms.strict[row] else margin <= 0


def _true(formula: Formula, atoms: list[bool]) -> bool:
    if isinstance(formula, int):
        return atoms[formula]
    combine = all if isinstance(formula, AllOf) else any
    return combine([_true(part, atoms) for part in formula.parts])
