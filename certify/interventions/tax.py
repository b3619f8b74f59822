"""What an intervention costs: the answers of two classifiers on the same samples, compared pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from certify.dataset import Dataset
from certify.witness.runtime import Runtime

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Tax:
    """Which samples each model gets right, [samples] of bool each."""

    before: np.ndarray
    after: np.ndarray

    @property
    def points(self) -> float:
        """Accuracy lost, in percentage points."""
        return 100.0 * float(self.before.mean() - self.after.mean())

    def as_dict(self) -> dict[str, Any]:
        """Accuracies with Clopper-Pearson intervals (95 %); the tax in points, an interval for it, and the p-value of
        McNemar's exact test (whether as many samples are won as lost, up to chance).

        The interval of the tax is that of the shares lost minus won, each with half of the error: never too narrow.
        """
        lost, won = int((self.before & ~self.after).sum()), int((~self.before & self.after).sum())
        n = len(self.before)
        half = 1.0 - (1.0 - CONFIDENCE) / 2.0
        (lost_low, lost_high), (won_low, won_high) = share_range(lost, n, half), share_range(won, n, half)
        return {
            "samples": n,
            "before": _accuracy(self.before),
            "after": _accuracy(self.after),
            "lost": lost,
            "won": won,
            "points": self.points,
            "points_range": [100.0 * (lost_low - won_high), 100.0 * (lost_high - won_low)],
            "mcnemar_p": _mcnemar(lost, won),
        }


def share_range(count: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share, from `count` of n."""
    from scipy.stats import binomtest

    low, high = binomtest(count, n).proportion_ci(confidence, method="exact")
    return float(low), float(high)


def right_answers(model: str | Path, data: Dataset) -> np.ndarray:
    """Which samples onnxruntime gives their class with this file, [samples] of bool."""
    runtime = Runtime(model)
    rows = data.flat(runtime.n_inputs)
    return np.array([int(runtime(row).argmax()) for row in rows]) == data.labels


def _accuracy(right: np.ndarray) -> dict[str, Any]:
    count, n = int(right.sum()), len(right)
    return {"right": count, "accuracy": count / n, "range": list(share_range(count, n))}


def _mcnemar(lost: int, won: int) -> float:
    from scipy.stats import binomtest

    return 1.0 if lost + won == 0 else float(binomtest(lost, lost + won).pvalue)
