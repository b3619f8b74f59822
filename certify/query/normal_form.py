"""A query as the solver sees it: input boxes, and over each a boolean formula of linear atoms.

All assertions hold together. Bounds on single inputs become the box; a disjunction with such bounds inside becomes a
union of boxes, never their hull; several unions multiply out only while the regions are iterated. Disjunctions over
atoms stay as they are. The boxes are closed, also where an input bound was strict: a proof about the closed box covers
the open one, and a witness is replayed against the query itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import numpy as np

from certify.query.atoms import AtomTable
from certify.query.boundedness import check_bounded, check_consistent
from certify.query.collector import paused_collector
from certify.query.formula import FALSE, TRUE, Atoms, Region, all_of, any_of
from certify.query.linear import Constraint, Linearizer, Number, rounded_up
from certify.query.regions import Box, Case, InputBound, Regions
from certify.query.syntax import Assertion, Comparison, Query


@dataclass(frozen=True, eq=False)
class UnsafeSet:
    """The union over `regions` of the points of a box whose formula over `atoms` holds.

    `regions` can be iterated any number of times and multiplies unions out while it goes; every box is finite and not
    empty. No region at all: nothing is unsafe.
    """

    n_inputs: int
    n_outputs: int
    atoms: Atoms
    regions: Iterable[Region]


def lower(query: Query) -> UnsafeSet:
    """The unsafe set of a query.

    Raises ParseError where an input has contradictory bounds at the top level, or lacks a bound in some region.
    """
    with paused_collector():
        lowering = _Lowering(query)
        root = _conjunction([lowering.case(assertion) for assertion in query.assertions], 0)
        box = _top_level_box(query, lowering.n_inputs, root)
        check_bounded(query, box, root)
        regions = Regions(*box, root._replace(bounds=()))
        return UnsafeSet(lowering.n_inputs, lowering.n_outputs, lowering.atoms.finish(), regions)


class _Lowering:
    """Turns assertions into cases, collecting the atoms on the way."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.n_inputs = sum(tensor.size for tensor in query.inputs)
        self.n_outputs = sum(tensor.size for tensor in query.outputs)
        self.atoms = AtomTable(query, self.n_inputs, self.n_outputs)
        self._linearizer = Linearizer(query)

    def case(self, assertion: Assertion) -> Case:
        """The case an assertion describes."""
        offset = assertion.offset
        if isinstance(assertion, Comparison):
            constraint = self._linearizer.constraint(assertion)
            bound = self._input_bound(constraint, offset)
            if bound is not None:
                return Case((bound,), TRUE, (), offset)
            return Case((), self.atoms.formula(constraint, offset), (), offset)
        cases = [self.case(operand) for operand in assertion.operands]
        if len(cases) == 1:
            return cases[0]
        return _conjunction(cases, offset) if assertion.operator == "and" else _disjunction(cases, offset)

    def _input_bound(self, constraint: Constraint, offset: int) -> InputBound | None:
        """The bounds a constraint on a single input means, rounded outwards; `!=` is not a bound."""
        if len(constraint.coefficients) != 1 or constraint.relation == "!=":
            return None
        ((index, coefficient),) = constraint.coefficients.items()
        if index >= self.n_inputs:
            return None
        if coefficient < 0:
            constraint = constraint.mirrored()
        value: Number = (
            constraint.rhs if abs(coefficient) == 1 else Fraction(constraint.rhs) / abs(Fraction(coefficient))
        )
        try:
            low = -math.inf if constraint.relation in ("<=", "<") else 0.0 - rounded_up(-value)
            high = math.inf if constraint.relation in (">=", ">") else rounded_up(value)
        except OverflowError:
            raise self.query.error(offset, "a bound is too large", "float64 ends at about 1.8e308") from None
        return InputBound(index, low, high, offset)


def _conjunction(cases: Sequence[Case], offset: int) -> Case:
    return Case(
        tuple(chain.from_iterable(case.bounds for case in cases)),
        all_of(case.formula for case in cases),
        tuple(chain.from_iterable(case.unions for case in cases)),
        offset,
    )


def _disjunction(cases: Sequence[Case], offset: int) -> Case:
    """A union of the cases with bounds inside; those without share one alternative, a disjunction of atoms."""
    alternatives: list[Case] = []
    formulas = []
    for case in chain.from_iterable(map(_options, cases)):
        if case.bounds or case.unions:
            alternatives.append(case)
        else:
            formulas.append(case.formula)
    formula = any_of(formulas)
    if not alternatives:
        return Case((), formula, (), offset)
    if formula != FALSE:
        alternatives.append(Case((), formula, (), offset))
    return alternatives[0] if len(alternatives) == 1 else Case((), TRUE, (tuple(alternatives),), offset)


def _options(case: Case) -> tuple[Case, ...]:
    """The alternatives of a case that is nothing but a union, else the case."""
    if len(case.unions) == 1 and not case.bounds and case.formula == TRUE:
        return case.unions[0]
    return (case,)


def _top_level_box(query: Query, n_inputs: int, root: Case) -> Box:
    """The box that the top-level bounds describe, which may be unbounded; contradictory bounds: ParseError."""
    lower, upper = np.full(n_inputs, -np.inf), np.full(n_inputs, np.inf)
    start = 0
    for tensor in query.inputs:
        for bounds in query.bounds:
            if bounds.tensor == tensor.name:
                index, value = start + bounds.index, bounds.value + 0.0  # no negative zero
                np.minimum.at(upper, index[bounds.upper], value[bounds.upper])
                np.maximum.at(lower, index[~bounds.upper], value[~bounds.upper])
        start += tensor.size
    for bound in root.bounds:
        lower[bound.variable] = max(lower[bound.variable], bound.lower)
        upper[bound.variable] = min(upper[bound.variable], bound.upper)
    check_consistent(query, (lower, upper), root)
    return lower, upper
