"""A tensor that depends on a few whole numbers only: looked up, one number at a time.

Where a model computes places (starts of slices, indices to scatter to) from its input, shapes may depend on them too,
so that the nodes in between are no function of tensors with fixed shapes. What comes out at their end is one again, and
of whole numbers a bounded box holds finitely many: bounds are the hull over these, exact where it does not vary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from certify.arrays import Array, namespace, to_numpy
from certify.ops.kinds import Nonlinear, Planes, Relaxation, with_spec_axis

# A hull over more combinations than this is not computed; the numbers' ranges have to be cut before.
MOST_PLACES = 10_000

Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Entries:
    """What is found at each place, computed when it is first asked for; equal tensors are kept once."""

    compute: Callable[[Place], np.ndarray]
    _number: dict[Place, int] = field(default_factory=dict)
    _by_content: dict[bytes, int] = field(default_factory=dict)
    _tensors: list[np.ndarray] = field(default_factory=list)

    def number(self, place: Place) -> int:
        """Of the tensor at this place."""
        if place not in self._number:
            tensor = np.asarray(self.compute(place), dtype=np.float64)
            number = self._by_content.setdefault(tensor.tobytes(), len(self._tensors))
            if number == len(self._tensors):
                self._tensors.append(tensor)
            self._number[place] = number
        return self._number[place]

    def at(self, place: Place) -> np.ndarray:
        """The tensor at this place."""
        return self._tensors[self.number(place)]

    def varies(self, first: Place, last: Place) -> bool:
        """Whether different tensors are found at the places from `first` to `last`; True where these are too many."""
        if any(self.number(corner) != self.number(first) for corner in product(*zip(first, last, strict=True))):
            return True
        if _count(first, last) > MOST_PLACES:
            return True
        return any(self.number(place) != self.number(first) for place in _places(first, last))

    def hull(self, first: Place, last: Place) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest values over the places from `first` to `last`; infinite where these are too many."""
        if _count(first, last) > MOST_PLACES:
            endless = np.full(self.at(first).shape, np.inf)
            return -endless, endless
        tensors = [self._tensors[number] for number in {self.number(place) for place in _places(first, last)}]
        return np.minimum.reduce(tensors), np.maximum.reduce(tensors)


def _count(first: Place, last: Place) -> int:
    count = 1
    for low, high in zip(first, last, strict=True):
        count *= high - low + 1
    return count


def _places(first: Place, last: Place) -> product[Place]:
    return product(*(range(low, high + 1) for low, high in zip(first, last, strict=True)))


class Hull(Relaxation):
    """Constant planes."""

    def __init__(self, lower: Array, upper: Array, inputs: int) -> None:
        """lower, upper: [batch, *shape]; inputs: number of inputs of the op."""
        self._lower, self._upper, self._inputs = lower, upper, inputs

    def start(self) -> tuple[Array, ...]:
        """No parameters."""
        return ()

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """The bounds themselves."""
        lower, upper = with_spec_axis(self._lower), with_spec_axis(self._upper)
        slopes = (namespace(lower).zeros_like(lower),) * self._inputs
        return Planes(slopes, lower, slopes, upper)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Nothing to choose."""
        return ()

    def gap(self) -> Array:
        """Distance of the bounds."""
        return self._upper - self._lower


@dataclass(frozen=True, eq=False)
class Table(Nonlinear):
    """y = the tensor at the place (x_1, x_2, ...), where every x_i is one whole number, repeated in the shape of y."""

    entries: Entries

    def forward(self, *xs: Array) -> Array:
        """Look up."""
        rank = len(self.out_shape)
        leading = tuple(xs[0].shape[: xs[0].ndim - rank])
        places = np.stack([to_numpy(x).reshape(*leading, -1)[..., 0].reshape(-1) for x in xs], axis=1)
        found = [self.entries.at(tuple(place)) for place in np.rint(places).astype(np.int64).tolist()]
        stacked = np.stack(found) if found else np.zeros((0, *self.out_shape))
        return _like(stacked.reshape(*leading, *self.out_shape), xs[0])

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """Zero: between whole numbers there is nothing."""
        return tuple(namespace(x).zeros_like(x) for x in xs)

    def ranges(self, *bounds: tuple[Array, Array]) -> list[tuple[Place, Place]]:
        """(first, last) place in each box of the batch. The elements of an input are one number: all bounds hold."""
        firsts, lasts = [], []
        for lower, upper in bounds:
            low, high = (to_numpy(side).reshape(len(side), -1) for side in (lower, upper))
            low, high = np.ceil(low.max(axis=1)), np.floor(high.min(axis=1))
            # No whole number in between: nothing is left of the box, and any place will do.
            firsts.append(np.minimum(low, high))
            lasts.append(np.maximum(low, high))
        pairs = zip(np.stack(firsts, axis=1), np.stack(lasts, axis=1), strict=True)
        return [(tuple(map(int, first)), tuple(map(int, last))) for first, last in pairs]

    def varies(self, *bounds: tuple[Array, Array]) -> np.ndarray:
        """Mask [batch]: where several tensors are possible."""
        return np.array([self.entries.varies(first, last) for first, last in self.ranges(*bounds)], dtype=bool)

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """The hull over all places."""
        hulls = [self.entries.hull(first, last) for first, last in self.ranges(*bounds)]
        lower, upper = (np.stack(side) for side in zip(*hulls, strict=True))
        return _like(lower, bounds[0][0]), _like(upper, bounds[0][0])

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """The hull as constant planes."""
        return Hull(*self.interval(*bounds), len(bounds))

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Nowhere: intervals already say of whole numbers what walks through constant planes could."""
        return namespace(bounds[0][0]).zeros_like(bounds[0][0], dtype=bool)


def _like(array: np.ndarray, like: Array) -> Array:
    xp = namespace(like)
    return array.astype(like.dtype) if xp is np else xp.asarray(array, dtype=like.dtype, device=like.device)
