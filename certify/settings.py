"""Settings: frozen, passed as arguments, no module state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from certify.interrupt import INTERRUPTED

Device = Literal["auto", "cpu", "cuda"]
Semantics = Literal["real", "float32"]
# Of a distance between inputs: maximum, Euclidean, sum of absolute values.
Norm = Literal["inf", "2", "1"]


@dataclass(frozen=True)
class Budget:
    """What a run may use. deadline: on the clock of time.monotonic, in seconds; memory: bytes, None for no limit.

    Whoever interrupts the process ends every budget.
    """

    deadline: float
    memory: int | None = None

    @classmethod
    def starting_now(cls, seconds: float, memory: int | None = None) -> Budget:
        """A budget of so many seconds from now."""
        return cls(time.monotonic() + seconds, memory)

    def remaining(self) -> float:
        """Seconds left, not below zero."""
        return 0.0 if INTERRUPTED.is_set() else max(0.0, self.deadline - time.monotonic())

    def expired(self) -> bool:
        """Whether the time is up."""
        return INTERRUPTED.is_set() or time.monotonic() >= self.deadline

    def share(self, fraction: float, at_most: float = float("inf")) -> Budget:
        """A budget that ends after this fraction of the remaining time, or after so many seconds if that is sooner."""
        return Budget(time.monotonic() + min(self.remaining() * fraction, at_most), self.memory)


@dataclass(frozen=True)
class Settings:
    """How to run: the same for every backend. Nothing here needs tuning for a problem.

    processes: how many may work at once. A second one is forked, which is for processes of our own: the command line
    allows as many as there are cores. certificate: the file to write one to. recheck: whether the checker must accept
    it before the answer is unsat. semantics: what the answer is to hold for, exact arithmetic on the model's weights or
    float32 arithmetic in any order; for float32 the checker is always asked. keep_plan: the file to write down in how a
    proof divided the problem; follow: one of a proof of the same specification, for a network like this one, to divide
    it alike.
    """

    backend: str = "native"
    device: Device = "auto"
    seed: int = 0
    attack: bool = True
    strict: bool = False
    processes: int = 1
    certificate: Path | None = None
    recheck: bool = False
    semantics: Semantics = "real"
    keep_plan: Path | None = None
    follow: Path | None = None

    @property
    def evidence(self) -> bool:
        """Whether to keep all that a certificate needs."""
        return self.certificate is not None or self.checked

    @property
    def checked(self) -> bool:
        """Whether the checker has the last word on a proof."""
        return self.recheck or self.semantics == "float32"
