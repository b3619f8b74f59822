"""Lowering means what the text means: against an independent evaluator, and in the cases that went wrong elsewhere."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from random_queries import POINTS, contains, holds, queries

from certify.errors import ParseError
from certify.query.formula import AllOf, AnyOf
from certify.query.normal_form import UnsafeSet, lower
from certify.query.read import parse_query

V1 = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)\n"
BOX = "".join(f"(assert (>= X_{i} -1))\n(assert (<= X_{i} 1))\n" for i in range(2))


def _lower(text: str) -> UnsafeSet:
    return lower(parse_query(V1 + text))


# Inputs that are equal: 2 x_0 < x_1 becomes x_1 < 0, a bound.
EQUAL = """(vnnlib-version <2.0>)
(declare-network N (declare-input X real [2]) (declare-output Y real [2]))
(assert (or (and (>= X[0] -1.0) (<= X[0] 0.0)) (and (>= X[0] 0.5) (<= X[0] 1.0))))
(assert (or (and (>= X[1] -1.0) (<= X[1] 0.0)) (and (>= X[1] 0.5) (<= X[1] 1.0))))
(assert (== X[0] X[1]))
(assert (< (+ X[0] X[0]) X[1]))
"""


@settings(max_examples=300, deadline=None)
@given(queries(), st.integers(0, 2**32))
@example(EQUAL, 0)
def test_regions_and_formulas_hold_exactly_where_the_assertions_do(text: str, seed: int) -> None:
    query = parse_query(text)
    try:
        unsafe = lower(query)
    except ParseError as error:
        assume("above its upper bound" not in error.message)
        raise
    for region in unsafe.regions:
        assert np.isfinite(region.lower).all()
        assert np.isfinite(region.upper).all()
        assert (region.lower <= region.upper).all()
    points = random.Random(seed).sample(POINTS, 40)
    found = contains(unsafe, points)
    if unsafe.columns is None or len(unsafe.columns.free) == 2:
        assert found == [holds(query, point) for point in points]
        return
    # With x_1 in the place of x_0, more comparisons become bounds on a single input, and with that closed.
    for point, contained in zip(points, found, strict=True):
        assert contained or not holds(query, point, closed=lambda _: False)
        assert not contained or holds(query, point, closed=lambda _: True)


def test_regions_can_be_iterated_again() -> None:
    unsafe = _lower(BOX + "(assert (or (and (<= X_0 0) (<= Y_0 1)) (and (>= X_0 0.5) (<= Y_1 1))))")
    first, second = list(unsafe.regions), list(unsafe.regions)
    assert [r.formula for r in first] == [r.formula for r in second] == [0, 1]
    first[0].lower[:] = 7.0
    assert next(iter(unsafe.regions)).lower.tolist() == [-1.0, -1.0]


def test_a_strict_comparison_and_its_opposite_are_told_apart() -> None:
    """Adaptive cruise control (2026) says y != 0 beside y <= 0 and y >= 0: no bound refutes that where y = 0."""
    assert not list(_lower(BOX + "(assert (!= Y_0 0)) (assert (<= Y_0 0)) (assert (>= Y_0 0))").regions)
    text = "(assert (or (> Y_0 1) (<= Y_1 0)))(assert (or (<= Y_0 1) (>= Y_1 5)))"
    (region,) = _lower(BOX + text).regions
    below, above = 2, 0  # y_0 <= 1, y_0 > 1
    assert region.formula == AnyOf((AllOf((below, 1)), AllOf((above, 3))))


def test_two_output_disjunctions_are_not_multiplied_out() -> None:
    def disjunction(y: int) -> str:
        return "(assert (or " + " ".join(f"(and (>= Y_{y} {k}))" for k in range(1000)) + "))\n"

    unsafe = _lower(BOX + disjunction(0) + disjunction(1))
    (region,) = unsafe.regions
    assert isinstance(region.formula, AllOf)
    assert [len(part.parts) for part in region.formula.parts if isinstance(part, AnyOf)] == [1000, 1000]
    assert len(unsafe.atoms) == 2000


def test_input_unions_multiply_out_lazily() -> None:
    n = 300  # 2**300 regions: only what is asked for is computed
    head = "(declare-const Y_0 Real)" + "".join(f"(declare-const X_{i} Real)" for i in range(n))
    text = "".join(f"(assert (or (and (>= X_{i} 0) (<= X_{i} 1)) (and (>= X_{i} 2) (<= X_{i} 3))))\n" for i in range(n))
    unsafe = lower(parse_query(head + text))
    first, second = islice(unsafe.regions, 2)
    assert first.upper.tolist() == [1.0] * n
    assert second.upper.tolist() == [1.0] * (n - 1) + [3.0]


def test_each_combination_of_alternatives_has_its_own_formula() -> None:
    def union(x: str, y: str) -> str:
        return f"(assert (or (and (<= {x} 0) (<= {y} 1)) (and (>= {x} 0.5) (>= {y} 2))))\n"

    unsafe = _lower(BOX + union("X_0", "Y_0") + union("X_1", "Y_1") + "(assert (<= Y_0 Y_1))")
    found = [(r.lower.tolist(), r.upper.tolist(), r.formula) for r in unsafe.regions]
    assert found == [
        ([-1, -1], [0, 0], AllOf((4, 0, 2))),
        ([-1, 0.5], [0, 1], AllOf((4, 0, 3))),
        ([0.5, -1], [1, 0], AllOf((4, 1, 2))),
        ([0.5, 0.5], [1, 1], AllOf((4, 1, 3))),
    ]


def test_a_true_disjunct_makes_the_disjunction_true() -> None:
    unsafe = _lower(BOX + "(assert (or (<= Y_0 1) (<= 1 2) (>= Y_0 7)))(assert (or (>= X_0 0.5) (<= 1 2)))")
    assert [(r.lower[0], r.formula) for r in unsafe.regions] == [(0.5, AllOf(())), (-1.0, AllOf(()))]


def test_the_hull_of_input_boxes_is_never_taken() -> None:
    near = "(>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1)"
    far = "(>= X_0 5) (<= X_0 6) (>= X_1 5) (<= X_1 6)"
    unsafe = _lower(f"(assert (or (and {near}) (and {far})))")
    boxes = [(region.lower.tolist(), region.upper.tolist()) for region in unsafe.regions]
    assert boxes == [([0, 0], [1, 1]), ([5, 5], [6, 6])]


def test_equality_is_two_atoms_and_pins_inputs() -> None:
    unsafe = _lower("(assert (== X_0 0.25))(assert (== 0.5 X_1))(assert (== Y_0 Y_1))(assert (!= Y_0 3))")
    (region,) = unsafe.regions
    assert region.lower.tolist() == region.upper.tolist() == [0.25, 0.5]
    assert region.formula == AllOf((0, 1, AnyOf((2, 3))))
    assert unsafe.atoms.outputs.tolist() == [[1, -1], [-1, 1], [1, 0], [-1, 0]]
    assert unsafe.atoms.rhs.tolist() == [0, 0, 3, -3]
    assert unsafe.atoms.strict.tolist() == [False, False, True, True]


def test_atoms_keep_the_line_of_their_first_use() -> None:
    unsafe = _lower(BOX + "(assert (<= Y_0 1))\n\n(assert (or (and (<= Y_1 1))\n (and (<= Y_0 1))))\n")
    assert unsafe.atoms.line.tolist() == [6, 8]


def test_mixed_atoms_have_input_coefficients() -> None:
    unsafe = _lower(BOX + "(assert (<= (+ (* 2.0 Y_0) (- X_1 3.0)) (+ X_0 Y_1)))")
    assert unsafe.atoms.inputs is not None
    assert unsafe.atoms.inputs.tolist() == [[-1.0, 1.0]]
    assert unsafe.atoms.outputs.tolist() == [[2.0, -1.0]]
    assert unsafe.atoms.rhs.tolist() == [3.0]
    assert _lower(BOX + "(assert (<= Y_0 1))").atoms.inputs is None


def test_negative_zeros_become_zeros() -> None:
    unsafe = _lower("(assert (>= X_0 -0.0))(assert (<= X_0 -0.0))(assert (== X_1 -0.0))(assert (>= Y_0 -0.0))")
    (region,) = unsafe.regions
    for value in [*region.lower, *region.upper, *unsafe.atoms.rhs]:
        assert math.copysign(1.0, value) == 1.0


@given(st.floats(0.1, 10), st.floats(-10, 10))
def test_division_rounds_outwards(coefficient: float, value: float) -> None:
    unsafe = _lower(f"(assert (<= (* {coefficient!r} X_0) {value!r}))(assert (>= X_0 -1000))(assert (== X_1 0))")
    exact = Fraction(value) / Fraction(coefficient)
    (region,) = unsafe.regions
    assert Fraction(region.upper[0]) >= exact > Fraction(math.nextafter(region.upper[0], -math.inf))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6))
def test_coefficients_are_rounded_once(values: list[float]) -> None:
    total = " ".join(f"(* {value!r} Y_0)" for value in values)
    unsafe = _lower(BOX + f"(assert (<= (+ Y_1 {total}) (+ {' '.join(map(repr, values))})))")
    exact = sum(map(Fraction, values), Fraction(0))
    assert unsafe.atoms.outputs[0, 0] == float(exact)
    assert Fraction(unsafe.atoms.rhs[0]) >= exact


def test_variables_that_cancel_leave_a_bound_or_a_constant() -> None:
    unsafe = _lower(BOX + "(assert (<= (+ X_0 Y_0) (+ Y_0 0.5)))(assert (<= (- Y_0 Y_0) 1))")
    (region,) = unsafe.regions
    assert region.upper.tolist() == [0.5, 1.0]
    assert len(unsafe.atoms) == 0
    assert region.formula == AllOf(())


def test_an_empty_disjunct_may_leave_inputs_unbounded() -> None:
    text = "(assert (or (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1)) (and (>= X_0 3) (<= X_0 2))))"
    assert len(list(_lower(text).regions)) == 1


def test_a_contradiction_in_a_disjunct_is_an_empty_region() -> None:
    assert list(_lower(BOX + "(assert (or (and (>= X_0 2)) (and (<= X_0 -2))))").regions) == []


@pytest.mark.parametrize("swapped", [False, True])
def test_contradictory_bounds_name_both_lines(swapped: bool) -> None:
    bounds = ["(assert (<= X_0 0.5))\n", "(assert (<= (- X_0) -0.75))\n"]
    with pytest.raises(ParseError) as caught:
        _lower(BOX + "".join(bounds[::-1] if swapped else bounds))
    lines = (6, 7) if swapped else (7, 6)
    assert f"lower bound 0.75 (line {lines[0]}) above its upper bound 0.5 (line {lines[1]})" in str(caught.value)
