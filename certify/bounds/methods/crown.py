"""CROWN (Zhang et al. 2018): backward walks with fixed planes, for inexact hidden values and for the rows."""

from __future__ import annotations

from collections.abc import Callable

from certify.arrays import Array
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.network.graph import Network


def bound(network: Network, box: Interval, rows: Rows, expired: Callable[[], bool]) -> tuple[Relaxed, Array]:
    """Bounds of all relaxed inputs, and lower bounds [batch, rows] of the rows."""
    relaxed = intermediate_bounds(network, box)
    return relaxed, crown_rows(relaxed, rows)[0]
