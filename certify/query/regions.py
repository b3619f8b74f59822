"""Nested unions of input boxes, multiplied out one region at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from certify.query.formula import FALSE, Formula, Region, all_of
from certify.query.separate import Sides, separated

Box = tuple[np.ndarray, np.ndarray]  # lower and upper bounds, [flat inputs] each; unbounded sides are infinite


class InputBound(NamedTuple):
    """lower <= input number `variable` <= upper, from the comparison at `offset`."""

    variable: int
    lower: float
    upper: float
    offset: int


class Case(NamedTuple):
    """A conjunction: all bounds, the formula, and of every union one alternative."""

    bounds: tuple[InputBound, ...]
    formula: Formula
    unions: tuple[tuple[Case, ...], ...]
    offset: int


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a case within a box. Iterable again and again; empty intersections are skipped.

    inputs: numbers of the inputs that the regions' boxes count; None for all. terms: those to be told apart by side.
    """

    lower: np.ndarray
    upper: np.ndarray
    case: Case
    inputs: np.ndarray | None = None
    terms: Sequence[Sides] = ()

    def __iter__(self) -> Iterator[Region]:
        if (self.lower > self.upper).any():
            return
        for (lower, upper), formula in _expand(self.case, (self.lower, self.upper)):
            formula = separated(formula, self.terms)
            if formula != FALSE:
                kept = slice(None) if self.inputs is None else self.inputs
                yield Region(lower[kept].copy(), upper[kept].copy(), formula)


def intersect(box: Box, bounds: Sequence[InputBound]) -> Box | None:
    """The part of a box within the bounds, None if it is empty."""
    if not bounds:
        return box
    lower, upper = box[0].copy(), box[1].copy()
    for variable, low, high, _ in bounds:
        if low > lower[variable]:
            lower[variable] = low
        if high < upper[variable]:
            upper[variable] = high
        if lower[variable] > upper[variable]:
            return None
    return lower, upper


def _expand(case: Case, box: Box) -> Iterator[tuple[Box, Formula]]:
    """Each combination of alternatives of a case, with its box: depth first, so an empty box ends its whole branch."""
    inner = intersect(box, case.bounds)
    if inner is None or case.formula == FALSE:
        return
    if not case.unions:
        yield inner, case.formula
        return
    formulas = [case.formula]
    choices = [_choices(case.unions[0], inner)]
    while choices:  # a stack instead of recursion: the number of unions has no limit
        chosen = next(choices[-1], None)
        if chosen is None:
            choices.pop()
            formulas.pop()
        elif len(choices) == len(case.unions):
            yield chosen[0], all_of([*formulas, chosen[1]])
        else:
            formulas.append(chosen[1])
            choices.append(_choices(case.unions[len(choices)], chosen[0]))


def _choices(union: tuple[Case, ...], box: Box) -> Iterator[tuple[Box, Formula]]:
    for alternative in union:
        yield from _expand(alternative, box)
