"""Our reading of version 2.0 against that of the `vnnlib` package, on which the official scorer is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from random_queries import queries

from certify.query.read import parse_query, read_query
from certify.query.syntax import Assertion, Comparison, Constant, Query, Term, Variable
from certify.query.write import write_query

vnnlib = pytest.importorskip("vnnlib", reason="the cross-check needs: pip install vnnlib==1.0.2")

NAMES = {
    "And": "and", "Or": "or", "Plus": "+", "Minus": "-", "Negate": "-", "Multiply": "*",
    "LessThan": "<", "LessEqual": "<=", "GreaterThan": ">", "GreaterEqual": ">=", "Equal": "==", "NotEqual": "!=",
}  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(queries())
def test_both_read_the_same_assertions(text: str) -> None:
    query = parse_query(text)
    for spec in (text, write_query(query)):
        theirs = [_theirs(assertion.expr) for assertion in vnnlib.parse_query_string(spec).assertions]
        ours = parse_query(spec)
        assert _conjuncts(theirs) == _conjuncts(_bounds(ours) + [_ours(assertion) for assertion in ours.assertions])


def _conjuncts(trees: list[Any]) -> list[str]:
    """What must hold together, in an order of no meaning: we keep bounds apart."""
    found = []
    for tree in trees:
        found.extend(_conjuncts(list(tree[1:])) if tree[0] == "and" else [repr(tree)])
    return sorted(found)


def _bounds(query: Query) -> list[Any]:
    return [
        ("<=" if upper else ">=", (bounds.tensor, index), value)
        for bounds in query.bounds
        for index, upper, value in zip(bounds.index.tolist(), bounds.upper, bounds.value.tolist(), strict=True)
    ]


def _ours(node: Assertion | Term) -> Any:
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Variable):
        return node.tensor, node.index
    if isinstance(node, Comparison):
        return node.relation, _ours(node.left), _ours(node.right)
    return node.operator, *map(_ours, node.operands)


def _theirs(node: Any) -> Any:
    kind = type(node).__name__
    if kind in ("Float", "Int"):
        return node.value
    if kind == "Var":
        return node.name, node.indices[0]
    return NAMES[kind], *map(_theirs, node.children())


def test_both_read_the_same_networks() -> None:
    """Names, tensors, shapes, ONNX names and likenesses; and the assertions over all of them."""
    path = Path(__file__).parent / "valid" / "v2_two_networks.vnnlib"
    theirs, ours = vnnlib.parse_query_string(path.read_text().replace(r"a;(\"b", "act")), read_query(path)
    for a, b in zip(theirs.networks, ours.networks, strict=True):
        assert a.name == b.name
        assert (a.equal_to or None, a.isometric_to or None) == (
            b.like[1] if b.like and b.like[0] == "equal-to" else None,
            b.like[1] if b.like and b.like[0] == "isomorphic-to" else None,
        )
        for kind in ("inputs", "hidden", "outputs"):
            pairs = [(t.name, tuple(t.shape)) for t in getattr(a, kind)]
            assert pairs == [(t.name, t.shape) for t in getattr(b, kind)]
    trees = [_theirs(assertion.expr) for assertion in theirs.assertions]
    assert _conjuncts(trees) == _conjuncts(_bounds(ours) + [_ours(assertion) for assertion in ours.assertions])
