"""Inputs that are rounded first: found where that is so, and searched case by case without losing one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from networks import finish, start
from random_problems import problem

from certify.arrays import NUMPY, Library
from certify.network.graph import GraphBuilder, Network
from certify.network.table import Entries, Table
from certify.ops.arithmetic import add, multiply, scale
from certify.ops.jumps import Ceil, Floor, Round, Rounding, Truncate
from certify.ops.registry import Value
from certify.ops.relu import Relu
from certify.ops.select import concat, take
from certify.problem import Problem
from certify.query.formula import AllOf, Region
from certify.search.branch_and_bound import Progress
from certify.search.prove import Proof, Prover
from certify.search.rounded import rounded_inputs, whole_cut
from certify.settings import Budget

ROUNDINGS = [Floor, Ceil, Round, Truncate]


def rounded_first(build: GraphBuilder, x: Value) -> tuple[Value, Value]:
    """(input 0 rounded down, the others)."""
    place = take(build, x, 0, np.array([0]))
    return build.emit(Floor((place.shape,), place.shape), place), take(build, x, 0, np.array([1, 2]))


def clean(build: GraphBuilder, x: Value) -> Value:
    place, rest = rounded_first(build, x)
    return concat(build, (place, build.emit(Relu(((2,),), (2,)), rest)), 0)


def read_twice(build: GraphBuilder, x: Value) -> Value:
    place, _ = rounded_first(build, x)
    return concat(build, (place, build.emit(Relu(((3,),), (3,)), x)), 0)


def given_out(build: GraphBuilder, x: Value) -> Value:
    return concat(build, (rounded_first(build, x)[0], x), 0)


def halved_first(build: GraphBuilder, x: Value) -> Value:
    half = scale(build, take(build, x, 0, np.array([0])), np.asarray(0.5))
    return build.emit(Floor((half.shape,), half.shape), half)


def mixed_first(build: GraphBuilder, x: Value) -> Value:
    total = add(build, take(build, x, 0, np.array([0])), take(build, x, 0, np.array([1])))
    return build.emit(Floor((total.shape,), total.shape), total)


def added_later(build: GraphBuilder, x: Value) -> Value:
    place, _ = rounded_first(build, x)
    return add(build, place, take(build, x, 0, np.array([0])))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (clean, [True, False, False]),
        (read_twice, [False] * 3),
        (given_out, [False] * 3),
        (halved_first, [False] * 3),
        (mixed_first, [False] * 3),
        (added_later, [False] * 3),
    ],
)
def test_only_inputs_that_nothing_else_reads_count(
    make: Callable[[GraphBuilder, Value], Value], expected: list[bool]
) -> None:
    build, x = start(3)
    network: Network = finish(build, make(build, x), 3)
    assert rounded_inputs(network).tolist() == expected


def cases(op: Rounding, lower: float, upper: float) -> set[float]:
    """What the op makes of the points of a box that all cuts lead to."""
    if lower == upper:
        return {float(op.forward(np.array([lower]))[0])}
    below, above = (float(end) for end in whole_cut(np.array(lower), np.array(upper)))
    assert lower <= below < upper
    assert lower < above <= upper
    return cases(op, lower, below) | cases(op, above, upper)


@pytest.mark.parametrize("kind", ROUNDINGS)
def test_cuts_at_whole_numbers_lose_no_case(kind: type[Rounding]) -> None:
    """Every value that occurs anywhere in the box occurs at one of the points that are left in the end."""
    op, rng = kind(((1,),), (1,)), np.random.default_rng(0)
    boxes = [np.sort(rng.uniform(-5.0, 5.0, 2)) for _ in range(100)] + [
        np.array(ends)
        for ends in ((0.0, 3.0), (-2.0, 0.0), (0.5, 0.9), (-0.5, 0.5), (0.5, 1.5), (2.0, 2.5), (-3.0, 3.0))
    ]
    for lower, upper in boxes:
        points = np.concatenate(
            [np.linspace(lower, upper, 2001), [lower, upper], np.arange(np.ceil(lower), upper + 1e-9)]
        )
        points = points[(points >= lower) & (points <= upper)]
        assert set(op.forward(points).tolist()) <= cases(op, lower, upper)


PIXELS = 4


def patched() -> Network:
    """Pixels x[:4], of which the one at place trunc(x[4]) is erased."""
    build, x = start(PIXELS + 1)
    place = take(build, x, 0, np.array([PIXELS]))
    whole = scale(build, build.emit(Truncate(((1,),), (1,)), place), np.ones(PIXELS))
    entries = Entries(lambda at: np.where(np.arange(PIXELS) == at[0], 0.0, 1.0))
    mask = build.emit(Table(((PIXELS,),), (PIXELS,), entries), whole)
    return finish(build, multiply(build, take(build, x, 0, np.arange(PIXELS)), mask), PIXELS + 1)


def posed(rhs: float, *, last: float = 60.0) -> Problem:
    """Pixels in [1, 2], a place in [0, last]: can the first two be at most rhs both?"""
    lower, upper = np.array([1.0] * PIXELS + [0.0]), np.array([2.0] * PIXELS + [last])
    rows = np.eye(PIXELS)[:2]
    return problem(patched(), [Region(lower, upper, AllOf((0, 1)))], rows, np.full(2, rhs))


def proved(
    task: Problem, few_inputs: int, library: Library = NUMPY, seconds: float = 30.0
) -> tuple[Proof, list[np.ndarray]]:
    """The proof, and the points proposed."""
    points: list[np.ndarray] = []
    prover = Prover(task, library, Budget.starting_now(seconds), Progress(), few_inputs)
    prover.screen()
    return prover.search(points.append), points


@pytest.mark.parametrize("few_inputs", [20, 0], ids=["inputs", "hidden values"])
@pytest.mark.parametrize("library", [NUMPY, Library("torch")], ids=["numpy", "torch"])
def test_only_one_place_is_erased_at_a_time(few_inputs: int, library: Library) -> None:
    """What is true of every place, and of no hull over several, is proved; a little more is not."""
    proof, _ = proved(posed(0.99), few_inputs, library)
    assert proof.outcome.closed
    # There is no proof: this ends with its time.
    proof, points = proved(posed(1.01), few_inputs, library, seconds=6.0)
    assert not proof.outcome.closed
    # With the pixels this small and the place far off, it is true.
    assert any((p[:, 0] <= 1.01).any() for p in points)


def test_a_wrong_cut_would_lose_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the cuts itself: one that begins a place too late is caught."""
    right = whole_cut

    def late(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below, above = right(lower, upper)
        return below, np.minimum(above + 1.0, upper)

    monkeypatch.setitem(globals(), "whole_cut", late)
    with pytest.raises(AssertionError):
        test_cuts_at_whole_numbers_lose_no_case(Truncate)
