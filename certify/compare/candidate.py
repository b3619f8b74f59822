"""One model with everything that is known of it, and what became of the specifications from one model to another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from certify.accuracy import Accuracy, Tax
from certify.batch.record import Record
from certify.compare.root import Root
from certify.compare.transition import VERDICTS, Result, matrix, verdict_of
from certify.compare.weights import Weights


@dataclass(frozen=True)
class Candidate:
    """One model and what came of it. records, roots: by specification, in their order. radii: certified radii around
    samples. tax: against the first model. dominated: None without data, for then there is no tax.
    """

    name: str
    file: str
    sha256: str
    records: list[Record]
    roots: list[Root]
    weights: Weights
    accuracy: Accuracy | None = None
    tax: Tax | None = None
    radii: np.ndarray | None = None
    dominated: bool | None = None

    @cached_property
    def results(self) -> list[Result]:
        """What matters of each specification."""
        pairs = zip(self.records, self.roots, strict=True)
        return [Result(verdict_of(record), root.margin, record.cpu) for record, root in pairs]

    @property
    def counts(self) -> dict[str, int]:
        """Specifications by verdict."""
        verdicts = [result.verdict for result in self.results]
        return {verdict: verdicts.count(verdict) for verdict in VERDICTS}

    @property
    def certified(self) -> float:
        """The share of all specifications that is proved: certified accuracy, where each is about one sample."""
        return self.counts["proved"] / len(self.records)

    @property
    def unstable(self) -> float | None:
        """The share of unstable elements, over all specifications that could be bounded."""
        elements = sum(root.elements for root in self.roots)
        return sum(root.unstable for root in self.roots) / elements if elements else None

    @property
    def margins(self) -> list[float]:
        """The margins that are known."""
        return [root.margin for root in self.roots if root.margin is not None]

    @property
    def seconds(self) -> float:
        """All verification time."""
        return sum(record.wall for record in self.records)

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        margins, radii = self.margins, self.radii
        return {
            "name": self.name,
            "model": self.file,
            "sha256": self.sha256,
            "counts": self.counts,
            "certified": self.certified,
            "median_margin": float(np.median(margins)) if margins else None,
            "unstable": self.unstable,
            "median_radius": None if radii is None else float(np.median(radii)),
            "radii": None if radii is None else radii.tolist(),
            **asdict(self.weights),
            "seconds": self.seconds,
            "accuracy": None if self.accuracy is None else asdict(self.accuracy) | {"share": self.accuracy.share},
            "tax": None if self.tax is None else asdict(self.tax),
            "dominated": self.dominated,
            "results": [
                {"verdict": verdict_of(r), "margin": root.margin, "unstable": root.unstable, "elements": root.elements}
                | {
                    "status": r.status,
                    "reason": r.reason,
                    "seconds": r.wall,
                    "cpu_seconds": r.cpu,
                    "witness": r.witness,
                    "changes": r.changes,
                }
                for r, root in zip(self.records, self.roots, strict=True)
            ],
        }


@dataclass(frozen=True)
class Transition:
    """From the first model to another. matrix: [before, after] in the order of VERDICTS. The others are numbers of
    specifications: became refuted, became undecided, lost margin, became proved, take longer to prove.
    """

    before: str
    after: str
    matrix: list[list[int]]
    regressed: list[int]
    undecided: list[int]
    weaker: list[int]
    gained: list[int]
    slower: list[int]

    @property
    def monotone(self) -> bool:
        """Whether no proof is lost."""
        return sum(self.matrix[0][1:]) == 0


def transition(before: Candidate, after: Candidate) -> Transition:
    """What became of each specification from one model to the other, whose records say what is worse."""
    pairs = list(zip(before.results, after.results, strict=True))
    worse = [record.changes for record in after.records]
    undecided = [i for i, change in enumerate(worse) if "weakened" in change and pairs[i][1].verdict == "undecided"]
    return Transition(
        before.name, after.name, matrix(before.results, after.results),
        regressed=[i for i, change in enumerate(worse) if "regressed" in change],
        undecided=undecided,
        weaker=[i for i, change in enumerate(worse) if "weakened" in change and i not in undecided],
        gained=[i for i, (first, second) in enumerate(pairs) if first.verdict != "proved" == second.verdict],
        slower=[i for i, change in enumerate(worse) if "slower" in change],
    )  # fmt: skip
