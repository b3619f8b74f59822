"""What counts as a failure: one pure rule that the text, every report and the exit code follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from certify.errors import InputError

Outcome = Literal["proved", "violated", "undecided", "error"]
Mark = Literal["passed", "tolerated", "failed"]

KINDS: tuple[Outcome, ...] = ("violated", "undecided", "error")
OUTCOMES: tuple[Outcome, ...] = ("proved", *KINDS)
_OUTCOME: dict[str, Outcome] = {"unsat": "proved", "sat": "violated", "error": "error"}
INPUT_ERROR = 2


@dataclass(frozen=True)
class Policy:
    """fail_on: the outcomes that fail a run. expect: sat or unsat, where that is what should come out; the opposite
    then counts as violated.
    """

    fail_on: frozenset[str] = frozenset(KINDS)
    expect: str | None = None

    def kind(self, status: str) -> Outcome | None:
        """What is wrong with a status (as in Record.status): one of KINDS, or None where it is as it should be."""
        outcome = outcome_of(status)
        if outcome in ("proved", "violated"):
            return None if status == (self.expect or "unsat") else "violated"
        return outcome

    def mark(self, status: str) -> Mark:
        """Whether a status passes, fails the run, or is wrong but of a kind that does not."""
        kind = self.kind(status)
        return "passed" if kind is None else "failed" if kind in self.fail_on else "tolerated"

    def exit_code(self, results: Sequence[tuple[str, int]]) -> int:
        """The exit code of a run with these results, a status and the code that an error would have had each.

        0 nothing fails; else 1 if anything is violated, else the code of the gravest error (2 input, 4 internal), else
        3 for what is undecided.
        """
        failing = [(self.kind(status), code) for status, code in results if self.mark(status) == "failed"]
        if any(kind == "violated" for kind, _ in failing):
            return 1
        errors = [max(code, INPUT_ERROR) for kind, code in failing if kind == "error"]
        return max(errors) if errors else 3 if failing else 0

    def sentence(self, results: Sequence[str]) -> str:
        """One line: how many pass, fail or are tolerated, and by which rule. results: statuses."""
        marks = [self.mark(status) for status in results]
        counts = ", ".join(f"{marks.count(mark)} {mark}" for mark in ("passed", "tolerated", "failed") if mark in marks)
        rule = ",".join(kind for kind in KINDS if kind in self.fail_on) or "none"
        return f"{counts or 'nothing was run'} (fail on {rule}" + (f", expect {self.expect})" if self.expect else ")")


def outcome_of(status: str) -> Outcome:
    """A status (as in Record.status) in plain words."""
    return _OUTCOME.get(status, "undecided")


def read_fail_on(text: str) -> frozenset[str]:
    """The outcomes that a text such as "violated,error" or "none" lists. Raises InputError for any other word."""
    words = {word.strip() for word in text.split(",")} - {""}
    wrong = sorted(words - {*KINDS, "none"})
    if wrong or not words or ("none" in words and len(words) > 1):
        message = f"--fail-on {text}: " + (f"'{wrong[0]}' is not an outcome" if wrong else "expected outcomes, or none")
        raise InputError(message, f"a list of {', '.join(KINDS)}, separated by commas, or none")
    return frozenset(words - {"none"})
