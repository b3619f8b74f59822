"""Sums and means over axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace
from certify.ops.kinds import Linear, Shape
from certify.ops.layout import reshape
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.scale import ScaleShift, expand_to


@dataclass(frozen=True, eq=False)
class SumOver(Linear):
    """The sum over `axes` (counted from the end, < 0), kept with length 1."""

    axes: tuple[int, ...]

    @property
    def terms(self) -> int:
        """Elements summed."""
        return int(np.prod(self.in_shapes[0])) // max(1, int(np.prod(self.out_shape)))

    @property
    def whole(self) -> bool:
        """Ones are."""
        return True

    def linear(self, *xs: Array) -> Array:
        """Sum."""
        return namespace(xs[0]).sum(xs[0], axis=self.axes, keepdims=True)

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Repeat."""
        return (expand_to(y, self.out_shape, self.in_shapes[0]),)


def axes_of(node: NodeSpec, rank: int) -> list[int] | None:
    """The axes that a node reduces, ascending; None where it says that none means nothing to do."""
    axes = node.setting("axes", 1)
    if axes is None or np.size(axes) == 0:
        if node.attributes.get("noop_with_empty_axes", 0):
            return None
        axes = range(rank)
    return sorted({node.normal_axis(int(a), rank) for a in np.atleast_1d(axes)})


def reduce_axes(node: NodeSpec, build: Builder, x: Value, mean: bool) -> Value:
    """The sum or mean of x over the node's axes, dropped unless it keeps them."""
    rank, over = len(x.shape), axes_of(node, len(x.shape))
    if over is None:
        return x
    kept: Shape = tuple(1 if i in over else n for i, n in enumerate(x.shape))
    total = build.emit(SumOver((x.shape,), kept, tuple(a - rank for a in over)), x)
    if mean:
        count = int(np.prod([x.shape[a] for a in over], dtype=np.int64))
        total = build.emit(ScaleShift.scalar(kept, 1.0 / count), total)
    if node.attributes.get("keepdims", 1):
        return total
    return reshape(build, total, tuple(n for i, n in enumerate(x.shape) if i not in over))


@register("ReduceSum", takes="float int", handled="linear",
          examples=lambda: [Example([(2, 3, 4), np.array([1])]), Example([(2, 3)]),
                            Example([(2, 3)], {"axes": [-1], "keepdims": 0}, opset=11)])  # fmt: skip
def reduce_sum(node: NodeSpec, build: Builder) -> Value:
    """ReduceSum."""
    return reduce_axes(node, build, node.variable(), mean=False)


@register("ReduceMean", handled="linear",
          examples=lambda: [Example([(2, 3, 4)], {"axes": [1, 2]}, opset=13), Example([(2, 3)], {"keepdims": 0}),
                            Example([(2, 3, 4), np.array([-1])], opset=18)])  # fmt: skip
def reduce_mean(node: NodeSpec, build: Builder) -> Value:
    """ReduceMean."""
    return reduce_axes(node, build, node.variable(), mean=True)
