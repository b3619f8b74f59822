"""Free entries: the (rectifier, element) pairs that slopes, multipliers and cuts refer to by their place in a list."""

from __future__ import annotations

import numpy as np

from certify.checker.arithmetic import Array
from certify.checker.bounds import Engine, Hidden, Parameters
from certify.checker.certificate import Certificate
from certify.checker.outcome import Malformed, Rejected


class Free:
    """The free entries: rectifier and element of each, and their places by rectifier."""

    def __init__(self, engine: Engine, certificate: Certificate, name: str) -> None:
        self.numbers = numbers = {node.name: node.number for node in engine.network.rectifiers}
        names = certificate.header["rectifiers"]
        if any(type(n) is not str or n not in numbers for n in names) or len(set(names)) != len(names):
            raise Rejected("the certificate names rectifiers that the model does not have")
        index = certificate.array(f"{name}/free_rectifier", "i", (None,))
        self.element = certificate.array(f"{name}/free_element", "i", (len(index),))
        if len(index) and index.max() >= len(names):
            raise Malformed("a free entry of a rectifier without a name")
        self.rectifier = np.array([numbers[names[i]] for i in index.tolist()], dtype=int)
        sizes = np.array([node.size for node in engine.network.rectifiers], dtype=int)
        if len(index) and (self.element >= sizes[self.rectifier]).any():
            raise Malformed("a free element that the rectifier does not have")
        if len(np.unique(np.stack([self.rectifier, self.element], axis=1), axis=0)) != len(index):
            raise Malformed("a free entry is listed twice")
        self.places = {k: np.flatnonzero(self.rectifier == k) for k in sorted(set(self.rectifier.tolist()))}
        self.sizes, self.engine = sizes, engine

    def __len__(self) -> int:
        return len(self.element)

    def before(self, rectifier: int) -> np.ndarray:
        """Places of the entries of earlier rectifiers, in the order of the list."""
        return np.flatnonzero(self.rectifier < rectifier)

    def bounds(self, side: dict[int, Array], at: np.ndarray) -> Array:
        """Of lower or upper bounds by rectifier, those of the entries `at`, [batch, len(at)]."""
        columns = [side[self.rectifier[i]][:, [self.element[i]]] for i in at.tolist()]
        return np.concatenate(columns, axis=1) if columns else self.engine.numbers.array(np.zeros((1, 0)))

    def relaxed(self, known: Hidden, low: Array, high: Array, at: np.ndarray) -> Hidden:
        """The relaxation of what is known, [1, size] each, with bounds [batch, len(at)] of the entries `at`."""
        found = Hidden(noise=known.noise, size=known.size)
        for k, lower in known.lower.items():
            upper, mine = known.upper[k], np.flatnonzero(self.rectifier[at] == k)
            if len(mine):
                lower, upper = (np.repeat(side, len(low), axis=0) for side in (lower, upper))
                lower[:, self.element[at[mine]]], upper[:, self.element[at[mine]]] = low[:, mine], high[:, mine]
            self.engine.relax(found, k, lower, upper)
        return found

    def parameters(self, found: Hidden, slopes: np.ndarray, signed: np.ndarray | None, at: np.ndarray) -> Parameters:
        """Parameters from arrays [batch, rows, len(at)] for the entries `at`; default slopes for all others."""
        spread, fixed = {}, {}
        for k in sorted(set(self.rectifier[at].tolist())):
            mine = np.flatnonzero(self.rectifier[at] == k)
            element = self.element[at[mine]]
            low = found.low[k][:, None]
            shape = (len(slopes), slopes.shape[1], low.shape[2])
            spread[k] = np.broadcast_to(low, (max(len(low), shape[0]), *shape[1:])).copy()
            spread[k][:, :, element] = self.engine.numbers.array(slopes[:, :, mine])
            if signed is not None and signed[:, :, mine].any():
                fixed[k] = self.engine.numbers.array(np.zeros(shape))
                fixed[k][:, :, element] = self.engine.numbers.array(signed[:, :, mine])
        return Parameters(spread, fixed)


def slopes_in(certificate: Certificate, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of slopes, all in [0, 1]."""
    found = certificate.array(name, "f", shape)
    if found.size and not (found.min() >= 0.0 and found.max() <= 1.0):
        raise Rejected(f"a slope of {name} lies outside of [0, 1]")
    return found


def multipliers_in(certificate: Certificate, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of multipliers, none below zero."""
    found = certificate.array(name, "f", shape)
    if found.size and found.min() < 0.0:
        raise Rejected(f"a multiplier of {name} is negative")
    return found
