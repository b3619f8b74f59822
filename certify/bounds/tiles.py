"""Neighbouring elements of a value in space, bounded together on the part of the network that they depend on.

The first layers of a convolutional network have by far the most elements, and each depends on a few pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from certify.arrays import Array
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.network.graph import Network
from certify.network.passes.crop import Cropped, crop
from certify.ops.kinds import Window

# The elements that are left must be at most this share of all, or the whole network is as good.
WORTH = 0.5


def tiles(relaxed: Relaxed, index: np.ndarray, room: int) -> Iterator[tuple[Relaxed, np.ndarray, np.ndarray]]:
    """(bounds of a part of the network, elements there, the same elements of the network's output) for each tile.

    relaxed: of the output's cone; index: flat elements of the output, [k]; room: floats per value that the walk of
    both signs of a tile's elements may take. One piece, the whole network, where tiles save little.
    """
    network = relaxed.network
    shape = network.shapes[network.output]
    side = _side(network, shape, len(index), room)
    if side is None:
        yield relaxed, index, index
        return
    places = np.unravel_index(index, shape)
    tile = np.ravel_multi_index(tuple(p // side for p in places[2:]), tuple(-(-n // side) for n in shape[2:]))
    order = np.argsort(tile, kind="stable")
    for chosen in np.split(order, np.flatnonzero(np.diff(tile[order])) + 1):
        here = tuple(part[chosen] for part in places)
        window = _around(here, shape)
        starts = tuple(part.start for part in window)
        cropped = crop(network, window)
        inside = tuple(part - start for part, start in zip(here, starts, strict=True))
        yield _part(relaxed, cropped), np.ravel_multi_index(inside, cropped.network.outputs[0].shape), index[chosen]


def _side(network: Network, shape: tuple[int, ...], count: int, room: int) -> int | None:
    """The side of the largest tiles that fit; None where the whole network is as good."""
    if len(shape) < 3:
        return None
    density = count / np.prod(shape)
    size = sum(int(np.prod(s)) for s in network.shapes.values())
    best, side = None, 1
    while side < max(shape[2:]):
        middle = tuple(slice(n // 2 - min(side, n) // 2, n // 2 - min(side, n) // 2 + min(side, n)) for n in shape[2:])
        cropped = crop(network, (slice(0, shape[0]), slice(0, shape[1]), *middle))
        rows = 2 * density * shape[0] * shape[1] * side ** (len(shape) - 2)
        if cropped.size > WORTH * size or (best is not None and rows * cropped.widest > room):
            break
        best, side = side, 2 * side
    return best


def _around(places: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> Window:
    """The smallest window with these places that has all images and channels."""
    space = (slice(int(part.min()), int(part.max()) + 1) for part in places[2:])
    return slice(0, shape[0]), slice(0, shape[1]), *space


def _part(relaxed: Relaxed, cropped: Cropped) -> Relaxed:
    """The same bounds in the cropped network."""

    def cut(name: str, array: Array) -> Array:
        inside: tuple[Any, ...] = (..., *cropped.windows[name][1])
        return array[inside]

    box = Interval(*(side[:, cropped.inputs] for side in relaxed.box))
    part = Relaxed(cropped.network, box, ball=None if relaxed.ball is None else relaxed.ball.part(cropped.inputs))
    for node in cropped.network.nodes:
        original = cropped.windows[node.name][0]
        if original in relaxed.noise:
            part.noise[node.name] = cut(node.name, relaxed.noise[original])
    for node in cropped.network.nonlinear:
        for name in node.inputs:
            known = relaxed.intervals[cropped.windows[name][0]]
            part.intervals[name] = Interval(*(cut(name, side) for side in known))
        part.relax(node, node.nonlinear_op.relax(*(part.intervals[name] for name in node.inputs)))
    return part
