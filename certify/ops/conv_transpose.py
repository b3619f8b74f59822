"""Transposed convolution: the adjoint of a convolution, so it is that convolution used the other way round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from certify.arrays import Array
from certify.ops.conv import Conv
from certify.ops.kinds import Linear, Shape
from certify.ops.registry import Builder, Example, NodeSpec, Value, register

Ints = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ConvTranspose(Linear):
    """x [n, c_in, *space], weight [c_in, c_out / groups, *kernel], shift [c_out] or None; y is cut by before and after.

    Its adjoint is the convolution with the same weight, strides and padding.
    """

    weight: Array
    shift: Array | None
    strides: Ints
    before: Ints
    after: Ints
    dilations: Ints
    groups: int = 1

    @cached_property
    def _conv(self) -> Conv:
        """The convolution that this is the adjoint of."""
        geometry = (self.strides, self.before, self.after, self.dilations, self.groups)
        return Conv((self.out_shape,), self.in_shapes[0], self.weight, None, *geometry)

    @property
    def bias(self) -> Array | None:
        """The shift of each channel."""
        return None if self.shift is None else self.shift.reshape((-1,) + (1,) * len(self.strides))

    @property
    def terms(self) -> int:
        """As in the convolution."""
        return self._conv.terms

    def linear(self, *xs: Array) -> Array:
        """The convolution's adjoint."""
        return self._conv.adjoint(xs[0])[0]

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """The convolution."""
        return (self._conv.linear(y),)

    def absolute(self) -> ConvTranspose:
        """|weight|, no shift."""
        return replace(self, weight=abs(self.weight), shift=None)


def _pads(node: NodeSpec, full: list[int], space: Shape, strides: Ints) -> tuple[Ints, Ints]:
    """(before, after): what is cut off the full output's size along each axis, by pads, output_shape or auto_pad."""
    rank = len(space)
    mode = node.attributes.get("auto_pad", "NOTSET")
    wanted = node.attributes.get("output_shape")
    if wanted is None and mode in ("NOTSET", "", "VALID"):
        pads = [int(p) for p in node.attributes.get("pads", [0] * 2 * rank)] if mode != "VALID" else [0] * 2 * rank
        return tuple(pads[:rank]), tuple(pads[rank:])
    if wanted is None:
        wanted = [n * s for n, s in zip(space, strides, strict=True)]
    totals = [n - int(m) for n, m in zip(full, list(wanted)[-rank:], strict=True)]
    if min(totals) < 0:
        raise node.unsupported(f"an output of {tuple(wanted)} is larger than what the kernel reaches, {tuple(full)}")
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def _kernel(*shape: int) -> np.ndarray:
    return np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


@register(
    "ConvTranspose",
    handled="linear",
    examples=lambda: [
        Example([(1, 2, 3, 4), _kernel(2, 3, 3, 2)]),
        Example([(1, 2, 3, 4), _kernel(2, 3, 3, 3), _kernel(3)], {"strides": [2, 2], "pads": [1, 1, 0, 2]}),
        Example([(1, 4, 3, 3), _kernel(4, 2, 2, 3), _kernel(4)], {"group": 2, "dilations": [2, 1]}),
        Example([(2, 1, 4), _kernel(1, 2, 3)], {"strides": [3], "output_padding": [2]}),
        Example([(1, 1, 3, 3), _kernel(1, 1, 3, 3)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
        Example([(1, 1, 3, 3), _kernel(1, 1, 4, 3)], {"auto_pad": "SAME_UPPER", "strides": [1, 2]}),
        Example([(1, 1, 3, 3), _kernel(1, 1, 3, 3)], {"output_shape": [6, 6], "strides": [2, 2]}),
        Example([(1, 1, 2, 2, 2), _kernel(1, 1, 2, 2, 2)]),
    ],
)
def conv_transpose(node: NodeSpec, build: Builder) -> Value:
    """ConvTranspose with constant weights [c_in, c_out / groups, *kernel]."""
    x = node.variable()
    weight = np.asarray(node.constant(1), dtype=np.float64)
    shift = node.constant(2)
    kernel, space = weight.shape[2:], x.shape[2:]
    strides, dilations, extra = (
        tuple(int(n) for n in node.attributes.get(name, [default] * len(kernel)))
        for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    groups = int(node.attributes.get("group", 1))
    if x.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise node.unsupported(f"{x.shape[1]} input channels do not fit weights {weight.shape} in {groups} groups")
    if any(e >= s for e, s in zip(extra, strides, strict=True)):
        raise node.unsupported(f"output_padding {extra} is not smaller than the strides {strides}")
    full = [
        s * (n - 1) + e + d * (k - 1) + 1
        for n, s, e, d, k in zip(space, strides, extra, dilations, kernel, strict=True)
    ]
    before, after = _pads(node, full, space, strides)
    larger = tuple(n - b - a for n, b, a in zip(full, before, after, strict=True))
    out_shape = (x.shape[0], weight.shape[1] * groups, *larger)
    shift = None if shift is None else np.asarray(shift, dtype=np.float64)
    op = ConvTranspose((x.shape,), out_shape, weight, shift, strides, before, after, dilations, groups)
    return build.emit(op, x)
