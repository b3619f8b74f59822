"""Annotations of GitHub Actions, which are workflow commands on standard output, and the summary of its step.

GitHub shows at most 10 errors, 10 warnings and 10 notices of a step and drops the rest silently, so that the tenth of a
kind says how many more there are; the summary lists them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from certify.report.finding import Finding, in_checkout
from certify.report.policy import Policy

MOST = 10


def text(findings: Sequence[Finding], policy: Policy) -> str:
    """One line per annotation: failures as errors, violations that are tolerated as warnings, the rest as notices."""
    commands: dict[str, list[Finding]] = {"error": [], "warning": [], "notice": []}
    for finding in findings:
        if finding.kind is not None:
            tolerated = "warning" if finding.kind in ("violated", "regressed") else "notice"
            commands["error" if finding.mark == "failed" else tolerated].append(finding)
    return "".join(line + "\n" for command, mine in commands.items() for line in _lines(command, mine))


def _lines(command: str, findings: list[Finding]) -> Iterator[str]:
    kept = findings if len(findings) <= MOST else findings[: MOST - 1]
    for finding in kept:
        place = {"file": in_checkout(finding.record.spec) or os.path.abspath(finding.record.spec)}  # noqa: PTH100
        place |= {"line": str(finding.place[0]), "col": str(finding.place[1]), "title": f"certify: {finding.title}"}
        properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
        yield f"::{command} {properties}::{_data(finding.message)}"
    if len(findings) > len(kept):
        rest = findings[len(kept) :]
        kinds = [finding.outcome for finding in rest]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        yield f"::{command} title=certify::{len(rest)} more ({counts}): see the summary of this step"


def _data(text: str) -> str:
    """Text as a workflow command holds it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A property's value as a workflow command holds it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
