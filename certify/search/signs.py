"""Domains whose rectifiers have some signs fixed: the relaxation that follows, and the two children of a split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from certify.arrays import Array, Library, namespace
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.bounds.optimise import Split
from certify.network.graph import Network
from certify.search.domain import Domains, wide


def relaxed_under_signs(root: Relaxed, domains: Domains) -> Relaxed:
    """The relaxation of every domain, from its own hidden bounds where it has some and the root's elsewhere."""
    network, library = root.network, root.network.library
    own = domains.lower.shape[1] > 0
    box = Interval(library.put(domains.lower), library.put(domains.upper)) if own else root.box
    relaxed = Relaxed(network, box, noise=root.noise)
    for name, interval in root.intervals.items():
        if name in domains.hidden:
            interval = Interval(*map(library.put, wide(domains.hidden[name])))
        relaxed.intervals[name] = with_signs(interval, domains.signs.get(name), len(domains))
    for node in network.nonlinear:
        relaxed.relax(node, node.nonlinear_op.relax(*(relaxed.intervals[name] for name in node.inputs)))
    return relaxed


def with_signs(interval: Interval, signs: np.ndarray | None, batch: int) -> Interval:
    """Bounds [1, *shape] repeated over the batch and cut at zero where a sign is fixed."""
    xp = namespace(interval.lower)
    shape = (batch, *interval.lower.shape[1:])
    lower, upper = xp.broadcast_to(interval.lower, shape), xp.broadcast_to(interval.upper, shape)
    if signs is None:
        return Interval(lower, upper)
    sign: Array = signs if xp is np else xp.asarray(signs, device=lower.device)
    zero = xp.zeros_like(lower)
    low = xp.where((sign > 0) & (lower < 0.0), zero, lower)
    high = xp.where((sign < 0) & (upper > 0.0), zero, upper)
    # Where the sign contradicts the bounds nothing is left, and zero is as good as any value.
    return Interval(xp.where((sign < 0) & (low > high), zero, low), xp.where((sign > 0) & (low > high), zero, high))


def as_splits(signs: dict[str, np.ndarray], library: Library) -> dict[str, Split]:
    """The constraints of the values of which some sign is fixed in some domain."""
    return {v: Split(library.put(sign.astype(np.float64))) for v, sign in signs.items() if sign.any()}


def sign_children(network: Network, domains: Domains, number: np.ndarray, element: np.ndarray) -> Domains:
    """Both children of each domain, one after the other: the sign of one element fixed to + and to -.

    number: [batch] of the node among the nonlinear ones; element: [batch] flat, of its input.
    """
    twice = domains.select(np.repeat(np.arange(len(domains)), 2))
    signs = {v: s.copy() for v, s in twice.signs.items()}
    for n in sorted(set(number.tolist())):
        mine = np.flatnonzero(number == n)
        flat = signs[network.nonlinear[n].inputs[0]].reshape(len(twice), -1)
        flat[2 * mine, element[mine]], flat[2 * mine + 1, element[mine]] = 1, -1
    return replace(twice, signs=signs, depth=twice.depth + 1)
