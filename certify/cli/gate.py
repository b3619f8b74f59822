"""The options --report and --fail-on: what is written for a CI, and what makes it fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.options import writable
from certify.report.policy import KINDS, Policy, Result, read_fail_on

if TYPE_CHECKING:
    from certify.batch.record import Record
    from certify.report.write import Reference, Target

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

    def close(self, runs: Mapping[str, Sequence[Record]], reference: Reference | None = None) -> int:
        """Everything there is to say of these runs; the exit code. Raises InputError for a file that cannot be written.

        runs: records by the name of their run, "" for the only one. reference: where they are compared with one of
        them, which is not judged itself.
        """
        self.write_files(runs, reference)
        self.annotate(runs, reference)
        first = None if reference is None else reference.name
        judged = [record for name, records in runs.items() if first is None or name != first for record in records]
        return self.judge([Result(r.status, r.exit_code, r.changes) for r in judged])

    def write_files(self, runs: Mapping[str, Sequence[Record]], reference: Reference | None = None) -> None:
        """Write the reports that are files."""
        self._write([target for target in self.targets if target.file], runs, reference)

    def annotate(self, runs: Mapping[str, Sequence[Record]], reference: Reference | None = None) -> None:
        """Write the report that goes to standard output, after the answer."""
        self._write([target for target in self.targets if not target.file], runs, reference)

    def _write(
        self, targets: list[Target], runs: Mapping[str, Sequence[Record]], reference: Reference | None
    ) -> None:  # fmt: skip
        if targets:
            from certify.report.write import write_reports

            write_reports(targets, runs, self.policy, reference)

    def judge(self, results: Sequence[Result]) -> int:
        """The exit code for these results."""
        if self.spoken:
            typer.echo(f"gate: {self.policy.sentence([self.policy.mark(r.status, r.changes) for r in results])}")
        return self.policy.exit_code(results)


def gate(
    reports: Sequence[str] | None, fail_on: str | None, *, by_default: Sequence[str] = KINDS, expect: str | None = None,
    quiet: bool = False, known: Sequence[str] = KINDS,
) -> Gate:  # fmt: skip
    """What the options ask for. by_default: the outcomes that fail without --fail-on. quiet: standard output is taken.
    known: the words that --fail-on may list.

    Raises InputError for what they cannot mean.
    """
    from certify.errors import InputError

    targets = []
    if reports:
        from certify.report.write import read_targets

        targets = read_targets(reports)
        for target in targets:
            writable(target.file or None)
    if quiet and any(target.format == "github" for target in targets):
        raise InputError("--report github and --json - both write to standard output", "write the JSON to a file")
    failing = frozenset(by_default) if fail_on is None else read_fail_on(fail_on, known)
    return Gate(targets, Policy(failing, expect), fail_on is not None and not quiet)
