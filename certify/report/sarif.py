"""SARIF 2.1.0 (OASIS 2020), for code scanning and editors: what is wrong, at the line of the specification it is about.

What fails is an error; what is violated but tolerated a warning; what is undecided but tolerated has the kind `open`,
which the standard has for proof-based tools. What is as it should be is left out, so that an alert closes once fixed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from certify import __version__
from certify.report.finding import Finding, in_checkout
from certify.report.policy import CHANGES, KINDS, Policy

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RULES = (*KINDS, *CHANGES)
_RULES = {
    "violated": "A property of a neural network does not hold: onnxruntime confirms an input that breaks it.",
    "undecided": "A property of a neural network is neither proved nor violated within the time and memory given.",
    "error": "A property of a neural network could not be checked.",
    "regressed": "A property was proved for one neural network and is violated by the one that came of it.",
    "weakened": "A property was proved for one neural network; for the one that came of it, less or nothing is proved.",
    "slower": "The proof of a property takes longer for a neural network than for the one that it came of.",
}


def text(findings: Sequence[Finding], policy: Policy) -> str:
    """The whole document, with one run."""
    wrong = [finding for finding in findings if finding.kind is not None]
    driver = {
        "name": "certify",
        "version": __version__,
        "rules": [
            {"id": f"certify/{kind}", "name": kind.capitalize(), "shortDescription": {"text": _RULES[kind]}}
            for kind in RULES
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": all(finding.outcome != "error" for finding in findings)}],
        "results": [_result(finding) for finding in wrong],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, allow_nan=False) + "\n"


def _result(finding: Finding) -> dict[str, Any]:
    record, kind = finding.record, finding.kind or ""
    known = {"status": record.status, "seconds": record.wall, "bound": record.bound, "model": finding.model}
    result: dict[str, Any] = {
        "ruleId": f"certify/{kind}",
        "ruleIndex": RULES.index(kind),
        "message": {"text": f"{finding.title}\n{finding.message}"},
        "locations": [_location(finding)],
        "partialFingerprints": {"instance/v1": _fingerprint(finding)},
        "properties": {name: value for name, value in known.items() if value is not None},
    }
    if finding.mark == "failed":
        return result | {"kind": "fail", "level": "error"}
    return result | ({"kind": "open", "level": "none"} if kind == "undecided" else {"kind": "fail", "level": "warning"})


def _location(finding: Finding) -> dict[str, Any]:
    """The assertion in the specification; the whole file where it cannot be read."""
    relative = in_checkout(finding.record.spec)
    if relative is None:
        uri = Path(os.path.abspath(finding.record.spec).encode("utf-8", "replace").decode()).as_uri()  # noqa: PTH100
    else:
        uri = quote(relative, errors="replace")
    region = dict(zip(("startLine", "startColumn"), finding.place, strict=True))
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def _fingerprint(finding: Finding) -> str:
    """The same from run to run: which question it is, not what came out."""
    files = [finding.record.spec, *(f"{name}={file}" for name, file in finding.record.networks.items())]
    return hashlib.sha256(
        "\0".join(in_checkout(f) or Path(f).name for f in files).encode("utf-8", "replace")
    ).hexdigest()
