"""What a sample says of a proportion: a confidence interval, which is a statement about chance and no certificate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCE = 0.99


@dataclass(frozen=True)
class Proportion:
    """hits of `count` independent samples; [lower, upper] covers the true proportion with probability `confidence`."""

    hits: int
    count: int
    confidence: float
    lower: float
    upper: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values, labelled as what they are."""
        return {"kind": "statistical", "estimate": self.hits / self.count, **asdict(self)}


def clopper_pearson(hits: int, count: int, confidence: float = CONFIDENCE) -> Proportion:
    """The interval of Clopper and Pearson (1934), which has at least this confidence for every proportion."""
    from scipy.special import betaincinv

    half = (1.0 - confidence) / 2.0
    lower = float(betaincinv(hits, count - hits + 1, half)) if hits else 0.0
    upper = float(betaincinv(hits + 1, count - hits, 1.0 - half)) if hits < count else 1.0
    return Proportion(hits, count, confidence, lower, upper)
