"""Sites of triggers - a position and a target - and what is known of each, for reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from certify.proportion import Proportion, clopper_pearson
from certify.quantities.absence import EXISTS, OPEN, PROVED
from certify.quantities.enclosure import Enclosure


@dataclass(frozen=True)
class Plan:
    """What is asked. patch: (height, width); positions: (row, column) of its upper left pixel; targets: classes.

    shape: of a sample, (channels, height, width); low, high: what a trigger's values may be; count: samples used for
    each target; gap: the share at which to stop; include_target: whether samples of the target class count too.
    """

    patch: tuple[int, int]
    positions: Sequence[tuple[int, int]]
    targets: Sequence[int]
    shape: tuple[int, int, int]
    low: float
    high: float
    count: int
    gap: float = 0.0
    include_target: bool = False


@dataclass(frozen=True)
class Site:
    """One position and one target.

    worst: U*, the largest share of the samples that one trigger sends to the target; status: [samples] proved (never
    the target, whatever the trigger), exists or open; numbers: [samples] which samples of the data these are; trigger:
    [channels, height, width] that attains worst.lower; witnesses: a trigger [channels, height, width] by position in
    `numbers`; boxes: pairs of sample and box bounded.
    """

    position: tuple[int, int]
    target: int
    worst: Enclosure
    status: np.ndarray
    numbers: np.ndarray
    trigger: np.ndarray | None
    witnesses: dict[int, np.ndarray] = field(default_factory=dict)
    boxes: int = 0

    def share(self, status: str) -> float:
        """The share of the samples with this status."""
        return float((self.status == status).mean())

    @property
    def population(self) -> Proportion:
        """What the samples not proved say of others like them, if position and target were fixed beforehand."""
        return clopper_pearson(int((self.status != PROVED).sum()), len(self.status))

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "position": list(self.position), "target": self.target, "samples": len(self.numbers),
            **{status: int((self.status == status).sum()) for status in (PROVED, EXISTS, OPEN)},
            "worst": {key: value for key, value in self.worst.as_dict().items() if key != "witness"},
            "trigger": None if self.trigger is None else self.trigger.tolist(), "boxes": self.boxes,
            "population_not_proved": self.population.as_dict(),
            "absence": dict(zip(map(str, self.numbers.tolist()), self.status.tolist(), strict=True)),
            "witnesses": {str(self.numbers[i]): t.tolist() for i, t in sorted(self.witnesses.items())},
        }  # fmt: skip


@dataclass(frozen=True)
class TriggerReport:
    """All sites, by target and position; seconds: of the whole run; data: what the samples are called."""

    plan: Plan
    sites: list[Site]
    seconds: float
    data: str
    model: str

    def worst(self, target: int) -> Enclosure:
        """U* of the worst position: the largest of both ends over the sites of this target."""
        mine = [site for site in self.sites if site.target == target]
        best = max(mine, key=lambda site: site.worst.lower)
        high = max(mine, key=lambda site: site.worst.upper).worst
        return Enclosure(
            best.worst.lower, high.upper, in_words(self.plan, target, "any position asked for"), "share",
            best.worst.lower_is, high.upper_is, sum(site.worst.seconds for site in mine), best.worst.witness,
        )  # fmt: skip

    def worst_site(self, target: int) -> Site:
        """The site where most samples are known to be sent to the target."""
        return max((s for s in self.sites if s.target == target), key=lambda s: (s.worst.lower, s.worst.upper))

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "model": self.model, "data": self.data, "patch": list(self.plan.patch),
            "range": [self.plan.low, self.plan.high], "seconds": self.seconds,
            "target_class_counts": self.plan.include_target,
            "rests_on": "upper: exact arithmetic on the model's weights, any tie rule; lower: onnxruntime's argmax",
            "sites": [site.as_dict() for site in self.sites],
        }  # fmt: skip


def in_words(plan: Plan, target: int, where: str) -> str:
    """What U* is a share of, and under which trigger."""
    size = f"{plan.patch[0]}x{plan.patch[1]}"
    whose = "all samples" if plan.include_target else f"samples of other classes than {target}"
    return f"share of {whose} sent to {target} by one {size} trigger in [{plan.low:g}, {plan.high:g}], {where}"
