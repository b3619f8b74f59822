"""The atoms of a query while they are collected: each constraint once, numbered in the order of first use."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from certify.query.formula import FALSE, TRUE, AllOf, AnyOf, Atoms, Formula
from certify.query.linear import Constraint, nearest, rounded_up
from certify.query.syntax import Query

# Coefficients by number of a variable, right-hand side, whether strict.
Key = tuple[tuple[tuple[int, float], ...], float, bool]


class AtomTable:
    """Numbers constraints; equal ones share a number.

    Coefficients are rounded to the nearest float64, the right-hand side upwards, once each. Of numbers as they are
    written nothing is lost; only where arithmetic on constants leaves the float64 grid, as in (* 0.1 (* 0.1 Y_0)), does
    the atom differ from the text, by half a unit in the last place. Witnesses are replayed against the text.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self._numbers: dict[Key, int] = {}
        self._offsets: list[int] = []

    def formula(self, constraint: Constraint, offset: int) -> Formula:
        """The formula of a constraint; without variables it is true or false."""
        relation = constraint.relation
        if not constraint.coefficients:
            rhs = constraint.rhs
            holds = {"<=": rhs >= 0, ">=": rhs <= 0, "<": rhs > 0, ">": rhs < 0, "==": rhs == 0, "!=": rhs != 0}
            return TRUE if holds[relation] else FALSE
        if relation in ("<=", "<"):
            return self._number(constraint, relation == "<", offset)
        if relation in (">=", ">"):
            return self._number(constraint.mirrored(), relation == ">", offset)
        strict = relation == "!="
        sides = (self._number(constraint, strict, offset), self._number(constraint.mirrored(), strict, offset))
        return AnyOf(sides) if strict else AllOf(sides)

    def _number(self, constraint: Constraint, strict: bool, offset: int) -> int:
        """The number of `coefficients . variables <= rhs`, or `<` if strict."""
        try:
            items = constraint.coefficients.items()
            ordered = sorted(items) if len(items) > 1 else items
            coefficients = tuple([(variable, nearest(value)) for variable, value in ordered])
            rhs = constraint.rhs
            key = coefficients, rhs + 0.0 if type(rhs) is float else rounded_up(rhs), strict
        except OverflowError:
            raise self._query.error(
                "V0503", offset, "a coefficient is too large", "float64 ends at about 1.8e308"
            ) from None
        number = self._numbers.setdefault(key, len(self._numbers))
        if number == len(self._offsets):
            self._offsets.append(offset)
        return number

    def mentioned(self) -> list[int]:
        """The numbers of the variables and products that occur, ascending."""
        return sorted({variable for coefficients, _, _ in self._numbers for variable, _ in coefficients})

    def keys(self) -> Iterable[Key]:
        """What each atom says, in the order of their numbers."""
        return self._numbers

    def finish(self, inputs: np.ndarray, outputs: np.ndarray) -> Atoms:
        """All atoms as arrays, with these variables and products (ascending numbers) as their columns."""
        rows, columns, values = [], [], []
        for row, (coefficients, _, _) in enumerate(self._numbers):
            for column, value in coefficients:
                rows.append(row)
                columns.append(column)
                values.append(value)
        at_row, at_column, entry = (
            np.array(rows, dtype=int),
            np.array(columns, dtype=int),
            np.array(values, dtype=float),
        )
        on_output = np.isin(at_column, outputs)
        of_outputs = np.zeros((len(self._numbers), len(outputs)))
        of_outputs[at_row[on_output], np.searchsorted(outputs, at_column[on_output])] = entry[on_output]
        of_inputs = None
        if not on_output.all():
            of_inputs = np.zeros((len(self._numbers), len(inputs)))
            of_inputs[at_row[~on_output], np.searchsorted(inputs, at_column[~on_output])] = entry[~on_output]
        return Atoms(
            outputs=of_outputs,
            inputs=of_inputs,
            rhs=np.array([rhs for _, rhs, _ in self._numbers], dtype=float),
            strict=np.array([strict for _, _, strict in self._numbers], dtype=bool),
            line=self._query.lines(np.array(self._offsets, dtype=int)),
        )
