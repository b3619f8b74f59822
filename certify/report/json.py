"""All records under a policy as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from certify import __version__
from certify.report.finding import Finding
from certify.report.policy import KINDS, OUTCOMES, Policy


def text(findings: Sequence[Finding], policy: Policy) -> str:
    """certify: the version; policy; counts by outcome; instances: every record with its outcome and mark."""
    outcomes = [finding.outcome for finding in findings]
    document = {
        "certify": __version__,
        "policy": {"fail_on": [kind for kind in KINDS if kind in policy.fail_on], "expect": policy.expect},
        "exit_code": policy.exit_code([(finding.record.status, finding.record.exit_code) for finding in findings]),
        "counts": {outcome: outcomes.count(outcome) for outcome in OUTCOMES},
        "instances": [{"run": f.run} | asdict(f.record) | {"outcome": f.outcome, "mark": f.mark} for f in findings],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
