"""The options --report and --fail-on: what is written for a CI, and what makes it fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from certify.report.policy import KINDS, Policy, read_fail_on

if TYPE_CHECKING:
    from certify.batch.record import Record
    from certify.report.write import Target

Reports = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="FORMAT=FILE,...",
        help="Write junit=, sarif=, md=, json=, csv= or html=FILE; github annotates. Repeatable.",
    ),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        metavar="OUTCOME,...",
        help="Outcomes that fail: violated, undecided, error, or none. Text, reports and exit code follow.",
    ),
]


@dataclass(frozen=True)
class Gate:
    """Where reports go, and the policy. spoken: whether the text says what the policy makes of the results."""

    targets: list[Target]
    policy: Policy
    spoken: bool

    def close(self, runs: Mapping[str, Sequence[Record]]) -> int:
        """Everything there is to say of these runs; the exit code. Raises InputError for a file that cannot be written.

        runs: records by the name of their run, "" for the only one.
        """
        self.write_files(runs)
        self.annotate(runs)
        return self.judge([(r.status, r.exit_code) for records in runs.values() for r in records])

    def write_files(self, runs: Mapping[str, Sequence[Record]]) -> None:
        """Write the reports that are files."""
        self._write([target for target in self.targets if target.file], runs)

    def annotate(self, runs: Mapping[str, Sequence[Record]]) -> None:
        """Write the report that goes to standard output, after the answer."""
        self._write([target for target in self.targets if not target.file], runs)

    def _write(self, targets: list[Target], runs: Mapping[str, Sequence[Record]]) -> None:
        if targets:
            from certify.report.write import write_reports

            write_reports(targets, runs, self.policy)

    def judge(self, results: Sequence[tuple[str, int]]) -> int:
        """The exit code for results (status, exit code of an error)."""
        if self.spoken:
            typer.echo(f"gate: {self.policy.sentence([status for status, _ in results])}")
        return self.policy.exit_code(results)


def gate(
    reports: Sequence[str] | None, fail_on: str | None, *, by_default: Sequence[str] = KINDS, expect: str | None = None,
    quiet: bool = False,
) -> Gate:  # fmt: skip
    """What the options ask for. by_default: the outcomes that fail without --fail-on. quiet: standard output is taken.

    Raises InputError for what they cannot mean.
    """
    from certify.errors import InputError

    targets = []
    if reports:
        from certify.report.write import read_targets

        targets = read_targets(reports)
    if quiet and any(target.format == "github" for target in targets):
        raise InputError("--report github and --json - both write to standard output", "write the JSON to a file")
    failing = frozenset(by_default) if fail_on is None else read_fail_on(fail_on)
    return Gate(targets, Policy(failing, expect), fail_on is not None and not quiet)
