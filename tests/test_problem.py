"""Posing a problem: a model and a query must fit each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_files import model, node, save

from certify.errors import ShapeMismatch
from certify.network.read_onnx import Model, load_model
from certify.problem import pose, worst_margin
from certify.query.formula import AllOf, AnyOf, Formula
from certify.query.read import parse_query

SPEC = """
(vnnlib-version <2.0>)
(declare-network N (declare-input A {type} [{a}]) (declare-input B {type} [{b}]) (declare-output Y {type} [1,2]))
(assert (and (>= A[0,0] 0.0) (<= A[0,0] 1.0) (>= A[0,1] 0.0) (<= A[0,1] 1.0)))
(assert (and (>= B[0,0] 0.0) (<= B[0,0] 1.0) (>= B[0,1] 0.0) (<= B[0,1] 1.0)))
(assert (<= Y[0,0] 0.0))
"""


@pytest.fixture
def adding(tmp_path: Path) -> Model:
    """y = a + b, all [1, 2]."""
    return load_model(save(tmp_path / "m.onnx", model([node("Add", "a b", "y")], {"a": [1, 2], "b": [1, 2]}, ["y"])))


@pytest.mark.parametrize("kind", ["real", "float32"])
def test_the_same_shapes_fit_strictly(adding: Model, kind: str) -> None:
    problem = pose(adding, parse_query(SPEC.format(type=kind, a="1,2", b="1,2"), strict=True), strict=True)
    assert len(next(iter(problem.goals())).lower) == 4


def test_another_type_fits_only_leniently(adding: Model) -> None:
    query = parse_query(SPEC.format(type="float64", a="1,2", b="1,2"))
    pose(adding, query)
    with pytest.raises(ShapeMismatch, match="A is declared float64"):
        pose(adding, query, strict=True)


def test_sizes_must_agree_tensor_by_tensor(adding: Model) -> None:
    text = SPEC.format(type="real", a="1,3", b="1,1").replace("B[0,1]", "A[0,2]")
    with pytest.raises(ShapeMismatch, match="sizes"):
        pose(adding, parse_query(text))


def test_the_total_must_agree(adding: Model) -> None:
    text = SPEC.format(type="real", a="1,2", b="1,3") + "(assert (and (>= B[0,2] 0.0) (<= B[0,2] 1.0)))"
    with pytest.raises(ShapeMismatch, match="5 inputs"):
        pose(adding, parse_query(text))


def _formulas() -> st.SearchStrategy[Formula]:
    leaves = st.integers(0, 5)
    parts = lambda inner: st.lists(inner, max_size=4).map(tuple)  # noqa: E731
    return st.recursive(
        leaves, lambda inner: st.one_of(parts(inner).map(AllOf), parts(inner).map(AnyOf)), max_leaves=12
    )


def _one_margin(formula: Formula, margins: list[float]) -> float:
    if isinstance(formula, int):
        return margins[formula]
    found = [_one_margin(part, margins) for part in formula.parts]
    return max(found, default=-np.inf) if isinstance(formula, AllOf) else min(found, default=np.inf)


@given(_formulas(), st.integers(0, 2**32))
def test_margins_of_any_formula(formula: Formula, seed: int) -> None:
    margins = np.random.default_rng(seed).normal(size=(3, 6))
    assert worst_margin(formula, margins).tolist() == [_one_margin(formula, row) for row in margins.tolist()]


def test_margins_of_points() -> None:
    """A formula's margin is the largest of its conjuncts', the smallest of its disjuncts'."""
    margins = np.array([[-1.0, 2.0, -3.0]])
    assert worst_margin(AllOf((0, 2)), margins) == [-1.0]
    assert worst_margin(AnyOf((0, 1)), margins) == [-1.0]
    assert worst_margin(AllOf((AnyOf((1, 2)), 0)), margins) == [-1.0]
    assert worst_margin(AllOf((1, AnyOf((0, 2)))), margins) == [2.0]
    assert worst_margin(AllOf(()), margins) == [-np.inf]
    assert worst_margin(AnyOf(()), margins) == [np.inf]
