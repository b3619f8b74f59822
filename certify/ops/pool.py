"""Pooling: averages are linear; a maximum becomes Relu through max(a, b) = b + relu(a - b), axis by axis.

The rewrite is exact and lets search branch on it like on any other Relu.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.ops.conv import Conv, spatial_geometry
from certify.ops.extremes import largest
from certify.ops.reduce import SumOver
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.scale import ScaleShift
from certify.ops.select import take


@dataclass(frozen=True)
class Window:
    """A pooling window along one axis: output o covers o * stride - before + k * dilation for k in range(size)."""

    size: int
    stride: int
    before: int
    after: int
    dilation: int
    length: int

    @property
    def n_outputs(self) -> int:
        """Number of window positions."""
        return (self.length + self.before + self.after - self.dilation * (self.size - 1) - 1) // self.stride + 1

    def places(self) -> np.ndarray:
        """Input places, [size, n_outputs]; outside of the input where < 0 or >= length."""
        starts = np.arange(self.n_outputs) * self.stride - self.before
        return starts[None, :] + self.dilation * np.arange(self.size)[:, None]


def _windows(node: NodeSpec, x: Value) -> list[Window]:
    """The window along each spatial axis; `after` is enlarged for ceil_mode, less windows that begin in the padding."""
    kernel = [int(k) for k in node.attributes["kernel_shape"]]
    strides, dilations, before, after = spatial_geometry(node, kernel, x.shape[2:])
    windows = []
    for k, s, d, b, a, n in zip(kernel, strides, dilations, before, after, x.shape[2:], strict=True):
        window = Window(k, s, b, a, d, n)
        if node.attributes.get("ceil_mode", 0):
            missing = -(n + b + a - d * (k - 1) - 1) % s
            larger = Window(k, s, b, a + missing, d, n)
            if missing and larger.places()[0, -1] < n:
                window = larger
        windows.append(window)
    return windows


@register(
    "MaxPool",
    handled="exactly, as Relu: max(a, b) = b + relu(a - b)",
    examples=lambda: [
        Example([(1, 2, 5, 6)], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        Example([(1, 1, 5, 6)], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}),
        Example([(1, 1, 7)], {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "pads": [1, 1]}),
        Example([(1, 1, 7)], {"kernel_shape": [2], "dilations": [2], "pads": [1, 1]}),
        Example([(1, 1, 5, 5)], {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
    ],
)
def max_pool(node: NodeSpec, build: Builder) -> Value:
    """The maximum along one spatial axis after the other."""
    x = node.variable()
    if node.n_outputs > 1:
        raise node.unsupported("the indices output of MaxPool is not supported")
    for axis, window in enumerate(_windows(node, x), start=2):
        places = window.places()
        inside = (places >= 0) & (places < window.length)
        if not inside.any(axis=0).all():
            raise node.unsupported("a pooling window lies wholly in the padding")
        # Padding never wins: its place is taken by the first element of the window that lies inside.
        first = places[inside.argmax(axis=0), np.arange(places.shape[1])]
        candidates = [take(build, x, axis, row) for row in np.where(inside, places, first)]
        x = largest(build, candidates)
    return x


@register(
    "AveragePool",
    handled="linear",
    examples=lambda: [
        Example([(1, 2, 5, 6)], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        Example([(1, 2, 5, 6)], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}),
        Example([(1, 2, 5, 6)], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1}),
        Example([(1, 1, 7)], {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "pads": [1, 1]}),
        Example([(1, 1, 8)], {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "count_include_pad": 1}),
    ],
)
def average_pool(node: NodeSpec, build: Builder) -> Value:
    """Sums over windows as a depthwise convolution, divided by how many elements each window counts."""
    x = node.variable()
    windows = _windows(node, x)
    channels = x.shape[1]
    sizes = tuple(w.size for w in windows)
    counts = np.ones((1,) * len(windows))
    after = spatial_geometry(node, sizes, x.shape[2:])[3]
    for axis, w in enumerate(windows):
        places = w.places()
        # Padding may count; what ceil_mode adds beyond it never does.
        first, last = (
            (-w.before, w.length + after[axis]) if node.attributes.get("count_include_pad", 0) else (0, w.length)
        )
        counted = ((places >= first) & (places < last)).sum(axis=0)
        counts = counts * counted.reshape([-1 if i == axis else 1 for i in range(len(windows))])
    conv = Conv(
        (x.shape,),
        (*x.shape[:2], *(w.n_outputs for w in windows)),
        np.ones((channels, 1, *sizes)),
        None,
        tuple(w.stride for w in windows),
        tuple(w.before for w in windows),
        tuple(w.after for w in windows),
        tuple(w.dilation for w in windows),
        channels,
    )
    y = build.emit(conv, x)
    return build.emit(ScaleShift((y.shape,), y.shape, 1.0 / counts), y)


@register("GlobalAveragePool", handled="linear", examples=lambda: [Example([(1, 2, 3, 4)]), Example([(2, 2, 5)])])
def global_average_pool(node: NodeSpec, build: Builder) -> Value:
    """The mean over all spatial axes."""
    x = node.variable()
    kept = (*x.shape[:2], *(1 for _ in x.shape[2:]))
    total = build.emit(SumOver((x.shape,), kept, tuple(range(2 - len(x.shape), 0))), x)
    return build.emit(ScaleShift.scalar(kept, 1.0 / float(np.prod(x.shape[2:]))), total)
