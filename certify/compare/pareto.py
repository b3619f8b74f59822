"""Which models are worth having: nothing else is as cheap and as certain."""

from __future__ import annotations

from collections.abc import Sequence


def dominated(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether each point (tax, certified share) is dominated: another one has no more tax and no less certified, and is
    better in one of them. Those that are not make up the Pareto front.
    """
    return [
        any(tax <= own and share >= certified and (tax, share) != (own, certified) for tax, share in points)
        for own, certified in points
    ]
