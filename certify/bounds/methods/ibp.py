"""Interval bound propagation (Gowal et al. 2018): each op on its own, by interval arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from certify.arrays import Array, namespace
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.rounding import gamma, linear_range, reach
from certify.network.graph import INPUT, Network
from certify.ops.kinds import Linear, Nonlinear


def bound(network: Network, box: Interval, rows: Rows, expired: Callable[[], bool]) -> tuple[Relaxed, Array]:
    """Intervals of all relaxed inputs, and lower bounds [batch, rows] of the rows from the intervals they mention."""
    relaxed = intermediate_bounds(network, box, bound_rows=None)
    ranges = intervals(network, box)
    lower = rows.offset - gamma(rows.offset, len(rows.coefficients)) * abs(rows.offset)
    for name, coefficient in rows.coefficients.items():
        flat = coefficient.reshape(coefficient.shape[0], coefficient.shape[1], -1)
        spread = ranges[name].radius + gamma(flat, flat.shape[-1]) * reach(ranges[name])
        center, spread = (part.reshape(part.shape[0], -1, 1) for part in (ranges[name].center, spread))
        lower = lower + (flat @ center - abs(flat) @ spread)[..., 0]
    return relaxed, namespace(lower).broadcast_to(lower, (box.lower.shape[0], rows.count))


def intervals(network: Network, box: Interval) -> dict[str, Interval]:
    """The interval of every value."""
    ranges = {INPUT: box}
    for node in network.nodes:
        inputs = [ranges[name] for name in node.inputs]
        if isinstance(node.op, Linear):
            ranges[node.name] = linear_range(node.op, inputs)
        else:
            assert isinstance(node.op, Nonlinear)
            ranges[node.name] = Interval(*node.op.interval(*inputs))
    return ranges
