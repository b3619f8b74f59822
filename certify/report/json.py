"""All records under a policy as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from certify import __version__
from certify.report.finding import Finding
from certify.report.policy import CHANGES, KINDS, OUTCOMES, Policy, Result


def text(findings: Sequence[Finding], policy: Policy) -> str:
    """certify: the version; policy; counts by outcome; instances: every record with its outcome and mark."""
    outcomes = [finding.outcome for finding in findings]
    failed = [finding.record for finding in findings if finding.mark == "failed"]
    document = {
        "certify": __version__,
        "policy": {"fail_on": [kind for kind in (*CHANGES, *KINDS) if kind in policy.fail_on], "expect": policy.expect},
        "exit_code": policy.exit_code([Result(r.status, r.exit_code, r.changes) for r in failed]),
        "counts": {outcome: outcomes.count(outcome) for outcome in OUTCOMES},
        "instances": [{"run": f.run} | asdict(f.record) | {"outcome": f.outcome, "mark": f.mark} for f in findings],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
