"""Probability of boxes, and of what a linear function cuts off them, under a product of independent marginals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from certify.quantities.law import CDF_ERROR, ROUNDING, TINY, Discrete, Marginal, Normal, Pair

# Inputs that may vary where volumes of cut boxes are computed: a sum over their corners.
CORNERS = 8
# An input that moves the function by less than this share of what the strongest does is taken at its worst instead.
NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class Product:
    """Independent inputs, one marginal for each, and the weight that a mixture gives to them together."""

    marginals: tuple[Marginal, ...]
    weight: float = 1.0

    @cached_property
    def varying(self) -> tuple[int, ...]:
        """The inputs that are not a single value."""
        return tuple(i for i, m in enumerate(self.marginals) if m.support[0] < m.support[1])

    @cached_property
    def continuous(self) -> tuple[int, ...]:
        """The inputs without single values of positive probability."""
        return tuple(i for i, marginal in enumerate(self.marginals) if not marginal.atomic)

    def mass(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """Bounds (low, high), [boxes], of the probability of the boxes [boxes, n_inputs], its weight aside."""
        low, high = np.ones(len(lower)), np.ones(len(lower))
        for i in self.varying:
            part = self.marginals[i].mass(lower[:, i], upper[:, i])
            # Products that underflow have lost their digits: they are 0 or TINY, whichever is outward.
            low, high = low * part[0], np.where(part[1] > 0.0, np.maximum(high * part[1], TINY), 0.0) * (high > 0.0)
            low = np.where(low < TINY, 0.0, low)
        slack = (len(self.varying) + 2) * ROUNDING
        return low * (1.0 - slack), np.minimum(high * (1.0 + slack), 1.0)

    def cut(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(below, above), [boxes, n_inputs] each: where the lower half of each axis ends and the upper one begins."""
        below, above = lower.copy(), lower.copy()
        for i in self.varying:
            below[:, i], above[:, i] = self.marginals[i].cut(lower[:, i], upper[:, i])
        return below, above

    def tightened(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The part of a box [n_inputs] where the law is; None where there is nothing of it."""
        sides = [m.tightened(low, high) for m, low, high in zip(self.marginals, lower, upper, strict=True)]
        if any(side is None for side in sides):
            return None
        found = np.array(sides, dtype=np.float64)
        return found[:, 0], found[:, 1]

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Independent points [count, n_inputs]."""
        return np.stack([marginal.sample(rng, count) for marginal in self.marginals], axis=1)

    def positive(
        self, coefficient: np.ndarray, offset: np.ndarray, lower: np.ndarray, upper: np.ndarray, mass: np.ndarray
    ) -> np.ndarray:
        """Lower bounds [boxes] of the probability of those points of a box where coefficient . x + offset > 0.

        coefficient: [boxes, n_inputs]; offset: [boxes], what it may err taken off; lower, upper: [boxes, n_inputs];
        mass: [boxes], what the box has at least. The best of what is exact for boxes (volumes), for independent bounded
        inputs (Hoeffding 1963, theorem 2) and for normal ones.
        """
        axes = list(self.varying)
        still = [i for i in range(len(self.marginals)) if i not in set(axes)]
        fixed = coefficient[:, still] * lower[:, still]
        slack = (len(self.marginals) + 2) * ROUNDING
        a, low, high = coefficient[:, axes], lower[:, axes], upper[:, axes]
        reach = (abs(a) * np.maximum(abs(low), abs(high))).sum(axis=1) + abs(fixed).sum(axis=1) + abs(offset)
        rest = offset + fixed.sum(axis=1) - slack * reach
        found = np.maximum(self._hoeffding(a, rest, low, high, mass), self._gaussian(a, rest, mass))
        if len(axes) <= CORNERS:
            share = positive_volume(a, rest, low, high)
            found = np.maximum(found, mass * share * self._evenness(low, high))
        certain = rest + (a * np.where(a > 0.0, low, high)).sum(axis=1) > 0.0
        return np.where(certain, mass, np.clip(found, 0.0, mass)) * (1.0 - slack)

    def _evenness(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """How much a share of a box's volume is worth at least as a share of its probability, [boxes]."""
        even = np.ones(len(lower))
        for place, i in enumerate(self.varying):
            low, high = lower[:, place], upper[:, place]
            least = self.marginals[i].least_density(low, high) * (high - low)
            most = self.marginals[i].mass(low, high)[1]
            # A single value left of several fills the interval that it is.
            part = np.divide(least, most, out=np.zeros(len(low)), where=most > 0.0)
            even *= np.where(high > low, np.minimum(part, 1.0), 1.0)
        return even

    def _hoeffding(
        self, a: np.ndarray, rest: np.ndarray, lower: np.ndarray, upper: np.ndarray, mass: np.ndarray
    ) -> np.ndarray:
        """From P(a . x + b <= 0 | box) <= exp(-2 m^2 / sum (a_i w_i)^2), m > 0 the mean and w the widths."""
        mean = rest.copy()
        for place, i in enumerate(self.varying):
            low, high = self.marginals[i].mean(lower[:, place], upper[:, place])
            mean += np.where(a[:, place] > 0.0, a[:, place] * low, a[:, place] * high)
        spread = ((a * (upper - lower)) ** 2).sum(axis=1) * (1.0 + ROUNDING * (2 + a.shape[1]))
        exponent = np.divide(mean**2, spread, out=np.zeros(len(mean)), where=(spread > 0.0) & (mean > 0.0))
        tail = np.exp(-2.0 * exponent * (1.0 - CDF_ERROR)) * (1.0 + CDF_ERROR)
        return np.asarray(np.where(mean > 0.0, mass * (1.0 - np.minimum(tail, 1.0)), 0.0))

    def _gaussian(self, a: np.ndarray, rest: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """From P(a . x + b <= 0) = Phi(-m / s) for normal x, m the mean and s the standard deviation of a . x + b."""
        normals = [self.marginals[i] for i in self.varying]
        if not normals or not all(isinstance(marginal, Normal) for marginal in normals):
            return np.zeros(len(a))
        from scipy.special import ndtr

        center = np.array([m.center for m in normals if isinstance(m, Normal)])
        sd = np.array([m.sd for m in normals if isinstance(m, Normal)])
        slack = ROUNDING * (2 + len(sd))
        mean = rest + a @ center - slack * (abs(a) @ abs(center) + abs(rest))
        spread = np.sqrt(((a * sd) ** 2).sum(axis=1)) * (1.0 + slack)
        place = np.divide(mean, spread, out=np.zeros(len(mean)), where=spread > 0.0)
        tail = ndtr(-place) * (1.0 + CDF_ERROR) + TINY
        for marginal in normals:
            assert isinstance(marginal, Normal)
            tail = tail / marginal.total[0]
        return np.asarray(np.where((mean > 0.0) & (spread > 0.0), mass - tail * (1.0 + slack), 0.0))


def positive_volume(a: np.ndarray, offset: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Lower bounds [boxes] of the share of a box's volume where a . x + offset > 0.

    a, lower, upper: [boxes, n]; offset: [boxes]. On the unit cube, with all slopes made c_i > 0 by mirroring and the
    function negative at the origin, the part below 0 is  sum over corners v of (-1)^|v| (h - c . v)_+^n / (n! prod c_i)
    (Barrow and Smith 1979), n the number of axes that matter. What rounding may do to the sum is taken off.
    """
    slope = abs(a) * (upper - lower)
    start = offset + (a * np.where(a > 0.0, lower, upper)).sum(axis=1)
    error = ROUNDING * (2 + a.shape[1]) * (abs(offset) + (abs(a) * np.maximum(abs(lower), abs(upper))).sum(axis=1))
    largest = slope.max(axis=1, initial=0.0)
    # What hardly moves it stays where the function is lowest, which is where `start` has it.
    matters = slope > NEGLIGIBLE * largest[:, None]
    height = -(start - error)
    found = np.zeros(len(a))
    for pattern in np.unique(matters, axis=0) if len(a) else []:
        mine = np.flatnonzero((matters == pattern).all(axis=1))
        found[mine] = 1.0 - _below(slope[np.ix_(mine, np.flatnonzero(pattern))], height[mine])
    return np.clip(np.where(height < 0.0, 1.0, np.nan_to_num(found)), 0.0, 1.0)


def _below(slope: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Upper bounds [boxes] of the volume of { x in the unit cube : slope . x <= height }, slopes [boxes, n] > 0."""
    n = slope.shape[1]
    if n == 0:
        return np.ones(len(slope))
    largest = slope.max(axis=1)
    slope, height = slope / largest[:, None], height / largest
    total, size = np.zeros(len(slope)), np.zeros(len(slope))
    for corner in product((0.0, 1.0), repeat=n):
        at = slope @ np.array(corner)
        term = np.maximum(height - at, 0.0) ** n
        total += term if sum(corner) % 2 == 0 else -term
        # (h - c v)^n varies by n (h - c v)^(n - 1) per unit of what rounding does to h - c v.
        size += term + n * np.maximum(height - at, 0.0) ** (n - 1) * (abs(height) + at)
    scale = np.prod(slope, axis=1)
    for factor in range(1, n + 1):
        scale = scale * factor
    error = ROUNDING * (2**n + 4 * n) * size
    return np.where(height >= slope.sum(axis=1), 1.0, np.minimum((total + error) / scale * (1.0 + ROUNDING * n), 1.0))


def uniform_box(lower: np.ndarray, upper: np.ndarray) -> Product:
    """Uniform over a box [n_inputs]; a side of length 0 is a single value."""
    from certify.quantities.law import Uniform

    sides = zip(lower.tolist(), upper.tolist(), strict=True)
    return Product(tuple(Uniform(low, high) if low < high else Discrete((low,), (1.0,)) for low, high in sides))


def normal_box(lower: np.ndarray, upper: np.ndarray) -> Product:
    """Normal about the middle of a box [n_inputs], with a sixth of each side as deviation, conditioned on the box."""
    sides = zip(lower.tolist(), upper.tolist(), strict=True)
    return Product(
        tuple(
            Normal((low + high) / 2.0, (high - low) / 6.0, low, high) if low < high else Discrete((low,), (1.0,))
            for low, high in sides
        )
    )
