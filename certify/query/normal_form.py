"""A query as the solver sees it: input boxes, and over each a boolean formula of linear atoms.

All assertions hold together. Bounds on single inputs become the box; a disjunction with such bounds inside becomes a
union of boxes, never their hull; several unions multiply out only while the regions are iterated. Disjunctions over
atoms stay as they are. The boxes are closed, also where an input bound was strict: a proof about the closed box covers
the open one, and a witness is replayed against the query itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import numpy as np

from certify.query.atoms import AtomTable
from certify.query.boundedness import check_bounded, check_consistent
from certify.query.collector import paused_collector
from certify.query.columns import Columns, make_columns
from certify.query.equations import define_inputs
from certify.query.formula import FALSE, TRUE, Atoms, Region, all_of, any_of
from certify.query.implied import with_implied_bounds
from certify.query.linear import Constraint, Linearizer, Number, rounded_up
from certify.query.regions import Box, Case, InputBound, Regions
from certify.query.separate import undecidable_sides
from certify.query.syntax import Assertion, Comparison, Query, Relation, Variable


@dataclass(frozen=True, eq=False)
class UnsafeSet:
    """The union over `regions` of the points of a box whose formula over `atoms` holds.

    `regions` can be iterated any number of times and multiplies unions out while it goes; every box is finite and not
    empty. No region at all: nothing is unsafe. columns: what the inputs and outputs counted here are; None where they
    are the inputs and outputs declared, in order.
    """

    n_inputs: int
    n_outputs: int
    atoms: Atoms
    regions: Iterable[Region]
    columns: Columns | None = None


def lower(query: Query) -> UnsafeSet:
    """The unsafe set of a query.

    Raises ParseError where an input has contradictory bounds at the top level, or lacks a bound in some region.
    """
    with paused_collector():
        lowering = _Lowering(query)
        cases = [lowering.case(assertion) for assertion in query.assertions]
        root = _conjunction([*cases, *lowering.bounds_of_defined_inputs()], 0)
        lower_, upper = _top_level_box(query, lowering.n_inputs, root)
        defined = list(lowering.linearizer.definitions)
        if not defined:  # with equations, bounds that contradict each other are no slip of the pen but an empty region
            check_consistent(query, (lower_, upper), root)
        lower_[defined] = upper[defined] = 0.0  # they have left the problem: no box, and no atom mentions them
        box = with_implied_bounds((lower_, upper), root.formula, lowering.atoms, lowering.n_inputs)
        check_bounded(query, box, root)
        inputs, outputs, columns = lowering.columns()
        terms = undecidable_sides(lowering.atoms.keys())
        regions = Regions(*box, root._replace(bounds=()), None if columns is None else inputs, terms)
        return UnsafeSet(len(inputs), len(outputs), lowering.atoms.finish(inputs, outputs), regions, columns)


class _Lowering:
    """Turns assertions into cases, collecting the atoms on the way."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.atoms = AtomTable(query)
        self.linearizer = Linearizer(query)
        self.n_inputs = self.linearizer.n_inputs
        define_inputs(query, self.linearizer)

    def columns(self) -> tuple[np.ndarray, np.ndarray, Columns | None]:
        """The numbers of the inputs and of the outputs that the unsafe set counts, and what these are."""
        linearizer, networks = self.linearizer, self.query.networks
        if not (linearizer.products or linearizer.definitions or len(networks) > 1 or networks[0].hidden):
            return np.arange(self.n_inputs), np.arange(self.n_inputs, linearizer.n_variables), None
        mentioned = [number for number in self.atoms.mentioned() if number >= self.n_inputs]
        outputs = np.array(mentioned or [self.n_inputs], dtype=int)
        columns = make_columns(linearizer, outputs)
        return columns.free, outputs, columns

    def bounds_of_defined_inputs(self) -> Iterator[Case]:
        """What the bounds asserted on inputs that are defined by others say about those others."""
        defined = np.array(sorted(self.linearizer.definitions), dtype=int)
        for bounds in self.query.bounds if len(defined) else ():
            numbers = self.linearizer.number(Variable(bounds.tensor, 0, 0)) + bounds.index
            for row in np.flatnonzero(np.isin(numbers, defined)).tolist():
                relation: Relation = "<=" if bounds.upper[row] else ">="
                bound = Constraint({int(numbers[row]): 1.0}, relation, float(bounds.value[row]))
                yield self._case(self.linearizer.substituted(bound), int(bounds.offset[row]))

    def case(self, assertion: Assertion) -> Case:
        """The case an assertion describes."""
        offset = assertion.offset
        if isinstance(assertion, Comparison):
            return self._case(self.linearizer.constraint(assertion), offset)
        cases = [self.case(operand) for operand in assertion.operands]
        if len(cases) == 1:
            return cases[0]
        return _conjunction(cases, offset) if assertion.operator == "and" else _disjunction(cases, offset)

    def _case(self, constraint: Constraint, offset: int) -> Case:
        bound = self._input_bound(constraint, offset)
        if bound is not None:
            return Case((bound,), TRUE, (), offset)
        return Case((), self.atoms.formula(constraint, offset), (), offset)

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
            raise self.query.error("V0503", offset, "a bound is too large", "float64 ends at about 1.8e308") from None
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
    """The box that the top-level bounds describe, which may be unbounded or empty."""
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
    return lower, upper
