"""One policy: the same table for marks, exit codes and the sentence."""

from __future__ import annotations

import pytest

from certify.errors import InputError
from certify.report.policy import CHANGES, KINDS, Policy, Result, outcome_of, read_fail_on, read_limits

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
    assert policy.exit_code([Result(status)]) == code


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
    assert Policy().exit_code([Result(*result) for result in results]) == code
    assert Policy(frozenset()).exit_code([Result(*result) for result in results]) == 0


def test_marks_and_exit_code_agree_under_every_policy() -> None:
    policies = [
        Policy(frozenset(k for k in KINDS if bits >> KINDS.index(k) & 1), e) for bits in range(8) for e in (None, "sat")
    ]
    for policy in policies:
        for status in STATUSES:
            assert (policy.exit_code([Result(status)]) != 0) == (policy.mark(status) == "failed")
            assert policy.sentence([policy.mark(status)]).startswith(f"1 {policy.mark(status)} (fail on ")


def test_reading_the_option() -> None:
    assert read_fail_on("violated, error") == {"violated", "error"}
    assert read_fail_on("none") == frozenset()
    for text in ("sat", "", "none,error", "violated;error"):
        with pytest.raises(InputError, match="--fail-on"):
            read_fail_on(text)


@pytest.mark.parametrize(
    ("fail_on", "status", "changes", "kind", "mark", "code"),
    [
        (["regressed", "undecided"], "sat", ["regressed"], "regressed", "failed", 1),
        (["regressed", "undecided"], "sat", [], "violated", "tolerated", 0),
        (["regressed", "undecided"], "timeout", ["weakened"], "undecided", "failed", 3),
        (["regressed", "weakened"], "timeout", ["weakened"], "weakened", "failed", 1),
        (["weakened", "undecided"], "timeout", ["weakened"], "weakened", "failed", 1),
        (["regressed"], "unsat", ["weakened", "slower"], "weakened", "tolerated", 0),
        (["slower"], "unsat", ["weakened", "slower"], "slower", "failed", 1),
        (["slower"], "unsat", [], None, "passed", 0),
    ],
)
def test_what_has_become_worse(fail_on, status: str, changes: list[str], kind: str | None, mark: str, code: int):
    policy = Policy(frozenset(fail_on))
    assert policy.kind(status, changes) == kind
    assert policy.mark(status, changes) == mark
    assert policy.exit_code([Result(status, 0, changes)]) == code


def test_limits_stand_behind_their_words() -> None:
    assert read_limits("regressed,weakened:25%, slower:1.5x") == (
        "regressed,weakened,slower", {"weakened": 0.25, "slower": 1.5}
    )  # fmt: skip
    assert read_fail_on("regressed,slower", CHANGES) == {"regressed", "slower"}
    for text in ("slower:2", "slower:.5x", "weakened:2x", "weakened:101%", "weakened:nan%", "regressed:2x", "slower:"):
        with pytest.raises(InputError, match="--fail-on"):
            read_limits(text)
    with pytest.raises(InputError, match="is not an outcome"):
        read_fail_on("regressed")
