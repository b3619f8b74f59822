"""Formulas that say both `a < c` and `a >= c` of one term a, told apart by its side of c.

Bounds cannot refute `a < c and a >= c`: where a = c, each margin is zero. So the formula is written once for each side,
with what is known of these atoms put in:

    F  =  (a < c and F with a < c)  or  (a > c and F with a > c)  or  (a = c and F with a = c)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from certify.query.atoms import Key
from certify.query.formula import FALSE, TRUE, AllOf, Formula, all_of, any_of, atoms_of

MOST_ATOMS = 10_000  # of a formula that is written out


class Sides(NamedTuple):
    """The numbers of the atoms that compare one term with one number; None for those that do not occur."""

    less: int | None = None
    at_most: int | None = None
    greater: int | None = None
    at_least: int | None = None


def undecidable_sides(keys: Iterable[Key]) -> list[Sides]:
    """The terms of which atoms say a strict comparison and its opposite."""
    found: dict[tuple[object, float], dict[str, int]] = {}
    for number, (coefficients, rhs, strict) in enumerate(keys):
        if coefficients[0][1] > 0:
            term, place = (coefficients, rhs), "less" if strict else "at_most"
        else:
            mirrored = tuple((variable, -value) for variable, value in coefficients)
            term, place = (mirrored, 0.0 - rhs), "greater" if strict else "at_least"
        found.setdefault(term, {})[place] = number
    several = (Sides(**places) for places in found.values() if len(places) > 1)
    return [
        sides
        for sides in several
        if None not in (sides.less, sides.at_least) or None not in (sides.greater, sides.at_most)
    ]


def separated(formula: Formula, terms: Iterable[Sides]) -> Formula:
    """An equivalent formula that leaves no such contradiction to the bounds, as long as it stays of a sensible size."""
    for sides in terms:
        mentioned = list(atoms_of(formula))
        if 3 * len(mentioned) > MOST_ATOMS:
            return formula
        if len(set(mentioned) & set(sides)) > 1:
            formula = any_of(dict.fromkeys(_cases(formula, sides)))
    return formula


def _cases(formula: Formula, sides: Sides) -> Iterable[Formula]:
    """The formula on each side.

    Where the strict atom does not occur, a side is closed; what it says at a = c, the case of equality says too, since
    formulas are monotone in their atoms.
    """
    less, at_most, greater, at_least = sides
    below = less if less is not None else at_most
    above = greater if greater is not None else at_least
    equal = [atom for atom in (at_most, at_least) if atom is not None]
    for guard, true in (([below], {less, at_most}), ([above], {greater, at_least}), (equal, {at_most, at_least})):
        rest = _known(formula, {atom: atom in true for atom in sides if atom is not None})
        yield all_of([*(atom for atom in guard if atom is not None), rest]) if rest != FALSE else FALSE


def _known(formula: Formula, values: dict[int, bool]) -> Formula:
    """The formula with the truth of some atoms put in."""
    if isinstance(formula, int):
        return formula if formula not in values else TRUE if values[formula] else FALSE
    parts = (_known(part, values) for part in formula.parts)
    return all_of(parts) if isinstance(formula, AllOf) else any_of(parts)
