"""The points of VNN-COMP, as the rules of each year give them. Pure functions: answers in, marks out.

Sources: the reports on VNN-COMP 2021 (arXiv:2109.00498), 2022 (2212.10376), 2023 (2312.16760), 2024 (2412.19985), the
scoring scripts in the result repositories of all years, and the rules of 2026.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from certify.batch.record import DECIDED
from certify.errors import InputError
from certify.witness.grade import CORRECT, TOLERATED, UNSUPPORTED

# Whose word counts where tools disagree. vote: the majority's. conflict: any correct counterexample's, looked at only
# where tools disagree. any: the same, always looked at, and without one `sat` is wrong. own: each `sat` stands and
# falls with its own counterexample, and one that is correct without tolerance refutes every `unsat`.
Judge = Literal["vote", "conflict", "any", "own"]
# In 2021 an attack by the organisers took part under this name: what it refuted was worth little.
GENERATOR = "randgen"


@dataclass(frozen=True)
class Rules:
    """Points of one year.

    fastest, second: added for the fastest and second fastest correct answer; times closer than `tie` seconds are equal,
    and so are all below `floor`. overhead: a tool's shortest time is taken off all of its times.
    """

    year: int
    judge: Judge
    correct: int = 10
    wrong: int = -150
    easy: int = 10
    fastest: int = 0
    second: int = 0
    tie: float = 0.2
    floor: float = 0.0
    overhead: bool = False


RULES = {
    rules.year: rules
    for rules in (
        Rules(2021, "vote", wrong=-100, easy=1, fastest=2, second=1, floor=1.0, overhead=True),
        Rules(2022, "conflict", wrong=-100, fastest=2, second=1, floor=1.0, overhead=True),
        Rules(2023, "any"),
        Rules(2024, "own"),
        Rules(2025, "own"),
        Rules(2026, "own"),
    )
}


@dataclass(frozen=True)
class Answer:
    """What a tool said about one instance. witness: the organisers' word for its counterexample, None if unknown."""

    result: str
    seconds: float
    witness: str | None = None


@dataclass(frozen=True)
class Mark:
    """What an answer is worth. kind: verified, falsified, wrong, or "" for no credit."""

    points: int
    kind: Literal["verified", "falsified", "wrong", ""] = ""
    fastest: bool = False


@dataclass(frozen=True)
class Standing:
    """A tool on a benchmark. percent: of the points of the best. seconds: on all instances that it solved."""

    points: int = 0
    verified: int = 0
    falsified: int = 0
    fastest: int = 0
    wrong: int = 0
    seconds: float = 0.0
    percent: float = 0.0


NOTHING = Mark(0)
Key = TypeVar("Key")
# Answers by tool, for each instance.
Instances = Sequence[Mapping[str, Answer]]


def rules_of(year: int) -> Rules:
    """The rules of a year. Raises InputError for a year without a competition."""
    if year not in RULES:
        raise InputError(f"there are no rules of {year}", f"choose one of: {', '.join(map(str, RULES))}")
    return RULES[year]


def in_time(answer: Answer, limit: float | None) -> Answer:
    """The answer, which is none if it came later than the limit."""
    late = limit is not None and answer.seconds > limit
    return replace(answer, result="timeout") if late and answer.result in DECIDED else answer


def marks(rules: Rules, answers: Mapping[str, Answer]) -> dict[str, Mark]:
    """What each tool gets for one instance."""
    times = {r: sorted(a.seconds for a in answers.values() if a.result == r) for r in DECIDED}
    found = {}
    for tool, answer in answers.items():
        worth = _worth(rules, answer, answers) if answer.result in DECIDED else None
        if worth is None:
            found[tool] = NOTHING
        elif worth < 0:
            found[tool] = Mark(worth, "wrong")
        else:
            bonus = 0 if worth < rules.correct else _bonus(rules, answer.seconds, times[answer.result])
            kind: Literal["verified", "falsified"] = "verified" if answer.result == "unsat" else "falsified"
            found[tool] = Mark(worth + bonus, kind, bool(bonus) and bonus == rules.fastest)
    return found


