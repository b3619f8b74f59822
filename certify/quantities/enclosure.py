"""A quantity known from both sides, and what each side rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from certify.errors import NumericalError

# proven: from rigorous bounds. attained: by an input that onnxruntime replayed. trivial: by what the quantity is (no
# radius is below 0, no share above 1): nothing was found out about this side.
Evidence = Literal["proven", "attained", "trivial"]


@dataclass(frozen=True)
class Enclosure:
    """lower <= quantity <= upper: an interval that contains the true value, never an estimate.

    over: the region or the law that the quantity is about, in words; unit: of both ends, "" for none; lower_is,
    upper_is: what the ends rest on; seconds: wall time it took; witness: the replayed input [n_inputs] that attains the
    end, or None; detail: whatever else the report of one kind of quantity says, JSON values by name.
    """

    lower: float
    upper: float
    over: str
    unit: str = ""
    lower_is: Evidence = "proven"
    upper_is: Evidence = "proven"
    seconds: float = 0.0
    witness: np.ndarray | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            message = f"the ends {self.lower!r} and {self.upper!r} are NaN or have crossed"
            raise NumericalError(f"{message}; nothing can be concluded from them ({self.over})")
        if "attained" in (self.lower_is, self.upper_is) and self.witness is None:
            raise ValueError("an attained end needs the input that attains it")

    @property
    def gap(self) -> float:
        """How much is left open: upper - lower, 0 where the quantity is known exactly, infinity where one end is."""
        return self.upper - self.lower if math.isfinite(self.upper) and math.isfinite(self.lower) else math.inf

    def intersect(self, other: Enclosure) -> Enclosure:
        """What both say about the same quantity; each end with its own evidence. Raises NumericalError if they differ.

        The seconds add up; over, unit and detail are those of self.
        """
        low = max(self, other, key=lambda found: found.lower)
        high = min(self, other, key=lambda found: found.upper)
        witness = next(
            (e.witness for e, side in ((low, low.lower_is), (high, high.upper_is)) if side == "attained"), None
        )
        return replace(
            self, lower=low.lower, lower_is=low.lower_is, upper=high.upper, upper_is=high.upper_is, witness=witness,
            seconds=self.seconds + other.seconds,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """JSON values: an infinite end is None, the witness a list."""
        finite = lambda value: value if math.isfinite(value) else None  # noqa: E731
        return {
            "lower": finite(float(self.lower)), "lower_is": self.lower_is,
            "upper": finite(float(self.upper)), "upper_is": self.upper_is,
            "gap": finite(float(self.gap)), "unit": self.unit, "over": self.over, "seconds": self.seconds,
            "witness": None if self.witness is None else self.witness.tolist(), **self.detail,
        }  # fmt: skip
