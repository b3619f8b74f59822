"""How a bound moved: few points, spread evenly, the last among them."""

from __future__ import annotations

import pytest
from bundled import CNN, HARD, HOLDS, MODEL

from certify import api
from certify.search.trace import MOST, Trace


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 100, 127, 128, 1000])
def test_points(count: int) -> None:
    trace = Trace()
    for number in range(count):
        trace.add(-1.0 / (number + 1), number)
    points = trace.points()
    numbers = [number for _, _, number in points]
    assert len(points) <= MOST
    assert numbers == sorted(set(numbers))
    assert count == 0 or (numbers[0], numbers[-1]) == (0, count - 1)
    steps = {b - a for a, b in zip(numbers[:-1], numbers[1:-1], strict=False)}
    assert len(steps) <= 1


def test_a_search_leaves_its_trace() -> None:
    verdict = api.check(CNN, HARD, timeout=5.0)
    bounds = [bound for _, bound, _ in verdict.trace]
    assert len(bounds) > 2
    assert bounds[-1] == verdict.bound
    assert bounds[-1] > bounds[0]
    assert all(a <= b for (a, *_), (b, *_) in zip(verdict.trace, verdict.trace[1:], strict=False))
    proved = api.check(MODEL, HOLDS)
    assert proved.trace[-1][1] == proved.bound
