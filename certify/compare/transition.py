"""What became of each specification: verdicts before and after, and what is worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from certify.batch.record import Record

# The rows and columns of the matrix.
VERDICTS = ("proved", "refuted", "undecided", "error")
_VERDICT = {"unsat": "proved", "sat": "refuted", "error": "error"}
# Seconds by which a proof must be longer before it counts as slower: starting and loading takes about that long.
NOISE = 1.0


@dataclass(frozen=True)
class Limits:
    """weakened: the share of the margin that may be lost; slower: how many times as long a proof may take."""

    weakened: float = 0.1
    slower: float = 2.0


@dataclass(frozen=True)
class Result:
    """What is known of one specification for one model. margin: proven lower bound of the property's margin over the
    whole region, without splits; None where there is none. seconds: of processor time, which other programs do not
    stretch; None where nobody keeps them (baselines).
    """

    verdict: str
    margin: float | None = None
    seconds: float | None = None

    @property
    def safe_margin(self) -> float:
        """What is known of a proved property without splits: 0 where the proof took splits."""
        return max(0.0, self.margin or 0.0)


def verdict_of(record: Record) -> str:
    """One of VERDICTS: whatever is not decided is undecided, for whatever reason."""
    return _VERDICT.get(record.status, "undecided")


def matrix(before: Sequence[Result], after: Sequence[Result]) -> list[list[int]]:
    """[verdict before, verdict after] -> number of specifications, both in the order of VERDICTS."""
    found = [[0] * len(VERDICTS) for _ in VERDICTS]
    for first, second in zip(before, after, strict=True):
        found[VERDICTS.index(first.verdict)][VERDICTS.index(second.verdict)] += 1
    return found


def changes(before: Result, after: Result, limits: Limits) -> dict[str, str]:
    """What is worse after than before, and in what way.

    regressed: proved, now refuted. weakened: proved, now undecided; or proved both times and the margin (`safe_margin`)
    lower by more than the share `limits.weakened` of what it was. slower: proved both times, and the second proof takes
    more than `limits.slower` times as much processor time and NOISE seconds.
    """
    if before.verdict != "proved":
        return {}
    if after.verdict == "refuted":
        return {"regressed": "was proved, is violated now"}
    if after.verdict == "undecided":
        return {"weakened": "was proved, is undecided now"}
    if after.verdict != "proved":
        return {}
    found = {}
    first, second = before.safe_margin, after.safe_margin
    if after.margin is not None and second < first * (1.0 - limits.weakened):
        found["weakened"] = f"the margin was {first:.4g}, is {second:.4g} now (without splits)"
    if before.seconds is not None and after.seconds is not None:
        allowed = limits.slower * before.seconds + NOISE
        if after.seconds > allowed:
            found["slower"] = f"the proof took {before.seconds:.2f} s, takes {after.seconds:.2f} s now"
    return found
