"""The logic of a query, after the table of the standard."""

from __future__ import annotations

import pytest

from certify.query.logic import logic
from certify.query.read import parse_query

F = "(declare-network f (declare-input X real [2]) {hidden} (declare-output Y real [2]))"
G = "(declare-network {name} {like} (declare-input X{name} real [2]) (declare-output Y{name} real [2]))"


def _logic(*networks: str, asserted: str = "(<= X[0] 1.0)", hidden: str = "") -> str:
    text = "(vnnlib-version <2.0>)" + F.format(hidden=hidden) + "".join(networks)
    return logic(parse_query(f"{text}(assert {asserted})"))


@pytest.mark.parametrize(
    ("asserted", "expected"),
    [
        ("(<= X[0] 1.0)", "SNC-BND"),
        ("(<= 1.0 Y[0])", "SNC-BND"),
        ("(<= Y[0] Y[1])", "SNC-OUTC"),
        ("(<= X[0] X[1])", "SNC-LIN"),
        ("(<= X[0] Y[1])", "MNC-LIN"),
        ("(<= (- Y[0] Y[1]) 1.0)", "SNC-LIN"),
        ("(or (<= Y[0] 1.0) (<= (* Y[0] Y[0]) 1.0))", "SNC-POLY"),
        ("(<= (- (* Y[0] Y[0]) (* Y[0] Y[0])) Y[1])", "SNC-LIN"),
    ],
)
def test_comparisons(asserted: str, expected: str) -> None:
    assert _logic(asserted=asserted) == f"NH-SNET-SIO-{expected}-REAL"


def test_networks() -> None:
    equal, like = G.format(name="g", like="(equal-to f)"), G.format(name="h", like="(isomorphic-to f)")
    other = G.format(name="k", like="")
    assert _logic(equal) == "NH-MENET-SIO-SNC-BND-REAL"
    assert _logic(equal, like) == "NH-MINET-SIO-SNC-BND-REAL"
    assert _logic(equal, other) == "NH-MNET-SIO-SNC-BND-REAL"
    assert _logic(equal, asserted="(<= (* Y[0] Yg[0]) 1.0)") == "NH-MENET-SIO-SNC-POLY-REAL"


def test_hidden_values_and_types() -> None:
    assert _logic(hidden='(declare-hidden H real [3] "a")') == "H-SNET-SIO-SNC-BND-REAL"
    assert _logic(hidden="(declare-output Z float32 [1])") == "NH-SNET-MIO-SNC-BND-FLOAT32-REAL"
