"""What counts as a failure: one pure rule that the text, every report and the exit code follow."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from certify.errors import InputError

Outcome = Literal["proved", "violated", "undecided", "error"]
Change = Literal["regressed", "weakened", "slower"]
Mark = Literal["passed", "tolerated", "failed"]

KINDS: tuple[Outcome, ...] = ("violated", "undecided", "error")
OUTCOMES: tuple[Outcome, ...] = ("proved", *KINDS)
# What can be worse than it was, where there is another model or a baseline to compare with.
CHANGES: tuple[Change, ...] = ("regressed", "weakened", "slower")
# From the gravest on: what a result is called of which several things are wrong.
_GRAVITY: tuple[Outcome | Change, ...] = ("regressed", "violated", "error", "weakened", "slower", "undecided")
_OUTCOME: dict[str, Outcome] = {"unsat": "proved", "sat": "violated", "error": "error"}
INPUT_ERROR = 2


class Result(NamedTuple):
    """A status (as in Record.status), the exit code that an error would have, and what has become worse."""

    status: str
    code: int = 0
    changes: Collection[str] = ()


@dataclass(frozen=True)
class Policy:
    """fail_on: the outcomes and changes that fail a run. expect: sat or unsat, where that is what should come out; the
    opposite then counts as violated.
    """

    fail_on: frozenset[str] = frozenset(KINDS)
    expect: str | None = None

    def kind(self, status: str, changes: Collection[str] = ()) -> Outcome | Change | None:
        """What is wrong with a status (as in Record.status) and what changed: one of KINDS or CHANGES, or None where it
        is as it should be. Of several, the gravest that fails; where none does, the gravest.
        """
        found = [kind for kind in _GRAVITY if kind in changes or kind == self._own(status)]
        return next((kind for kind in found if kind in self.fail_on), found[0] if found else None)

    def _own(self, status: str) -> Outcome | None:
        outcome = outcome_of(status)
        if outcome in ("proved", "violated"):
            return None if status == (self.expect or "unsat") else "violated"
        return outcome

    def mark(self, status: str, changes: Collection[str] = ()) -> Mark:
        """Whether a status passes, fails the run, or is wrong but of a kind that does not."""
        kind = self.kind(status, changes)
        return "passed" if kind is None else "failed" if kind in self.fail_on else "tolerated"

    def exit_code(self, results: Sequence[Result]) -> int:
        """The exit code of a run with these results.

        0 nothing fails; else 1 if anything is violated or has become worse, else the code of the gravest error (2
        input, 4 internal), else 3 for what is undecided.
        """
        kinds = [(self.kind(status, changes), code) for status, code, changes in results]
        failing = [(kind, code) for kind, code in kinds if kind in self.fail_on]
        if any(kind in ("violated", *CHANGES) for kind, _ in failing):
            return 1
        errors = [max(code, INPUT_ERROR) for kind, code in failing if kind == "error"]
        return max(errors) if errors else 3 if failing else 0

    def sentence(self, marks: Sequence[Mark]) -> str:
        """One line: how many pass, fail or are tolerated, and by which rule."""
        counts = ", ".join(f"{marks.count(mark)} {mark}" for mark in ("passed", "tolerated", "failed") if mark in marks)
        rule = ",".join(kind for kind in (*CHANGES, *KINDS) if kind in self.fail_on) or "none"
        return f"{counts or 'nothing was run'} (fail on {rule}" + (f", expect {self.expect})" if self.expect else ")")


def outcome_of(status: str) -> Outcome:
    """A status (as in Record.status) in plain words."""
    return _OUTCOME.get(status, "undecided")


def read_fail_on(text: str, known: Sequence[str] = KINDS) -> frozenset[str]:
    """The outcomes that a text such as "violated,error" or "none" lists. Raises InputError for any other word.

    known: the words that mean something where this is asked.
    """
    words = {word.strip() for word in text.split(",")} - {""}
    wrong = sorted(words - {*known, "none"})
    if wrong or not words or ("none" in words and len(words) > 1):
        message = f"--fail-on {text}: " + (f"'{wrong[0]}' is not an outcome" if wrong else "expected outcomes, or none")
        raise InputError(message, f"a list of {', '.join(known)}, separated by commas, or none")
    return frozenset(words - {"none"})


def read_limits(text: str) -> tuple[str, dict[str, float]]:
    """A text such as "regressed,weakened:10%,slower:2x" without its limits, and {"weakened": 0.1, "slower": 2.0}.

    Raises InputError for a limit that makes no sense.
    """
    words, limits = [], {}
    for word in text.split(","):
        name, colon, limit = (part.strip() for part in word.partition(":"))
        words.append(name)
        if not colon:
            continue
        suffix, scale, least, most = _LIMITS.get(name, ("", 1.0, 0.0, 0.0))
        try:
            number = float(limit.removesuffix(suffix)) * scale if suffix and limit.endswith(suffix) else math.nan
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            hint = "as in weakened:10% (0% to 100%) or slower:2x (1x or more)"
            raise InputError(f"--fail-on {word.strip()}: '{limit}' is no limit of {name}", hint)
        limits[name] = number
    return ",".join(words), limits


# By what a limit ends with, what it counts in, and between which numbers it lies.
_LIMITS = {"weakened": ("%", 0.01, 0.0, 1.0), "slower": ("x", 1.0, 1.0, sys.float_info.max)}
