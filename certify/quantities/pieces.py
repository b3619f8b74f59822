"""Where a law and the regions of a specification meet: boxes without overlap, each with its formula."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from certify.errors import InputError
from certify.problem import Goal, Problem, goal_of
from certify.quantities.mass import Product
from certify.query.formula import Region, any_of
from certify.query.syntax import Arithmetic, Assertion, Comparison, Constant, Query, Term, Variable

MOST_REGIONS = 4096
MOST_PIECES = 20_000


@dataclass(frozen=True)
class Piece:
    """A box [n_inputs] of one component of the law and the goals whose regions cover it, as one goal.

    only_safe: whether the box may hold points that the specification leaves out, but that have positive probability
    (a strict bound where the law has single values): nothing in it is then counted as unsafe.
    """

    lower: np.ndarray
    upper: np.ndarray
    component: int
    goal: Goal
    only_safe: bool = False


def pieces(problem: Problem, components: Sequence[Product]) -> list[Piece]:
    """The regions within each component's support, cut until none overlap. Raises InputError for too many."""
    regions = list(islice(problem.unsafe.regions, MOST_REGIONS + 1))
    if len(regions) > MOST_REGIONS:
        raise InputError(f"the specification has more than {MOST_REGIONS} input regions", "split it")
    inexact = problem.query is not None and inexact_input_bounds(problem.query)
    goals: dict[tuple[int, ...], Goal] = {}
    found = []
    for number, component in enumerate(components):
        for lower, upper, covered in _disjoint(regions, component):
            if covered not in goals:
                formula = any_of(regions[i].formula for i in covered)
                goals[covered] = goal_of(Region(regions[covered[0]].lower, regions[covered[0]].upper, formula))
            edge = inexact and _touches(component, lower, upper, [regions[i] for i in covered])
            found.append(Piece(lower, upper, number, goals[covered], edge))
        if len(found) > MOST_PIECES:
            message = f"the specification's regions overlap in more than {MOST_PIECES} pieces"
            raise InputError(message, "split the specification")
    return found


def _disjoint(
    regions: Sequence[Region], component: Product
) -> list[tuple[np.ndarray, np.ndarray, tuple[int, ...]]]:  # fmt: skip
    """Boxes without overlap and the regions that cover each: (lower, upper, numbers of regions)."""
    found: list[tuple[np.ndarray, np.ndarray, tuple[int, ...]]] = []
    for number, region in enumerate(regions):
        new = [(region.lower, region.upper)]
        kept = []
        for lower, upper, covered in found:
            low, high = np.maximum(lower, region.lower), np.minimum(upper, region.upper)
            if not _proper(low, high, component):
                kept.append((lower, upper, covered))
                continue
            kept.append((low, high, (*covered, number)))
            kept += [(*rest, covered) for rest in _without(lower, upper, low, high, component)]
            new = [rest for box in new for rest in _without(*box, lower, upper, component)]
        found = kept + [(low, high, (number,)) for low, high in new]
        if len(found) > MOST_PIECES:
            break
    tight = [(component.tightened(lower, upper), covered) for lower, upper, covered in found]
    return [(*box, covered) for box, covered in tight if box is not None]


def _proper(lower: np.ndarray, upper: np.ndarray, component: Product) -> bool:
    """Whether a box may have positive probability: on inputs with single values, one point is enough."""
    thin = lower == upper
    return bool((lower <= upper).all() and not thin[list(component.continuous)].any())


def _without(
    lower: np.ndarray, upper: np.ndarray, low: np.ndarray, high: np.ndarray, component: Product
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A box without another, as boxes that share no point of positive probability."""
    low, high = np.maximum(lower, low), np.minimum(upper, high)
    if not _proper(low, high, component):
        yield lower, upper
        return
    lower, upper = lower.copy(), upper.copy()
    for axis in range(len(lower)):
        atomic = component.marginals[axis].atomic
        for side in (0, 1):
            rest = lower.copy(), upper.copy()
            if side == 0:
                rest[1][axis] = np.nextafter(low[axis], -np.inf) if atomic else low[axis]
            else:
                rest[0][axis] = np.nextafter(high[axis], np.inf) if atomic else high[axis]
            if _proper(*rest, component):
                yield rest
        lower[axis], upper[axis] = low[axis], high[axis]


def _touches(component: Product, lower: np.ndarray, upper: np.ndarray, regions: Sequence[Region]) -> bool:
    """Whether a single value of the law lies on a bound of one of the regions."""
    for axis, marginal in enumerate(component.marginals):
        if marginal.atomic:
            edges = [edge for region in regions for edge in (region.lower[axis], region.upper[axis])]
            if any(marginal.tightened(edge, edge) is not None for edge in edges):
                return True
    return False


def inexact_input_bounds(query: Query, calculated: bool = True) -> bool:
    """Whether some comparison of inputs alone is strict or calculates: its box has a bound that it may not hold at.

    calculated: whether those that calculate matter.
    """
    outputs = {tensor.name for tensor in query.computed}
    return any(_inexact(assertion, outputs, calculated) for assertion in query.assertions)


def _inexact(assertion: Assertion, outputs: set[str], calculated: bool) -> bool:
    if not isinstance(assertion, Comparison):
        return any(_inexact(part, outputs, calculated) for part in assertion.operands)
    names: set[str] = set()
    calculates = [_names(side, names) for side in (assertion.left, assertion.right)]
    return not names & outputs and (assertion.relation in ("<", ">", "!=") or (calculated and any(calculates)))


def _names(term: Term, names: set[str]) -> bool:
    """Collect the tensors that a term mentions; whether it calculates."""
    if isinstance(term, Variable):
        names.add(term.tensor)
    if isinstance(term, Arithmetic):
        for operand in term.operands:
            _names(operand, names)
    return not isinstance(term, Variable | Constant)
