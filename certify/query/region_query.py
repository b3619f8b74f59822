"""A region as a query of its own: to hand a part of a problem to another tool, or to keep it as a file."""

from __future__ import annotations

from typing import cast

import numpy as np

from certify.errors import InputError
from certify.query.formula import TRUE, AllOf, AnyOf, Atoms, Formula, Region
from certify.query.syntax import (
    Arithmetic,
    Assertion,
    Comparison,
    Connective,
    Constant,
    NetworkDeclaration,
    Query,
    Tensor,
    TensorBounds,
    Term,
    Variable,
)


def region_query(region: Region, atoms: Atoms, tensors: tuple[Tensor, Tensor] | None = None) -> Query:
    """The query that asks whether a point of the region's box satisfies its formula.

    tensors: the one input and the one output, with the sizes of the region and of the atoms; by default X and Y, flat,
    float32. Raises InputError for a formula that contains a constant, which no text can say.
    """
    size = len(region.lower)
    if tensors is None:
        shapes = (size,), (atoms.outputs.shape[1],)
        tensors = Tensor("X", "input", "float32", shapes[0], 0), Tensor("Y", "output", "float32", shapes[1], 0)
    bounds = box_bounds(tensors[0].name, region.lower, region.upper)
    parts = region.formula.parts if isinstance(region.formula, AllOf) else (region.formula,)
    assertions = tuple(_assertion(part, atoms, tensors) for part in parts)
    return Query(
        file="", version="2.0", bounds=(bounds,), assertions=assertions,
        networks=(NetworkDeclaration("N", tensors[:1], (), tensors[1:]),), text="", sha256="",
    )  # fmt: skip


def box_bounds(tensor: str, lower: np.ndarray, upper: np.ndarray) -> TensorBounds:
    """Both bounds of each element of a tensor in turn, the lower one first; lower, upper: [flat elements]."""
    size = len(lower)
    return TensorBounds(
        tensor=tensor,
        index=np.repeat(np.arange(size), 2),
        upper=np.tile([False, True], size),
        value=np.stack([lower, upper], axis=1).ravel(),
        offset=np.zeros(2 * size, dtype=int),
    )


def _assertion(formula: Formula, atoms: Atoms, tensors: tuple[Tensor, Tensor]) -> Assertion:
    if isinstance(formula, int):
        return _atom(formula, atoms, tensors)
    if not formula.parts:
        raise InputError("a formula with a constant in it cannot be written as VNN-LIB")
    operands: list[Assertion] = []
    previous: Formula | None = None
    for part in formula.parts:
        operand = _assertion(part, atoms, tensors)
        if isinstance(formula, AnyOf) and _differ_from_a_number(previous, part, atoms):
            # Written as `<` or `>`, an atom about one input would be read as a bound, which is closed.
            below = cast("Comparison", operands.pop())
            operand, part = Comparison("!=", below.left, below.right, 0), TRUE
        operands.append(operand)
        previous = part
    return Connective("and" if isinstance(formula, AllOf) else "or", tuple(operands), 0)


def _differ_from_a_number(first: Formula | None, second: Formula, atoms: Atoms) -> bool:
    """Whether two alternatives are the halves of `x != c` for an input x: x < c, then x > c."""
    if not (isinstance(first, int) and isinstance(second, int)) or atoms.inputs is None:
        return False
    one_input = np.count_nonzero(atoms.inputs[first]) == 1 and not atoms.outputs[first].any()
    total = atoms.inputs[first] + atoms.inputs[second]
    opposite = not total.any() and not atoms.outputs[second].any() and atoms.rhs[first] + atoms.rhs[second] == 0
    return bool(one_input and opposite and atoms.strict[first] and atoms.strict[second])


def _atom(number: int, atoms: Atoms, tensors: tuple[Tensor, Tensor]) -> Comparison:
    """The comparison an atom stands for, in its shortest form: y_i <= c, y_i >= c, y_i <= y_j, or a sum."""
    rhs = float(atoms.rhs[number])
    terms: list[tuple[float, Variable]] = []
    inputs = np.zeros(tensors[0].size) if atoms.inputs is None else atoms.inputs[number]
    for tensor, coefficients in zip(tensors, (inputs, atoms.outputs[number]), strict=True):
        for index in np.flatnonzero(coefficients).tolist():
            terms.append((float(coefficients[index]), Variable(tensor.name, index, 0)))
    less, greater = ("<", ">") if atoms.strict[number] else ("<=", ">=")
    values = [value for value, _ in terms]
    if values == [-1.0]:
        return Comparison(greater, terms[0][1], _constant(-rhs), 0)  # type: ignore[arg-type]
    if sorted(values) == [-1.0, 1.0] and rhs == 0:
        (_, negative), (_, positive) = sorted(terms, key=lambda term: term[0])
        return Comparison(less, positive, negative, 0)  # type: ignore[arg-type]
    scaled: list[Term] = [
        variable if value == 1 else Arithmetic("*", (_constant(value), variable), 0) for value, variable in terms
    ]
    left = scaled[0] if len(scaled) == 1 else Arithmetic("+", tuple(scaled), 0)
    return Comparison(less, left, _constant(rhs), 0)  # type: ignore[arg-type]


def _constant(value: float) -> Constant:
    return Constant(value, repr(value), 0)
