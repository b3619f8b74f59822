"""One policy: the same table for marks, exit codes and the sentence."""

from __future__ import annotations

import pytest

from certify.errors import InputError
from certify.report.policy import KINDS, Policy, outcome_of, read_fail_on

STATUSES = ("unsat", "sat", "unknown", "timeout", "out-of-memory", "error")


@pytest.mark.parametrize("status", STATUSES)
def test_by_default_whatever_is_not_proved_fails(status: str) -> None:
    assert Policy().mark(status) == ("passed" if status == "unsat" else "failed")


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_listed_fails(kind: str) -> None:
    policy = Policy(frozenset({kind}))
    for status in STATUSES:
        expected = "passed" if status == "unsat" else "failed" if outcome_of(status) == kind else "tolerated"
        assert policy.mark(status) == expected


@pytest.mark.parametrize(
    ("expect", "status", "mark", "code"),
    [
        ("sat", "sat", "passed", 0),
        ("sat", "unsat", "failed", 1),
        ("unsat", "sat", "failed", 1),
        ("unsat", "unsat", "passed", 0),
        ("sat", "timeout", "failed", 3),
        ("sat", "error", "failed", 2),
    ],
)
def test_what_is_expected_passes(expect: str, status: str, mark: str, code: int) -> None:
    policy = Policy(expect=expect)
    assert policy.mark(status) == mark
    assert policy.exit_code([(status, 0)]) == code


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], 0),
        ([("unsat", 0)], 0),
        ([("unsat", 0), ("timeout", 3)], 3),
        ([("timeout", 3), ("error", 2)], 2),
        ([("error", 2), ("error", 4)], 4),
        ([("error", -9), ("unknown", 3)], 2),
        ([("error", 4), ("sat", 1)], 1),
    ],
)
def test_the_gravest_result_is_the_exit_code(results: list[tuple[str, int]], code: int) -> None:
    assert Policy().exit_code(results) == code
    assert Policy(frozenset()).exit_code(results) == 0


def test_marks_and_exit_code_agree_under_every_policy() -> None:
    policies = [
        Policy(frozenset(k for k in KINDS if bits >> KINDS.index(k) & 1), e) for bits in range(8) for e in (None, "sat")
    ]
    for policy in policies:
        for status in STATUSES:
            assert (policy.exit_code([(status, 0)]) != 0) == (policy.mark(status) == "failed")
            assert policy.sentence([status]).startswith(f"1 {policy.mark(status)} (fail on ")


def test_reading_the_option() -> None:
    assert read_fail_on("violated, error") == {"violated", "error"}
    assert read_fail_on("none") == frozenset()
    for text in ("sat", "", "none,error", "violated;error"):
        with pytest.raises(InputError, match="--fail-on"):
            read_fail_on(text)
