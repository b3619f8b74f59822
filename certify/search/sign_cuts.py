"""Where domains of a search by signs lie with respect to cuts that somebody else proposes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.intermediate import Relaxed
from certify.search.cuts import BOTH, Cuts
from certify.search.domain import Domains


@dataclass(frozen=True)
class Numbering:
    """Flat elements of values in the network that was read, the one that is searched, and the space of subproblems.

    kept: by value, the elements of the network read that the searched one has, index: those of the searched one that
    the space has; ascending, all of them where a value is missing.
    """

    kept: dict[str, np.ndarray] = field(default_factory=dict)
    index: dict[str, np.ndarray] = field(default_factory=dict)

    def in_network(self, value: str, element: np.ndarray) -> np.ndarray:
        """In the searched network; -1 for those that it does not have."""
        return _found(self.kept[value], element) if value in self.kept else element

    def in_space(self, value: str, element: np.ndarray) -> np.ndarray:
        """In the space, of those of the searched network; -1 for those that it does not have."""
        return _found(self.index[value], element) if value in self.index else element


def _found(index: np.ndarray, element: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(index, element), len(index) - 1)
    return np.where(index[place] == element, place, -1)


def sides(root: Relaxed, numbering: Numbering, domains: Domains, cuts: Cuts) -> np.ndarray:
    """[batch] whether each domain lies wholly above (0) or below (1) a cut, or on both sides (BOTH).

    root: bounds on the whole box. A value that the network does not have divides nothing: either side will do.
    """
    low, high = np.zeros(len(domains)), np.zeros(len(domains))
    for value in sorted(set(cuts.value.tolist()) & set(domains.signs)):
        mine = np.flatnonzero(cuts.value == value)
        here = numbering.in_network(value, cuts.element[mine])
        low[mine], high[mine] = _range(root, numbering, value, here, domains.select(mine))
    return np.where(low >= cuts.point, 0, np.where(high <= cuts.point, 1, BOTH))


def _range(
    root: Relaxed, numbering: Numbering, value: str, element: np.ndarray, domains: Domains
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds [batch] of one element of the searched network, -1 for one it does not have, in each domain."""
    low, high = (to_numpy(side)[0].reshape(-1)[element] for side in root.intervals[value])
    # Only rectifiers that are dead were left out.
    low, high = np.where(element < 0, -np.inf, low), np.where(element < 0, 0.0, high)
    place = numbering.in_space(value, element)
    mine = np.flatnonzero((place >= 0) & (element >= 0))
    at = mine, place[mine]
    for side, known in zip((low, high), domains.hidden[value], strict=True):
        side[mine] = known.reshape(len(domains), -1)[at]
    if value not in domains.points:
        sign = domains.signs[value].reshape(len(domains), -1)[at]
        low[mine] = np.where(sign > 0, np.maximum(low[mine], 0.0), low[mine])
        high[mine] = np.where(sign < 0, np.minimum(high[mine], 0.0), high[mine])
    return low, high
