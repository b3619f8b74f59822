"""Properties of networks as tests: the fixture `certify_check`, and files *.certify.toml (see certify/suite.py).

pytest loads this wherever certify is installed, so that nothing heavy is imported before a test needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from certify.query.syntax import Query
    from certify.report.policy import Policy
    from certify.suite import Check
    from certify.verdict import Verdict

SUFFIX = ".certify.toml"
Models = str | Path | Mapping[str, str | Path]


@pytest.fixture
def certify_check() -> Callable[..., Verdict]:
    """Check a property: certify_check(model, spec, timeout=60, expect="unsat", fail_on=("violated", "undecided")).

    The test fails unless the verdict is as expected, and is skipped where the outcome is one that fail_on leaves out.
    Other options, and what model and spec may be, are those of `certify.check`. Returns the verdict.
    """

    def check(
        model: Models, spec: str | Path | Query, *, expect: str = "unsat",
        fail_on: Iterable[str] = ("violated", "undecided"), **options: Any,
    ) -> Verdict:  # fmt: skip
        from certify import api
        from certify.report.policy import Policy, read_fail_on

        verdict = api.check(model, spec, **options)
        file = spec if isinstance(spec, str | Path) else spec.file
        policy = Policy(read_fail_on(",".join(fail_on) or "none"), expect)
        _judge(verdict, _by_name(model), str(file), policy)
        return verdict

    return check


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Suites are collected like modules."""
    return Suite.from_parent(parent, path=file_path) if file_path.name.endswith(SUFFIX) else None


class Suite(pytest.File):
    """A file of checks."""

    def collect(self) -> Iterable[pytest.Item]:
        """One item per specification."""
        from certify.errors import InputError
        from certify.suite import read_suite

        try:
            checks = read_suite(self.path)
        except InputError as error:
            raise self.CollectError(str(error)) from None
        for check in checks:
            yield Property.from_parent(self, name=check.name, check=check)


class Property(pytest.Item):
    """One check of a suite."""

    def __init__(self, check: Check, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.check = check

    def runtest(self) -> None:
        """Decide it; fail or skip as the suite's policy says."""
        from certify import api
        from certify.errors import CertifyError
        from certify.settings import Settings

        check = self.check
        model = check.networks.get("", check.networks)
        try:
            verdict = api.check(model, check.spec, timeout=check.timeout, settings=Settings(check.backend))
        except CertifyError as error:
            if check.policy.mark("error") == "failed":
                pytest.fail(f"error: {error}", pytrace=False)
            pytest.skip(f"error: {error}")
        self.user_properties.append(("certify", verdict.status.value))
        _judge(verdict, check.networks, str(check.spec), check.policy)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the test is from, and its name."""
        return self.path, None, self.name


def _judge(verdict: Verdict, networks: Mapping[str, str | Path], spec: str, policy: Policy) -> None:
    """Fail or skip the running test, unless the verdict passes."""
    from certify.batch.record import Record
    from certify.report.finding import Finding

    status, witness = verdict.status.value, verdict.witness
    values = None if witness is None else {name: array.tolist() for name, array in witness.values().items()}
    files = {name: str(file) for name, file in networks.items()}
    record = Record(
        "", "", files, spec, 0.0, status, verdict.reason, bound=verdict.bound, witness=values, advice=verdict.advice
    )
    finding = Finding(record, policy.kind(status), policy.mark(status))
    text = f"{finding.title}\n{finding.message}"
    if finding.mark == "failed":
        pytest.fail(text, pytrace=False)
    if finding.mark == "tolerated":
        pytest.skip(text)


def _by_name(model: Models) -> Mapping[str, str | Path]:
    return model if isinstance(model, Mapping) else {"": model}
