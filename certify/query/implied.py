"""Bounds that inputs have only through others: x <= y <= 1 bounds y from below where it bounds x."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from certify.query.atoms import AtomTable, Key
from certify.query.formula import AllOf, Formula
from certify.query.linear import rounded_up
from certify.query.regions import Box


def with_implied_bounds(box: Box, formula: Formula, atoms: AtomTable, n_inputs: int) -> Box:
    """The box with the sides that are missing, as far as the formula's conjuncts about inputs alone imply them.

    Rounded outwards; what is bounded already stays as it is.
    """
    lower, upper = box[0].copy(), box[1].copy()
    if np.isfinite(lower).all() and np.isfinite(upper).all():
        return box
    conjuncts = {
        part for part in (formula.parts if isinstance(formula, AllOf) else (formula,)) if isinstance(part, int)
    }
    rows = [
        row
        for number, row in enumerate(atoms.keys())
        if number in conjuncts and all(variable < n_inputs for variable, _ in row[0])
    ]
    while any(_tighten(row, lower, upper) for row in rows):
        pass  # each round adds a side that was missing, so there are finitely many
    return lower, upper


def _tighten(row: Key, lower: np.ndarray, upper: np.ndarray) -> bool:
    """Add the missing sides that one row, `sum of terms <= rhs`, implies; whether there were any."""
    found = False
    for variable, coefficient in row[0]:
        side = upper if coefficient > 0 else lower
        if math.isfinite(side[variable]):
            continue
        least = _least((term for term in row[0] if term[0] != variable), lower, upper)
        if least is None:
            continue
        limit = (Fraction(row[1]) - least) / Fraction(coefficient)
        try:
            side[variable] = rounded_up(limit) if coefficient > 0 else 0.0 - rounded_up(-limit)
        except OverflowError:
            continue
        found = found or math.isfinite(side[variable])
    return found


def _least(terms: Iterable[tuple[int, float]], lower: np.ndarray, upper: np.ndarray) -> Fraction | None:
    """The smallest value of a sum of terms within the box; None if it has none."""
    total = Fraction(0)
    for variable, coefficient in terms:
        value = float((lower if coefficient > 0 else upper)[variable])
        if not math.isfinite(value):
            return None
        total += Fraction(coefficient) * Fraction(value)
    return total
