"""What counts as worse, and the counts."""

from __future__ import annotations

import pytest

from certify.compare.pareto import dominated
from certify.compare.transition import VERDICTS, Limits, Result, changes, matrix

PROVED = Result("proved", 2.0, 10.0)


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (PROVED, Result("refuted"), {"regressed"}),
        (PROVED, Result("undecided"), {"weakened"}),
        (PROVED, Result("error"), set()),
        (PROVED, PROVED, set()),
        (PROVED, Result("proved", 1.81, 10.0), set()),
        (PROVED, Result("proved", 1.79, 10.0), {"weakened"}),
        (PROVED, Result("proved", -5.0, 10.0), {"weakened"}),
        (PROVED, Result("proved", None, 10.0), set()),
        (PROVED, Result("proved", 2.0, 20.9), set()),
        (PROVED, Result("proved", 0.1, 21.1), {"weakened", "slower"}),
        (Result("proved", -1.0, 1.0), Result("proved", -9.0, 1.0), set()),
        (Result("proved", 2.0), Result("proved", 2.0, 99.0), set()),
        (Result("undecided"), Result("refuted"), set()),
        (Result("refuted"), Result("refuted"), set()),
        (Result("undecided", -1.0, 9.0), Result("undecided", -2.0, 90.0), set()),
    ],
)
def test_what_is_worse(before: Result, after: Result, worse: set[str]) -> None:
    assert set(changes(before, after, Limits())) == worse


def test_the_limits_decide() -> None:
    after = Result("proved", 1.0, 25.0)
    assert set(changes(PROVED, after, Limits(0.5, 3.0))) == set()
    assert set(changes(PROVED, after, Limits(0.49, 2.3))) == {"weakened", "slower"}


def test_every_transition_is_counted_once() -> None:
    before = [Result(first) for first in VERDICTS for _ in VERDICTS]
    after = [Result(second) for _ in VERDICTS for second in VERDICTS]
    assert matrix(before, after) == [[1] * 4] * 4
    assert matrix(before[:3], after[:3])[0] == [1, 1, 1, 0]


def test_dominated_points() -> None:
    #              best of all, dearer for no more, dearer for more, twice the same
    assert dominated([(0.0, 0.5), (1.0, 0.5), (1.0, 0.6), (1.0, 0.6)]) == [False, True, False, False]
    assert dominated([(0.0, 0.5), (-1.0, 0.5)]) == [True, False]
