"""Laws of one input: how its probability lies on the line, enclosed so that it can be relied on.

Cumulative probabilities come from scipy.special (ndtr, betainc). What is assumed of them, and added to every result as
an error: each value is within CDF_ERROR, relative, or TINY of the true one. All else is rounded outwards here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]
CDF_ERROR = 1e-11
# Probabilities and densities this small are near where float64 runs out of digits: they count with this as an error.
TINY = 1e-300
# Relative error of the few operations on masses here, doubled for the terms of second order.
ROUNDING = 16 * 2.0**-53


@dataclass(frozen=True)
class Marginal:
    """The law of one input. Intervals are closed; lower, upper are arrays [boxes]."""

    @property
    def support(self) -> tuple[float, float]:
        """The smallest interval of probability one; its ends may be infinite."""
        raise NotImplementedError

    @property
    def atomic(self) -> bool:
        """Whether single values have positive probability."""
        return False

    def mass(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """Bounds (low, high) of the probability of each interval."""
        raise NotImplementedError

    def least_density(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """A lower bound of the density on each interval; 0 says nothing."""
        return np.zeros(np.shape(lower))

    def mean(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """Bounds of the mean on each interval; its ends are always some."""
        return lower, upper

    def cut(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """(below, above): where the lower part of each interval ends and the upper one begins."""
        middle = lower + (upper - lower) / 2.0
        return middle, middle

    def tightened(self, lower: float, upper: float) -> tuple[float, float] | None:
        """The part of the interval where the law is; None where there is nothing of it."""
        low, high = self.support
        low, high = max(low, lower), min(high, upper)
        return (low, high) if low < high else None

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Independent values [count]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Uniform(Marginal):
    """Uniform on [lower, upper], lower < upper."""

    lower: float
    upper: float

    @property
    def support(self) -> tuple[float, float]:
        """The interval."""
        return self.lower, self.upper

    def mass(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """The interval's share of the width."""
        part = np.clip(upper, self.lower, self.upper) - np.clip(lower, self.lower, self.upper)
        return _outward(np.maximum(part, 0.0) / (self.upper - self.lower))

    def least_density(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """One over the width."""
        return np.full(np.shape(lower), (1.0 - ROUNDING) / (self.upper - self.lower))

    def mean(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """The middle."""
        middle, slack = (lower + upper) / 2.0, ROUNDING * np.maximum(abs(lower), abs(upper))
        return middle - slack, middle + slack

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Uniform values."""
        return rng.uniform(self.lower, self.upper, count)


@dataclass(frozen=True)
class Normal(Marginal):
    """Normal with this mean and standard deviation; conditioned on [lower, upper] where these are finite."""

    center: float
    sd: float
    lower: float = -np.inf
    upper: float = np.inf

    @property
    def support(self) -> tuple[float, float]:
        """The interval that it is conditioned on."""
        return self.lower, self.upper

    @cached_property
    def total(self) -> tuple[float, float]:
        """Bounds of the probability, before conditioning, of what it is conditioned on."""
        if np.isinf(self.lower) and np.isinf(self.upper):
            return 1.0, 1.0
        low, high = self._plain(np.array([self.lower]), np.array([self.upper]))
        return float(low[0]), float(high[0])

    def mass(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """Differences of the cumulative probability."""
        low, high = self._plain(np.maximum(lower, self.lower), np.minimum(upper, self.upper))
        return _down(low / self.total[1]), np.minimum(_up(high / self.total[0]), 1.0)

    def _plain(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """Without conditioning. Right of the mean, mirrored, as cumulative probabilities near 1 lose what is small."""
        from scipy.special import ndtr

        low, high = (lower - self.center) / self.sd, (upper - self.center) / self.sd
        right = low > 0.0
        low, high = np.where(right, -high, low), np.where(right, -low, high)
        return _difference(ndtr(low), ndtr(high), low < high)

    def mean(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """The mean plus the deviation times (density at the lower end - at the upper one) / probability."""
        ends = [(np.clip(side, self.lower, self.upper) - self.center) / self.sd for side in (lower, upper)]
        before, after = (np.exp(-0.5 * end**2) / np.sqrt(2.0 * np.pi) for end in ends)
        slack = CDF_ERROR * (before + after) + TINY
        low, high = _quotient((before - after - slack, before - after + slack), self._plain(lower, upper))
        return _within(self.center + self.sd * low, self.center + self.sd * high, lower, upper)

    def least_density(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """At one of the ends, as there is one hump."""
        far = np.maximum(abs(lower - self.center), abs(upper - self.center)) / self.sd
        density = np.maximum(np.exp(-0.5 * far**2) - TINY, 0.0) / (self.sd * np.sqrt(2.0 * np.pi))
        return np.asarray((1.0 - CDF_ERROR) * density / self.total[1])

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """By inversion."""
        from scipy.special import ndtr, ndtri

        low, high = ndtr((np.array([self.lower, self.upper]) - self.center) / self.sd).tolist()
        found = self.center + self.sd * ndtri(rng.uniform(low, high, count))
        return np.asarray(np.clip(found, self.lower, self.upper))


@dataclass(frozen=True)
class Beta(Marginal):
    """Beta(a, b), moved to [lower, upper]."""

    a: float
    b: float
    lower: float = 0.0
    upper: float = 1.0

    @property
    def support(self) -> tuple[float, float]:
        """The interval."""
        return self.lower, self.upper

    def mass(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """Differences of the regularised incomplete beta function, which has steep ends: at places moved outwards."""
        from scipy.special import betainc

        low, high = ((side - self.lower) / (self.upper - self.lower) for side in (lower, upper))
        step = 2.0**-50 * ((self.lower, self.upper) != (0.0, 1.0))
        at = [np.clip(place, 0.0, 1.0) for place in (low - step, low + step, high - step, high + step)]
        before, after, early, late = (betainc(self.a, self.b, place) for place in at)
        inner, outer = _difference(after, early, at[1] < at[2]), _difference(before, late, low < high)
        return inner[0], outer[1]

    def mean(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """From x times its density, which is a / (a + b) times that of Beta(a + 1, b)."""
        above = Beta(self.a + 1.0, self.b, self.lower, self.upper).mass(lower, upper)
        share = self.a / (self.a + self.b)
        low, high = _quotient((share * above[0], share * above[1]), self.mass(lower, upper))
        width = self.upper - self.lower
        return _within(self.lower + width * low, self.lower + width * high, lower, upper)

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """As numpy does."""
        return np.asarray(self.lower + (self.upper - self.lower) * rng.beta(self.a, self.b, count))


@dataclass(frozen=True)
class Discrete(Marginal):
    """Single values, increasing, with these weights, which are divided by their sum."""

    values: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def support(self) -> tuple[float, float]:
        """From the first to the last value."""
        return self.values[0], self.values[-1]

    @property
    def atomic(self) -> bool:
        """All of it."""
        return True

    @cached_property
    def _sums(self) -> np.ndarray:
        return np.concatenate([[0.0], np.cumsum(self.weights)])

    def _places(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values in each interval: from the first, up to and without the second."""
        return np.searchsorted(self.values, lower, "left"), np.searchsorted(self.values, upper, "right")

    def mass(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """The weights in each interval."""
        first, last = self._places(lower, upper)
        total = self._sums[-1]
        found = np.maximum(self._sums[last] - self._sums[first], 0.0) / total
        if len(self.values) == 1:
            return found, found
        slack = ROUNDING * len(self.values)
        return np.maximum(found - slack, 0.0) * (last > first), np.minimum(found + slack, 1.0) * (last > first)

    def cut(self, lower: np.ndarray, upper: np.ndarray) -> Pair:
        """Between two values, as many on either side; an interval with one value cannot be cut."""
        first, last = self._places(lower, upper)
        middle = np.clip((first + last) // 2, 1, max(1, len(self.values) - 1))
        values = np.array(self.values)
        one = last - first < 2
        return np.where(one, lower, values[middle - 1]), np.where(one, lower, values[middle % len(values)])

    def tightened(self, lower: float, upper: float) -> tuple[float, float] | None:
        """From the first to the last value of the interval."""
        first, last = self._places(np.array([lower]), np.array([upper]))
        return (self.values[first[0]], self.values[last[0] - 1]) if last[0] > first[0] else None

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """By weight."""
        weights = np.array(self.weights)
        return np.asarray(rng.choice(np.array(self.values), count, p=weights / weights.sum()))


def _quotient(part: Pair, whole: Pair) -> Pair:
    """Bounds of part / whole, whole >= 0; infinite ones where it may be 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(part[0] >= 0.0, part[0] / whole[1], part[0] / whole[0])
        high = np.where(part[1] >= 0.0, part[1] / whole[0], part[1] / whole[1])
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def _within(low: np.ndarray, high: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Pair:
    """Bounds of a mean, a little outwards, within the interval that it is the mean on."""
    slack = ROUNDING * np.maximum(abs(lower), abs(upper))
    return np.maximum(low - slack, lower), np.minimum(high + slack, upper)


def _difference(low: np.ndarray, high: np.ndarray, proper: np.ndarray) -> Pair:
    """Bounds of high - low for cumulative probabilities with their error; nothing where the interval is no interval."""
    found = np.where(proper, high - low, 0.0)
    slack = np.where(proper, CDF_ERROR * (abs(high) + abs(low)) + TINY, 0.0)
    return np.maximum(found - slack, 0.0), np.minimum(found + slack, 1.0)


def _down(mass: np.ndarray) -> np.ndarray:
    return np.asarray(mass * (1.0 - ROUNDING))


def _up(mass: np.ndarray) -> np.ndarray:
    return np.asarray(mass * (1.0 + ROUNDING))


def _outward(mass: np.ndarray) -> Pair:
    return _down(mass), np.minimum(_up(mass), 1.0)
