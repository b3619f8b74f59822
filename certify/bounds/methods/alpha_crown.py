"""alpha-CROWN (Xu et al. 2021): CROWN with the planes' parameters optimised, each row for itself, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from certify.arrays import Array
from certify.bounds.backward import Rows
from certify.bounds.ball import Ball
from certify.bounds.intermediate import BoundRows, Relaxed, crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.optimise import Ascent, Record, optimise
from certify.network.graph import Network

ASCENT = Ascent(iterations=20, slope_rate=0.25, decay=0.96)


def bound(network: Network, box: Interval, rows: Rows, expired: Callable[[], bool]) -> tuple[Relaxed, Array]:
    """Bounds of all relaxed inputs, and lower bounds [batch, rows] of the rows."""
    relaxed = tighten(network, box, intermediate_bounds(network, box).intervals, expired)
    return relaxed, optimise(relaxed, rows, ASCENT, expired=expired).lower


def tighten(
    network: Network,
    box: Interval,
    known: Mapping[str, Interval],
    expired: Callable[[], bool],
    shared: Callable[[BoundRows], BoundRows] = lambda bound_rows: bound_rows,
    record: Record | None = None,
    needed: Mapping[str, np.ndarray] | None = None,
    ascent: Ascent = ASCENT,
    ball: Ball | None = None,
) -> Relaxed:
    """Optimised bounds of all relaxed inputs, intersected with those known; plain CROWN once the time is up.

    shared: who else takes part, as a way to bound rows made of another. record: told of every ascent, all of which go
    through the whole network then. needed, ball: see `intermediate_bounds`.
    """
    way = shared(optimised(expired, record, ascent))
    whole = record is not None
    return intermediate_bounds(network, box, known=known, bound_rows=way, needed=needed, whole=whole, ball=ball)


def optimised(expired: Callable[[], bool], record: Record | None = None, ascent: Ascent = ASCENT) -> BoundRows:
    """A way to bound rows: with optimised slopes, or plain CROWN once the time is up. record: told of every ascent."""

    def bound_rows(relaxed: Relaxed, rows: Rows) -> tuple[Array, LinearForm]:
        if expired():
            return crown_rows(relaxed, rows)
        found = optimise(relaxed, rows, ascent, expired=expired)
        if record is not None:
            record(relaxed, rows, found)
        return found.lower, found.form

    return bound_rows
