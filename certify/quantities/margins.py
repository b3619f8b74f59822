"""How large a ball around an input one class wins for certain: lower bounds of its lead over the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from certify.bounds.backward import Rows
from certify.bounds.ball import ball
from certify.bounds.intermediate import crown_rows, intermediate_bounds
from certify.bounds.methods.alpha_crown import ASCENT, tighten
from certify.bounds.optimise import optimise
from certify.errors import NumericalError
from certify.network.graph import Network
from certify.settings import Norm

# Floats of the widest layer's walk, both signs of a sixteenth of its rows, that one batch of balls may take.
BATCH_FLOATS = 2**16
# Radii that doubling starts from and ends at, where no attack found an upper end; the share of the upper end below
# which no radius is looked for.
LEAST, MOST, HOPELESS = 2.0**-10, 2.0**20, 2.0**-20


class Leads:
    """The lead of each sample's class over all others, on balls around the samples.

    center: [samples, n]; label: [samples]; low, high: [n], the range of inputs, which may be infinite.
    """

    def __init__(
        self, network: Network, center: np.ndarray, label: np.ndarray, norm: Norm, low: np.ndarray, high: np.ndarray
    ) -> None:
        self.network, self.center, self.label, self.norm = network, center, label, norm
        self.low, self.high = low, high
        widest = max(int(np.prod(shape)) for shape in network.shapes.values())
        self.batch = int(np.clip(BATCH_FLOATS // (2 * widest), 1, 256))

    def lower(
        self, samples: np.ndarray, radius: np.ndarray, *, ascend: bool = False,
        expired: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:  # fmt: skip
        """Lower bounds [k] of the smallest lead of samples [k] on their balls of radius [k].

        With CROWN, or with optimised slopes for all layers if `ascend`. Minus infinity where nothing could be bounded.
        """
        parts = [slice(first, first + self.batch) for first in range(0, len(samples), self.batch)]
        found = [self._lower(samples[part], radius[part], ascend, expired) for part in parts]
        return np.concatenate(found) if found else np.zeros(0)

    def lowest(self, sample: int, radius: float) -> np.ndarray:
        """The point [n] of a sample's ball where CROWN's bound of the smallest lead is attained, up to rounding.

        For a linear network that is the very point where the class is nearest to losing.
        """
        around = ball(self.center[[sample]], np.array([radius]), self.norm, self.low, self.high)
        relaxed = intermediate_bounds(self.network, around.box, ball=around)
        lower, form = crown_rows(relaxed, lead_rows(self.network, self.label[[sample]]))
        found: np.ndarray = around.minimiser(form)[0, lower[0].argmin()]
        return found

    def _lower(
        self, samples: np.ndarray, radius: np.ndarray, ascend: bool, expired: Callable[[], bool]
    ) -> np.ndarray:  # fmt: skip
        around = ball(self.center[samples], radius, self.norm, self.low, self.high)
        rows = lead_rows(self.network, self.label[samples])
        try:
            inside = None if self.norm == "inf" else around
            relaxed = intermediate_bounds(self.network, around.box, ball=inside)
            if not ascend or not self.network.nonlinear:
                return crown_rows(relaxed, rows)[0].min(axis=1)
            relaxed = tighten(self.network, around.box, relaxed.intervals, expired, ball=inside)
            return optimise(relaxed, rows, ASCENT, expired=expired).lower.min(axis=1)
        except NumericalError:
            return np.full(len(samples), -np.inf)


def lead_rows(network: Network, label: np.ndarray) -> Rows:
    """Rows  f_label - f_j  for all other classes j in order, [batch, classes - 1], for labels [batch]."""
    classes = np.arange(network.n_outputs)
    others = np.stack([np.delete(classes, own) for own in label])
    eye = np.eye(network.n_outputs)
    return Rows({network.output: eye[label][:, None, :] - eye[others]}, np.zeros(others.shape))


def largest(
    proves: Callable[[np.ndarray, np.ndarray], np.ndarray],
    lower: np.ndarray,
    upper: np.ndarray,
    precision: float,
    expired: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """The largest radii [samples] found to be proven, by bisection of all samples together.

    proves(samples, radius) -> mask. lower: proven already; upper: not worth trying, infinite where unknown: these are
    looked for by doubling first. A sample is done once the rest is at most `precision` of its upper end.
    """
    lower, upper = lower.copy(), upper.copy()
    hopeless = HOPELESS * np.where(np.isfinite(upper), upper, LEAST)
    while not expired():
        unknown = ~np.isfinite(upper)
        known_open = (np.where(unknown, 0.0, upper) - lower > precision * upper) & (upper > hopeless)
        chosen = np.flatnonzero(np.where(unknown, lower < MOST, known_open))
        if not len(chosen):
            break
        middle = np.where(unknown, np.maximum(2.0 * lower, LEAST), lower + 0.5 * (upper - lower))[chosen]
        proven = proves(chosen, middle)
        lower[chosen] = np.where(proven, middle, lower[chosen])
        upper[chosen] = np.where(proven, upper[chosen], middle)
    return lower
