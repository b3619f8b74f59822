"""The same small property in both versions, written by hand, lowers to the same problem bit for bit."""

from __future__ import annotations

import pytest

from certify.query.normal_form import UnsafeSet, lower
from certify.query.read import parse_query

HEAD_1 = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "X_2", "Y_0", "Y_1"))
HEAD_2 = "(vnnlib-version <2.0>)\n(declare-network N (declare-input X real [1,3]) (declare-output Y real [1,2]))\n"
BOX = "".join(f"(assert (>= X_{i} -0.{i}5))(assert (<= X_{i} 1.5))\n" for i in range(3))
TWINS = {
    "bounds on outputs": BOX + "(assert (>= Y_0 0.25))(assert (<= Y_1 -0.5))",
    "outputs compared": BOX + "(assert (or (and (>= Y_0 Y_1)) (and (<= Y_1 0.125) (>= Y_0 3.5))))",
    "boxes of their own": "(assert (or "
    + " ".join(
        f"(and {' '.join(f'(>= X_{i} {k}.0) (<= X_{i} {k}.5)' for i in range(3))} (>= Y_0 {k}.25))" for k in range(4)
    )
    + "))",
    "inputs and outputs, multiplied out": BOX
    + "(assert (or (and (<= X_0 0.0)) (and (>= X_0 0.5))))(assert (or (and (<= Y_0 0.0)) (and (<= Y_1 0.0))))",
    "relations of all kinds": BOX + "(assert (and (< Y_0 1.0) (> Y_1 0.5) (== Y_0 Y_1) (!= Y_0 0.75)))",
    "arithmetic": BOX + "(assert (<= (+ (* 0.1 Y_0) (- X_1 X_2)) (- (* 3.0 Y_1) 0.3)))",
    "equal inputs": BOX + "(assert (== X_0 X_2))(assert (<= X_0 Y_0))",
    "products": BOX + "(assert (<= (* Y_0 Y_1) (+ (* X_0 X_0) -2.0)))",
}


def second(text: str) -> str:
    """The elements as version 2.0 writes them."""
    for i in range(3):
        text = text.replace(f"X_{i}", f"X[0,{i}]").replace(f"Y_{i}", f"Y[0,{i}]")
    return text


def meaning(unsafe: UnsafeSet) -> list[object]:
    """Everything that the solver is given, as bytes."""
    atoms = unsafe.atoms
    inputs = None if atoms.inputs is None else atoms.inputs.tobytes()
    regions = [(r.lower.tobytes(), r.upper.tobytes(), r.formula) for r in unsafe.regions]
    columns = unsafe.columns and (
        unsafe.columns.outputs,
        unsafe.columns.source.tobytes(),
        unsafe.columns.weight.tobytes(),
    )
    return [atoms.outputs.tobytes(), inputs, atoms.rhs.tobytes(), atoms.strict.tobytes(), regions, columns]


@pytest.mark.parametrize("name", TWINS)
def test_twins_are_one_problem(name: str) -> None:
    first, other = (parse_query(head + text) for head, text in ((HEAD_1, TWINS[name]), (HEAD_2, second(TWINS[name]))))
    assert meaning(lower(first)) == meaning(lower(other))
    assert list(lower(first).regions)


def test_what_differs_is_told_apart() -> None:
    first = parse_query(HEAD_1 + TWINS["bounds on outputs"])
    other = parse_query(HEAD_2 + second(TWINS["bounds on outputs"]).replace("0.25", "0.2500000001"))
    assert meaning(lower(first)) != meaning(lower(other))
