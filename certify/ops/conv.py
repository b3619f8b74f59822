"""Convolution in one or two (or more) spatial dimensions, without ever forming its matrix.

Windows are copied position by position of the kernel (im2col), so that the work is one matrix product per image, or
torch's own convolutions are used where they are faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from certify.arrays import Array, namespace, to_numpy
from certify.ops.kinds import Linear, Shape, Window, shape_of
from certify.ops.layout import reshape
from certify.ops.registry import Builder, Example, NodeSpec, Value, register

# Floats of unfolded images that are worked on at once in numpy: on small networks 2 to 4 times as fast as all at once.
CACHED_FLOATS = 2**18

Ints = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Conv(Linear):
    """Cross-correlation: x [n, c_in, *space], weight [c_out, c_in / groups, *kernel], shift [c_out] or None."""

    weight: Array
    shift: Array | None
    strides: Ints
    before: Ints
    after: Ints
    dilations: Ints
    groups: int = 1

    @property
    def bias(self) -> Array | None:
        """The shift of each channel."""
        return None if self.shift is None else self.shift.reshape((-1,) + (1,) * len(self.strides))

    @property
    def terms(self) -> int:
        """Weights that meet in one output, or one input."""
        return max(int(np.prod(self.weight.shape[1:])), int(np.prod(self.weight.shape[2:])) * self.weight.shape[0])

    @property
    def summands(self) -> int:
        """Weights that meet in one output."""
        return int(np.prod(self.weight.shape[1:])) + 1

    def linear(self, *xs: Array) -> Array:
        """Convolve."""
        x = xs[0]
        leading = tuple(x.shape[: x.ndim - len(self.in_shapes[0])])
        images = x.reshape(-1, *self.in_shapes[0][1:])
        y = self._by_columns(self._numpy_linear, images) if _better_by_columns(x) else self._torch_linear(images)
        return y.reshape(leading + self.out_shape)

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Transposed convolution to exactly the input's size."""
        leading = tuple(y.shape[: y.ndim - len(self.out_shape)])
        images = y.reshape(-1, *self.out_shape[1:])
        x = self._by_columns(self._numpy_adjoint, images) if _better_by_columns(y) else self._torch_adjoint(images)
        return (x.reshape(leading + self.in_shapes[0]),)

    def absolute(self) -> Conv:
        """|weight|, no shift."""
        return replace(self, weight=abs(self.weight), shift=None)

    def crop(self, window: Window) -> tuple[Conv, tuple[Window, ...]] | None:
        """What the kernel touches; padding stays where the window meets the border. All images, all channels."""
        if shape_of(window[:2]) != self.out_shape[:2]:
            return None
        inside, before, after = [], [], []
        geometry = zip(
            window[2:], self.in_shapes[0][2:], self.weight.shape[2:], self.strides, self.before, self.dilations,
            strict=True,
        )  # fmt: skip
        for part, n, k, s, b, d in geometry:
            start, stop = part.start * s - b, (part.stop - 1) * s - b + d * (k - 1) + 1
            if start >= n or stop <= 0:
                return None
            inside.append(slice(max(0, start), min(n, stop)))
            before.append(max(0, -start))
            after.append(max(0, stop - n))
        needed = (slice(0, self.in_shapes[0][0]), slice(0, self.in_shapes[0][1]), *inside)
        op = replace(
            self, in_shapes=(shape_of(needed),), out_shape=shape_of(window), before=tuple(before), after=tuple(after)
        )
        return op, (needed,)

    @property
    def _padded(self) -> Shape:
        space = self.in_shapes[0][2:]
        return tuple(b + n + a for b, n, a in zip(self.before, space, self.after, strict=True))

    @property
    def _inside(self) -> tuple[Any, ...]:
        space = self.in_shapes[0][2:]
        return (..., *(slice(b, b + n) for b, n in zip(self.before, space, strict=True)))

    def _positions(self) -> list[tuple[Any, ...]]:
        """For each position of the kernel, in row-major order, the places it touches in the padded input."""
        out_space = self.out_shape[2:]
        return [
            (
                ...,
                *(
                    slice(k * d, k * d + (n - 1) * s + 1, s)
                    for k, d, n, s in zip(position, self.dilations, out_space, self.strides, strict=True)
                ),
            )
            for position in product(*(range(k) for k in self.weight.shape[2:]))
        ]

    @property
    def _grouped_weight(self) -> np.ndarray:
        """[groups, c_out / groups, c_in / groups * kernel positions]."""
        return to_numpy(self.weight).reshape(self.groups, self.weight.shape[0] // self.groups, -1)

    def _by_columns(self, function: Callable[[np.ndarray], np.ndarray], images: Array) -> Array:
        """The function of so many images at a time that the columns in between stay in the cache."""
        columns = int(np.prod(self.weight.shape[1:]) * self.groups * np.prod(self.out_shape[2:]))
        step = max(1, CACHED_FLOATS // columns)
        plain = to_numpy(images)
        parts = [function(plain[i : i + step]) for i in range(0, max(1, len(plain)), step)]
        found = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return found if isinstance(images, np.ndarray) else namespace(images).from_numpy(np.ascontiguousarray(found))

    def _numpy_linear(self, images: np.ndarray) -> np.ndarray:
        count, channels = images.shape[:2]
        if any(self.before) or any(self.after):
            padded = np.zeros((count, channels, *self._padded), dtype=images.dtype)
            padded[self._inside] = images
        else:
            padded = images
        positions, out_space = self._positions(), self.out_shape[2:]
        columns = np.empty((count, channels, len(positions), *out_space), dtype=images.dtype)
        for k, place in enumerate(positions):
            columns[:, :, k] = padded[place]
        columns = columns.reshape(count, self.groups, -1, int(np.prod(out_space)))
        return (self._grouped_weight @ columns).reshape(count, *self.out_shape[1:])

    def _numpy_adjoint(self, images: np.ndarray) -> np.ndarray:
        count, channels = len(images), self.in_shapes[0][1]
        positions, out_space = self._positions(), self.out_shape[2:]
        grouped = images.reshape(count, self.groups, -1, int(np.prod(out_space)))
        columns = self._grouped_weight.swapaxes(-1, -2) @ grouped
        columns = columns.reshape(count, channels, len(positions), *out_space)
        padded = np.zeros((count, channels, *self._padded), dtype=images.dtype)
        for k, place in enumerate(positions):
            padded[place] += columns[:, :, k]
        return padded[self._inside]

    def _torch_linear(self, images: Array) -> Array:
        from torch.nn import functional

        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(self.strides) - 1]
        padding = self.before
        if self.before != self.after:
            pads = [p for pair in zip(self.before[::-1], self.after[::-1], strict=True) for p in pair]
            images, padding = functional.pad(images, pads), (0,) * len(self.strides)
        return convolve(images, self.weight, None, self.strides, padding, self.dilations, self.groups)

    def _torch_adjoint(self, images: Array) -> Array:
        from torch.nn import functional

        convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
        reach = zip(self.out_shape[2:], self.strides, self.dilations, self.weight.shape[2:], self._padded, strict=True)
        untouched = tuple(p - ((n - 1) * s + d * (k - 1) + 1) for n, s, d, k, p in reach)
        full = convolve[len(self.strides) - 1](
            images, self.weight, None, self.strides, 0, untouched, self.groups, self.dilations
        )
        return full[self._inside]


def _better_by_columns(x: Array) -> bool:
    """Whether matrix products of unfolded images are the way: torch has fast kernels for float32 and on GPUs only.

    Measured on one core for 3x3 kernels, thousand million multiplications a second: torch 2 to 9 in float64 and 40 in
    float32, columns 5 to 12 and 10.
    """
    return isinstance(x, np.ndarray) or (x.device.type == "cpu" and "float64" in str(x.dtype))


def spatial_geometry(node: NodeSpec, kernel: Sequence[int], space: Shape) -> tuple[Ints, Ints, Ints, Ints]:
    """(strides, dilations, pads before, pads after) of a convolution or pooling node."""
    rank = len(kernel)
    strides = tuple(int(s) for s in node.attributes.get("strides", [1] * rank))
    dilations = tuple(int(d) for d in node.attributes.get("dilations", [1] * rank))
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = [int(p) for p in node.attributes.get("pads", [0] * 2 * rank)]
        return strides, dilations, tuple(pads[:rank]), tuple(pads[rank:])
    if mode == "VALID":
        return strides, dilations, (0,) * rank, (0,) * rank
    totals = [
        max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        for n, s, d, k in zip(space, strides, dilations, kernel, strict=True)
    ]
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (strides, dilations, small, large) if mode == "SAME_UPPER" else (strides, dilations, large, small)


def _kernel(*shape: int) -> np.ndarray:
    return np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


@register(
    "Conv",
    handled="linear",
    examples=lambda: [
        Example([(1, 2, 5, 6), _kernel(3, 2, 3, 2)]),
        Example([(1, 2, 5, 6), _kernel(3, 2, 3, 3), _kernel(3)], {"strides": [2, 2], "pads": [1, 1, 0, 2]}),
        Example([(1, 4, 5, 6), _kernel(4, 2, 2, 2)], {"group": 2, "dilations": [2, 1]}),
        Example([(2, 2, 7), _kernel(3, 2, 3), _kernel(3)], {"strides": [3], "pads": [1, 1]}),
        Example([(1, 1, 6, 6), _kernel(1, 1, 3, 3)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
        Example([(1, 1, 8, 8), _kernel(2, 1, 2, 2)], {"strides": [3, 3]}),
        Example([(1, 1, 3, 4, 3), _kernel(2, 1, 2, 2, 2)]),
    ],
)
def conv(node: NodeSpec, build: Builder) -> Value:
    """Conv with constant weights."""
    x = node.variable()
    weight = np.asarray(node.constant(1), dtype=np.float64)
    shift = node.constant(2)
    kernel = weight.shape[2:]
    strides, dilations, before, after = spatial_geometry(node, kernel, x.shape[2:])
    space = tuple(
        (n + b + a - d * (k - 1) - 1) // s + 1
        for n, b, a, d, k, s in zip(x.shape[2:], before, after, dilations, kernel, strides, strict=True)
    )
    groups = int(node.attributes.get("group", 1))
    if x.shape[1] != weight.shape[1] * groups:
        raise node.unsupported(f"{x.shape[1]} input channels do not fit weights {weight.shape} in {groups} groups")
    shift = None if shift is None else np.asarray(shift, dtype=np.float64)
    if all(k == n for k, n in zip(kernel, x.shape[2:], strict=True)) and groups == 1 and not any(before + after):
        return _as_dense(build, x, weight, shift)
    op = Conv(
        (x.shape,), (x.shape[0], weight.shape[0], *space), weight, shift, strides, before, after, dilations, groups
    )
    return build.emit(op, x)


def _as_dense(build: Builder, x: Value, weight: np.ndarray, shift: np.ndarray | None) -> Value:
    """A kernel as large as the image sees all of it at once."""
    from certify.ops.dense import dense

    flat = reshape(build, x, (x.shape[0], int(np.prod(x.shape[1:]))))
    y = dense(build, flat, weight.reshape(len(weight), -1), shift)
    return reshape(build, y, (x.shape[0], len(weight), *(1 for _ in x.shape[2:])))
