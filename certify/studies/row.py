"""A row of a study's table: what one model is like, and what has changed since the trojaned one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One model. Shares are of 1, differences in units of the scores, the tax in percentage points.

    accuracy, accuracy_range: on the test data, with its Clopper-Pearson interval (95 %); tax: accuracy lost against the
    trojaned model; attack: share of stamped test images of other classes that are sent to the target; absent, present:
    share of images proven never to be sent there by any trigger at the site, and of those with a trigger that does
    (the rest is open); worst: U* at the site, [attained, proven]; certified, refuted: share of images proven robust,
    with a counterexample; radius: median certified and attacked one; latent: median certified radius of the last hidden
    tensor in units of its norm; law: bounds of the probability that a trigger drawn uniformly, on an image, sends it to
    the target; difference: from the trojaned model near test images, [reached, proven]; regressed, weakened, gained:
    specifications proved before and refuted now, proved before and open now, and newly proved; seconds: of
    certification; samples, violations: random points drawn in proved regions, and how many of them break a proof.
    """

    name: str
    model: str
    method: str
    accuracy: float
    accuracy_range: tuple[float, float]
    tax: float
    attack: float
    absent: float
    present: float
    worst: tuple[float, float]
    certified: float
    refuted: float
    difference: tuple[float, float] | None
    radius: tuple[float, float]
    latent: float
    law: tuple[float, float]
    regressed: int
    weakened: int
    gained: int
    seconds: float
    samples: int = 0
    violations: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)
