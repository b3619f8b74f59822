"""JUnit XML, as Jenkins, GitLab, GitHub actions and most viewers read it: one suite per category, one case per record.

What fails is a <failure> (violated, undecided) or an <error>; what is wrong but tolerated is <skipped>.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from certify.report.finding import Finding
from certify.report.policy import Policy

# What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(findings: Sequence[Finding], policy: Policy) -> str:
    """The whole document."""
    root = Element("testsuites", {"name": "certify"} | _totals(findings))
    suites: dict[str, list[Finding]] = {}
    for finding in findings:
        suites.setdefault(finding.group, []).append(finding)
    for name, mine in suites.items():
        first = mine[0].record
        suite = SubElement(root, "testsuite", {"name": _legal(name or "certify")} | _totals(mine))
        suite.set("skipped", str(sum(finding.mark == "tolerated" for finding in mine)))
        if first.started:
            suite.set("timestamp", _legal(first.started.split("+")[0].rstrip("Z")))
            suite.set("hostname", _legal(first.host or "localhost"))
        for finding in mine:
            _case(suite, finding)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Element, finding: Finding) -> None:
    record = finding.record
    case = SubElement(suite, "testcase", name=_legal(record.spec), classname=_legal(finding.model))
    case.set("time", f"{record.wall:.3f}")
    if finding.mark == "failed":
        case.set("file", _legal(record.spec))
        case.set("line", str(finding.place[0]))
        tag = "error" if finding.kind == "error" else "failure"
        SubElement(case, tag, type=finding.kind or "", message=_legal(finding.title)).text = _legal(finding.message)
    elif finding.mark == "tolerated":
        SubElement(case, "skipped", message=_legal(f"{finding.title}: {record.reason}"))
    SubElement(case, "system-out").text = _legal(f"{record.status}\n{finding.message}")


def _totals(findings: Sequence[Finding]) -> dict[str, str]:
    """tests, failures, errors and time of a suite."""
    failed = [finding for finding in findings if finding.mark == "failed"]
    errors = sum(finding.kind == "error" for finding in failed)
    time = sum(finding.record.wall for finding in findings)
    counts = {"tests": len(findings), "failures": len(failed) - errors, "errors": errors}
    return {name: str(count) for name, count in counts.items()} | {"time": f"{time:.3f}"}


def _legal(text: str) -> str:
    """Text that XML can hold."""
    return _FORBIDDEN.sub("\ufffd", text)
