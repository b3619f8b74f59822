"""The relaxation of relu(x) - relu(y) on grids, for all parameters; and that the check itself sees a wrong line."""

from __future__ import annotations

import numpy as np
import pytest

from certify.ops import relu_difference
from certify.ops.relu_difference import ReluDifference

OP = ReluDifference(((1,),) * 3, (1,))
ENDS = (-2.0, -0.5, 0.0, 0.25, 1.5)
INTERVALS = [(a, b) for a in ENDS for b in ENDS if a <= b]
PARAMETERS = np.array([[p, q, s, t] for p in (0, 0.3, 1) for q in (0, 0.6, 1) for s in (0, 1) for t in (0, 1)])
Interval = tuple[float, float]


def cases() -> list[tuple[Interval, Interval, Interval]]:
    """Intervals of x, y and of d, which may cut into that of x - y."""
    rng = np.random.default_rng(0)
    found = []
    for x in INTERVALS:
        for y in INTERVALS:
            low, high = x[0] - y[1], x[1] - y[0]
            cut = np.sort(rng.uniform(low, high, size=2)).tolist()
            found += [(x, y, (low, high)), (x, y, (cut[0], cut[1]))]
    return found


def points(x: Interval, y: Interval, d: Interval) -> tuple[np.ndarray, ...]:
    """(x, y, d) on a grid and on the two edges of the band where d is at an end."""
    a, b = (side.ravel() for side in np.meshgrid(np.linspace(*x, 25), np.linspace(*y, 25)))
    edge = np.linspace(*x, 60)
    a, b = np.concatenate([a, edge, edge]), np.concatenate([b, edge - d[0], edge - d[1]])
    inside = (b >= y[0]) & (b <= y[1]) & (a - b >= d[0] - 1e-12) & (a - b <= d[1] + 1e-12)
    return a[inside], b[inside], (a - b)[inside]


def bounds(*intervals: Interval) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.array([[low]]), np.array([[high]])) for low, high in intervals]


def violation() -> float:
    """The largest amount by which a plane or the interval is on the wrong side, over all cases."""
    worst = -np.inf
    for intervals in cases():
        a, b, d = points(*intervals)
        if not len(a):
            continue
        value = np.maximum(a, 0.0) - np.maximum(b, 0.0)
        low, high = OP.interval(*bounds(*intervals))
        worst = max(worst, float((low.item() - value).max()), float((value - high.item()).max()))
        planes = OP.relax(*bounds(*intervals)).planes(tuple(p[None, :, None] for p in PARAMETERS.T))
        lower = sum(s[0] * v for s, v in zip(planes.lower_slopes, (a, b, d), strict=True)) + planes.lower_bias[0]
        upper = sum(s[0] * v for s, v in zip(planes.upper_slopes, (a, b, d), strict=True)) + planes.upper_bias[0]
        worst = max(worst, float((lower - value).max()), float((value - upper).max()))
    return worst


def test_planes_and_intervals_are_sound() -> None:
    assert violation() <= 1e-12


def test_a_chord_that_is_too_high_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = relu_difference._chord_of_minimum

    def wrong(c: np.ndarray, d: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        slope, offset = right(c, d)
        return slope, offset + 0.02 * abs(offset)

    monkeypatch.setattr(relu_difference, "_chord_of_minimum", wrong)
    assert violation() > 1e-3


@pytest.mark.parametrize("intervals", [((-1.0, 2.0), (-1.5, 1.0), (-0.2, 0.3)), ((0.5, 2.0), (-1.0, 1.0), (-0.5, 3.0))])
def test_close_weights_mean_close_planes(intervals: tuple[Interval, ...]) -> None:
    """The triangles alone know nothing of d."""
    gap = OP.relax(*bounds(*intervals)).gap().item()
    assert gap <= (intervals[2][1] - intervals[2][0]) / 2.0 + 1e-9


def test_nothing_differs_exactly() -> None:
    x = (-1.0, 2.0)
    low, high = OP.interval(*bounds(x, x, (0.0, 0.0)))
    assert low.item() == high.item() == 0.0
    assert not OP.inexact(*bounds(x, x, (0.0, 0.0))).any()


def test_both_array_libraries_agree() -> None:
    torch = pytest.importorskip("torch")
    intervals = bounds((-1.0, 2.0), (-1.5, 1.0), (-0.2, 0.3))
    there = [tuple(map(torch.from_numpy, interval)) for interval in intervals]
    for mine, other in zip(OP.interval(*intervals), OP.interval(*there), strict=True):
        assert mine.item() == other.item()
    relaxations = OP.relax(*intervals), OP.relax(*there)
    first, second = (relaxation.planes(relaxation.start()) for relaxation in relaxations)
    for side in ("lower_slopes", "upper_slopes"):
        pairs = zip(getattr(first, side), getattr(second, side), strict=True)
        assert all(a.item() == b.item() for a, b in pairs)
    assert first.lower_bias.item() == second.lower_bias.item()


def test_gradients_of_planes() -> None:
    rng = np.random.default_rng(1)
    for intervals in [((-1.0, 2.0), (-1.5, 1.0), (-0.2, 0.3)), ((-1.0, 0.5), (-3.0, 1.0), (-1.0, 2.0))]:
        relaxation = OP.relax(*bounds(*intervals))
        parameters = tuple(rng.uniform(0.2, 0.8, size=(1, 1, 1)) for _ in range(4))
        xs = tuple(rng.normal(size=(1, 1, 1)) for _ in range(3))
        for weight in (np.full((1, 1, 1), 0.7), np.full((1, 1, 1), -1.3)):

            def value(these: tuple[np.ndarray, ...]) -> float:
                planes = relaxation.planes(these)  # noqa: B023 - called within the loop
                slopes, bias = planes.lower_slopes, planes.lower_bias
                if weight.item() < 0:  # noqa: B023
                    slopes, bias = planes.upper_slopes, planes.upper_bias
                total = sum(s * x for s, x in zip(slopes, xs, strict=True)) + bias  # noqa: B023
                return float((weight * total).item())  # noqa: B023

            for i, part in enumerate(relaxation.gradient(parameters, weight, xs)):
                moved = [tuple(p + h * (k == i) for k, p in enumerate(parameters)) for h in (1e-6, -1e-6)]
                assert np.isclose(part.item(), (value(moved[0]) - value(moved[1])) / 2e-6, atol=1e-6)
