"""What makes a query's input boxes unusable: contradictory bounds at the top level, inputs without a bound."""

from __future__ import annotations

import math
import re

import numpy as np

from certify.errors import ParseError
from certify.query.regions import Box, Case, InputBound, intersect
from certify.query.syntax import Query, Tensor

_Side = tuple[int, bool]  # an input's number, and whether its upper bound is meant


def check_consistent(query: Query, box: Box, case: Case) -> None:
    """A lower bound above an upper bound at the top level is a ParseError that names both lines."""
    for index in np.flatnonzero(box[0] > box[1])[:1].tolist():
        bounds = [bound for bound in _all_bounds(query, case) if bound.variable == index]
        low = max(bounds, key=lambda bound: bound.lower)
        high = min(bounds, key=lambda bound: bound.upper)
        message = (
            f"{query.element(index)} has the lower bound {low.lower!r} (line {query.locate(low.offset)[0]})"
            f" above its upper bound {high.upper!r} (line {query.locate(high.offset)[0]})"
        )
        raise query.error(
            "V0501", max(low.offset, high.offset), message, "no input satisfies both: correct one of them"
        )


def check_bounded(query: Query, box: Box, case: Case) -> None:
    """Every input has both bounds in every region; else a ParseError names the input and the disjunct without."""
    sides = np.flatnonzero(~np.isfinite(box[0])).tolist(), np.flatnonzero(~np.isfinite(box[1])).tolist()
    missing = {(index, is_upper) for is_upper in (False, True) for index in sides[is_upper]}
    missing -= _bounded(case, missing, box)
    if missing:
        raise _unbounded(query, box, case, min(missing))


def _bounded(case: Case, sides: set[_Side], box: Box) -> set[_Side]:
    """Those of the sides that every region of the case bounds: in one of its unions, all alternatives do.

    Alternatives that are empty within the box have no region, so they may bound what they like.
    """
    found = {(bound.variable, False) for bound in case.bounds if bound.lower > -math.inf}
    found |= {(bound.variable, True) for bound in case.bounds if bound.upper < math.inf}
    found &= sides
    for union in case.unions:
        common = sides - found
        for alternative in union:
            if common and intersect(box, alternative.bounds) is not None:
                common &= _bounded(alternative, common, box)
        found |= common
    return found


def _unbounded(query: Query, box: Box, case: Case, side: _Side) -> ParseError:
    """The complaint, at the first disjunct that lacks the bound where others have it, else at the declaration."""
    index, is_upper = side
    what = f"input {query.element(index)} has no {'upper' if is_upper else 'lower'} bound"
    hint = "every input needs a finite lower and upper bound"
    for union in case.unions:
        lacking = [alternative for alternative in union if not _bounded(alternative, {side}, box)]
        if 0 < len(lacking) < len(union):
            return query.error("V0502", lacking[0].offset, f"{what} in this disjunct", hint)
    return query.error("V0502", _declaration(query, index), what, hint)


def _all_bounds(query: Query, case: Case) -> list[InputBound]:
    """Every bound asserted at the top level."""
    found = list(case.bounds)
    start = 0
    for tensor in query.inputs:
        for bounds in query.bounds:
            if bounds.tensor == tensor.name:
                rows = zip(bounds.index, bounds.upper, bounds.value, bounds.offset, strict=True)
                for index, is_upper, value, offset in rows:
                    low, high = (-math.inf, float(value)) if is_upper else (float(value), math.inf)
                    found.append(InputBound(start + int(index), low, high, int(offset)))
        start += tensor.size
    return found


def _tensor(query: Query, index: int) -> tuple[Tensor, int]:
    """The input tensor and the flat index within it of an input's number."""
    for tensor in query.inputs:
        if index < tensor.size:
            return tensor, index
        index -= tensor.size
    raise IndexError(index)


def _declaration(query: Query, index: int) -> int:
    """The offset of the declaration of an input; version 1.0 declares each element."""
    tensor, element = _tensor(query, index)
    declared = re.search(rf"\(\s*declare-\w+\s+{tensor.name}_{element}\s", query.text)
    return declared.start() if declared and query.version == "1.0" else tensor.offset