def _worth(rules: Rules, answer: Answer, answers: Mapping[str, Answer]) -> int | None:
    """Points of a decided answer before any bonus; None for no credit."""
    sat = [a for a in answers.values() if a.result == "sat"]
    n_sat, n_unsat = len(sat), sum(a.result == "unsat" for a in answers.values())
    if rules.easy < rules.correct and answers.get(GENERATOR, Answer("", 0.0)).result == "sat":
        return rules.easy if answer.result == "sat" else rules.wrong
    if rules.judge == "vote":
        if n_sat == n_unsat:
            return None
        return rules.correct if (answer.result == "sat") == (n_sat > n_unsat) else rules.wrong
    words = {a.witness for a in sat}
    refuted = CORRECT in words or (rules.judge in ("conflict", "any") and TOLERATED in words)
    if answer.result == "unsat":
        # Where nobody has looked at a counterexample that would decide, nobody can say who is right.
        return rules.wrong if refuted else None if None in words else rules.correct
    if rules.judge == "own":
        return _own(rules, answer.witness, contested=n_unsat > 0)
    if refuted or (rules.judge == "conflict" and not n_unsat):
        return rules.correct
    if None in words:
        return None if n_unsat else rules.correct
    return rules.wrong


def _own(rules: Rules, witness: str | None, contested: bool) -> int | None:
    """Points of `sat` by its own counterexample."""
    if witness is None:
        return None if contested else rules.correct
    if witness == UNSUPPORTED:
        return None
    return rules.correct if witness in (CORRECT, TOLERATED) else rules.wrong


def _bonus(rules: Rules, seconds: float, times: Sequence[float]) -> int:
    """Extra points for being among the first; times: of all who gave this answer, in order."""
    if seconds < times[0] + rules.tie:
        return rules.fastest
    return rules.second if seconds < times[1] + rules.tie else 0


def without_overhead(rules: Rules, answers: Mapping[Key, Answer]) -> dict[Key, Answer]:
    """One tool's answers with the times that the rules compare."""
    solved = [a.seconds for a in answers.values() if a.result in DECIDED]
    least = min(solved, default=0.0) if rules.overhead else 0.0
    return {key: replace(a, seconds=max(rules.floor, a.seconds - least)) for key, a in answers.items()}


def standings(rules: Rules, instances: Instances) -> dict[str, Standing]:
    """How the tools stand on one benchmark; those that solved nothing do not take part."""
    taking_part = {tool for answers in instances for tool, a in answers.items() if a.result in DECIDED}
    found = {tool: Standing() for answers in instances for tool in answers if tool in taking_part}
    for answers in instances:
        for tool, mark in marks(rules, {t: a for t, a in answers.items() if t in found}).items():
            s, solved = found[tool], mark.kind in ("verified", "falsified")
            found[tool] = Standing(
                s.points + mark.points,
                s.verified + (mark.kind == "verified"),
                s.falsified + (mark.kind == "falsified"),
                s.fastest + mark.fastest,
                s.wrong + (mark.kind == "wrong"),
                s.seconds + (answers[tool].seconds if solved else 0.0),
            )
    best = max((s.points for s in found.values()), default=0)
    return {t: replace(s, percent=max(0.0, 100.0 * s.points / best) if best > 0 else 0.0) for t, s in found.items()}


def total(benchmarks: Mapping[str, Mapping[str, Standing]]) -> dict[str, Standing]:
    """All benchmarks together, best tool first: percents add up, and of equal ones the faster tool is first."""
    sums: dict[str, Standing] = defaultdict(Standing)
    for table in benchmarks.values():
        for tool, s in table.items():
            o = sums[tool]
            sums[tool] = Standing(
                o.points + s.points, o.verified + s.verified, o.falsified + s.falsified, o.fastest + s.fastest,
                o.wrong + s.wrong, o.seconds + s.seconds, o.percent + s.percent,
            )  # fmt: skip
    return dict(sorted(sums.items(), key=lambda item: (-item[1].percent, item[1].seconds)))
