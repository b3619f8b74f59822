"""The answer, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from certify.witness.replay import Witness


class Status(str, Enum):
    """What a run came to. They are never merged: each says something else about the property or about the run."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"

    @property
    def exit_code(self) -> int:
        """0 proved, 1 violated, 3 undecided (2 and 4 are errors, which have no verdict)."""
        return {Status.UNSAT: 0, Status.SAT: 1}.get(self, 3)

    @property
    def word(self) -> str:
        """The first line of the answer: one of sat, unsat, unknown, timeout."""
        return "unknown" if self is Status.OUT_OF_MEMORY else self.value


@dataclass(frozen=True)
class Verdict:
    """A status with its evidence: a witness for sat, a proof for unsat; for the others, the reason.

    bound: proven lower bound of the property's margin over everything examined (positive means proved), None if nothing
    was bounded. seconds: wall time by stage. statistics: counts by name. advice: what to try next. trace: how the
    bound of what was being searched moved: seconds since the search began, bound, subproblems.
    """

    status: Status
    reason: str
    witness: Witness | None = None
    proof: Any = None
    bound: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    statistics: dict[str, int | float | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    advice: str = ""
    trace: tuple[tuple[float, float, int], ...] = ()

    def __post_init__(self) -> None:
        if (self.status is Status.SAT) != (self.witness is not None):
            raise ValueError("sat needs a witness, and a witness means sat")
        if self.status is Status.UNSAT and self.proof is None:
            raise ValueError("unsat needs a proof")
