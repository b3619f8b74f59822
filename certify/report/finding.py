"""One record in the words that every report uses."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from certify.batch.origin import origin_of
from certify.batch.record import Record
from certify.report.policy import CHANGES, Change, Mark, Outcome, Policy, outcome_of

MOST_VALUES = 8


@dataclass(frozen=True)
class Finding:
    """A record under a policy. kind: what is wrong with it, None where it is as it should be. run: where it is from,
    "" if there is one run.
    """

    record: Record
    kind: Outcome | Change | None
    mark: Mark
    run: str = ""

    @property
    def outcome(self) -> Outcome:
        """proved, violated, undecided or error."""
        return outcome_of(self.record.status)

    @property
    def group(self) -> str:
        """Run and category, as far as there are names for them."""
        return " ".join(filter(None, (self.run, self.record.category)))

    @property
    def model(self) -> str:
        """The model file, or each network with its file."""
        files = self.record.networks
        return ", ".join(f"{name}={file}" if name else file for name, file in files.items())

    @property
    def models(self) -> str:
        """The names of the model files without their folders."""
        return ", ".join(dict.fromkeys(Path(file).name for file in self.record.networks.values()))

    @property
    def title(self) -> str:
        """What came out, of which specification, for which model."""
        expected = " (this was expected)" if self.kind is None and self.outcome == "violated" else ""
        surprise = " (the opposite was expected)" if self.kind == "violated" and self.outcome == "proved" else ""
        worse = f"{self.kind}, " if self.kind in CHANGES else ""
        return f"{worse}{self.outcome}: {Path(self.record.spec).name} for {self.models}{expected}{surprise}"

    @property
    def message(self) -> str:
        """Why, what is known, and what to do next: some lines of text."""
        record = self.record
        lines = [record.reason or record.status]
        if self.outcome == "undecided":
            lines[0] = f"neither proved nor violated: {lines[0]}"
        lines[:0] = [f"{change}: {why}" for change, why in record.changes.items()]
        if record.bound is not None:
            lines.append(f"proven: margin >= {record.bound:.6g} (above 0 is safe)")
        lines += [f"{name} = {shown(values)}" for name, values in (record.witness or {}).items()]
        if record.advice:
            lines.append(f"next: {record.advice}")
        return "\n".join(lines)

    @cached_property
    def place(self) -> tuple[int, int]:
        """Line and column of the specification to show, both from 1: what is wrong with it, or what it asserts.

        (1, 1) where neither is known.
        """
        complaint = re.match(r":(\d+):(\d+): ", self.record.reason.removeprefix(self.record.spec))
        if self.outcome == "error" and complaint:
            return int(complaint[1]), int(complaint[2])
        origin = origin_of(self.record)
        return (1, 1) if origin is None else (origin.line, origin.column)


def findings(records: Sequence[Record], policy: Policy, run: str = "") -> list[Finding]:
    """The records of a run under a policy, in their order."""
    return [Finding(r, policy.kind(r.status, r.changes), policy.mark(r.status, r.changes), run) for r in records]


def shown(values: Sequence[float], most: int = MOST_VALUES) -> str:
    """The first few numbers."""
    more = f", ... {len(values)} values" if len(values) > most else ""
    return f"[{', '.join(f'{value:.9g}' for value in values[:most])}{more}]"


def in_checkout(path: str) -> str | None:
    """The path relative to the root of the checkout, with forward slashes; None where it lies outside.

    The root is what the CI says it is, else the current folder: reports name files as the repository does.
    """
    root = os.path.abspath(os.environ.get("GITHUB_WORKSPACE") or ".")  # noqa: PTH100 - links stay what they are
    try:
        return Path(os.path.abspath(path)).relative_to(root).as_posix()  # noqa: PTH100
    except ValueError:
        return None
