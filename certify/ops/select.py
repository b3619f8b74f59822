"""Ops that pick, repeat, pad or join elements: Slice, Split, Gather, Pad, Concat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from certify.arrays import Array, namespace
from certify.ops.kinds import Linear, Shape, Window, shape_of
from certify.ops.layout import reshape
from certify.ops.registry import ANY, Builder, Example, NodeSpec, Operand, Value, register


def _zeros(like: Array, shape: Shape) -> Array:
    xp = namespace(like)
    return xp.zeros(shape, dtype=like.dtype) if xp is np else xp.zeros(shape, dtype=like.dtype, device=like.device)


def _along(axis_from_end: int, item: Any) -> tuple[Any, ...]:
    """The subscript that applies `item` to the axis counted from the end (-1 is the last)."""
    return (..., item, *(slice(None),) * (-axis_from_end - 1))


@dataclass(frozen=True, eq=False)
class Take(Linear):
    """y = x at `index` (integers >= 0, [n]) along `axis` (counted from the end, < 0); elements may repeat."""

    axis: int
    index: np.ndarray

    @cached_property
    def _pieces(self) -> list[tuple[Any, Any]]:
        """Pairs (place in x, place in y) without repetition within a pair; slices where the places are regular."""
        order = np.zeros(len(self.index), dtype=int)
        seen: dict[int, int] = {}
        for position, i in enumerate(self.index.tolist()):
            order[position] = seen[i] = seen.get(i, -1) + 1
        pieces = []
        for repetition in range(int(order.max(initial=0)) + 1):
            places = np.flatnonzero(order == repetition)
            pieces.append((_regular(self.index[places]), _regular(places)))
        return pieces

    @property
    def terms(self) -> int:
        """How often one element is taken, as the adjoint adds that up; 0 if never more than once."""
        return len(self._pieces) if len(self._pieces) > 1 else 0

    @property
    def selects(self) -> bool:
        """All of it."""
        return True

    def linear(self, *xs: Array) -> Array:
        """Gather."""
        if len(self._pieces) == 1:
            return xs[0][_along(self.axis, self._pieces[0][0])]
        return xs[0][_along(self.axis, self.index)]

    def crop(self, window: Window) -> tuple[Take, tuple[Window, ...]]:
        """What the window's indices span."""
        index = self.index[window[self.axis]]
        span = slice(int(index.min()), int(index.max()) + 1)
        at = len(window) + self.axis
        needed = (*window[:at], span, *window[at + 1 :])
        return Take((shape_of(needed),), shape_of(window), self.axis, index - span.start), (needed,)

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Scatter and add."""
        leading = tuple(y.shape[: y.ndim - len(self.out_shape)])
        x = _zeros(y, leading + self.in_shapes[0])
        for source, target in self._pieces:
            x[_along(self.axis, source)] += y[_along(self.axis, target)]
        return (x,)


def _regular(index: np.ndarray) -> slice | np.ndarray:
    """The index as a slice with a positive step if it is one."""
    if len(index) == 1:
        return slice(int(index[0]), int(index[0]) + 1)
    steps = np.diff(index)
    if len(index) and steps.min() == steps.max() > 0:
        return slice(int(index[0]), int(index[-1]) + 1, int(steps[0]))
    return index


@dataclass(frozen=True, eq=False)
class Part(Linear):
    """A window of x."""

    window: Window

    @property
    def selects(self) -> bool:
        """All of it."""
        return True

    def linear(self, *xs: Array) -> Array:
        """Crop."""
        inside: tuple[Any, ...] = (..., *self.window)
        return xs[0][inside]

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Embed in zeros."""
        x = _zeros(y, tuple(y.shape[: y.ndim - len(self.out_shape)]) + self.in_shapes[0])
        inside: tuple[Any, ...] = (..., *self.window)
        x[inside] = y
        return (x,)


@dataclass(frozen=True, eq=False)
class ZeroPad(Linear):
    """x surrounded by zeros, before[i] of them in front of axis i, the rest behind; shift holds other margins."""

    before: tuple[int, ...]
    shift: np.ndarray | None = None

    @property
    def bias(self) -> Array | None:
        """The margin's values, zero inside."""
        return self.shift

    @property
    def _inside(self) -> tuple[Any, ...]:
        return (..., *(slice(b, b + n) for b, n in zip(self.before, self.in_shapes[0], strict=True)))

    def linear(self, *xs: Array) -> Array:
        """Embed in zeros."""
        x = xs[0]
        y = _zeros(x, tuple(x.shape[: x.ndim - len(self.in_shapes[0])]) + self.out_shape)
        y[self._inside] = x
        return y

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Crop."""
        return (y[self._inside],)

    def absolute(self) -> ZeroPad:
        """Without the margin's values."""
        return ZeroPad(self.in_shapes, self.out_shape, self.before)


@dataclass(frozen=True, eq=False)
class Concat(Linear):
    """The inputs side by side along `axis` (< 0), input i starting at starts[i]; constants lie in `shift` between."""

    axis: int
    starts: tuple[int, ...]
    shift: np.ndarray | None = None

    @property
    def bias(self) -> Array | None:
        """The constant pieces."""
        return self.shift

    def _places(self) -> list[tuple[Any, ...]]:
        lengths = (shape[self.axis] for shape in self.in_shapes)
        return [_along(self.axis, slice(s, s + n)) for s, n in zip(self.starts, lengths, strict=True)]

    def linear(self, *xs: Array) -> Array:
        """Join."""
        leading = np.broadcast_shapes(*(x.shape[: x.ndim - len(s)] for x, s in zip(xs, self.in_shapes, strict=True)))
        y = _zeros(xs[0], leading + self.out_shape)
        for place, x in zip(self._places(), xs, strict=True):
            y[place] = x
        return y

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Cut apart."""
        return tuple(y[place] for place in self._places())

    def absolute(self) -> Concat:
        """Without the constants."""
        return Concat(self.in_shapes, self.out_shape, self.axis, self.starts)


def take(build: Builder, x: Value, axis: int, index: np.ndarray) -> Value:
    """X at `index` along `axis` (from the front); nothing is emitted for the whole axis in order."""
    index = np.asarray(index, dtype=np.int64)
    if np.array_equal(index, np.arange(x.shape[axis])):
        return x
    out_shape = (*x.shape[:axis], len(index), *x.shape[axis + 1 :])
    return build.emit(Take((x.shape,), out_shape, axis - len(x.shape), index), x)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@register(
    "Slice",
    takes=ANY,
    handled="no computation",
    examples=lambda: [
        Example([(4, 5), _ints(1), _ints(3), _ints(0)]),
        Example([(4, 5), _ints(-1, 0), _ints(-4, 9), _ints(0, 1), _ints(-1, 2)]),
        Example([(4, 5)], {"starts": [1, 2], "ends": [3, 2**31]}, opset=9),
        Example([(4, 5), _ints(-9, -9), _ints(-(2**31), 3), _ints(0, 1), _ints(-1, 2)]),
    ],
)
def slice_node(node: NodeSpec, build: Builder) -> Value:
    """Slice with starts, ends, axes and steps, clamped as ONNX says."""
    x = node.variable()
    starts, ends = (np.atleast_1d(node.setting(name, i)) for name, i in (("starts", 1), ("ends", 2)))
    axes = np.atleast_1d(node.setting("axes", 3, default=list(range(len(starts)))))
    steps = np.atleast_1d(node.setting("steps", 4, default=[1] * len(starts)))
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = node.normal_axis(int(axis), len(x.shape))
        x = take(build, x, axis, sliced(x.shape[axis], int(start), int(end), int(step)))
    return x


def sliced(length: int, start: int, end: int, step: int) -> np.ndarray:
    """The places of a slice. Unlike Python, ONNX clamps the start of one that goes backward to a place that exists."""
    first, last = (place + length if place < 0 else place for place in (start, end))
    if step > 0:
        return np.arange(max(first, 0), min(last, length), step)
    return np.arange(min(max(first, 0), length - 1), max(last, -1), step)


@register(
    "Split",
    takes=ANY,
    handled="no computation",
    examples=lambda: [
        Example([(2, 6), _ints(1, 5)], {"axis": 1}, n_outputs=2),
        Example([(2, 6)], {"axis": 1}, opset=11, n_outputs=3),
        Example([(5, 2)], {"split": [2, 3]}, opset=11, n_outputs=2),
        Example([(5, 2)], {"num_outputs": 2}, opset=18, n_outputs=2),
    ],
)
def split(node: NodeSpec, build: Builder) -> tuple[Value, ...]:
    """Split into given or (nearly) equal parts."""
    x = node.variable()
    axis = node.axis(len(x.shape), 0)
    sizes = node.setting("split", 1)
    if sizes is None:
        largest = -(-x.shape[axis] // node.n_outputs)
        sizes = [min(largest, x.shape[axis] - i * largest) for i in range(node.n_outputs)]
    ends = np.cumsum(np.atleast_1d(sizes))
    return tuple(
        take(build, x, axis, np.arange(end - size, end)) for size, end in zip(np.atleast_1d(sizes), ends, strict=True)
    )


@register(
    "Gather",
    takes=ANY,
    handled="no computation; by computed places a jump of each difference and products with them",
    examples=lambda: [
        Example([(3, 4), _ints(2, 0, 0)], {"axis": 1}),
        Example([(3, 4), np.array(-1)]),
        Example([(3, 4), np.array([[0, 1], [2, 2]])], {"axis": 0}),
        Example([(9, 2), (2, 2)], kind="int", gives="int"),
        Example([(2, 9, 2), (2,)], {"axis": 1}, kind="int", gives="int"),
    ],
)
def gather(node: NodeSpec, build: Builder) -> Value:
    """Gather, negative indices counted from the end."""
    x = node.variable()
    axis = node.axis(len(x.shape), 0)
    place = node.operand(1)
    if isinstance(place, Value):
        from certify.ops.one_hot import gather_computed

        return gather_computed(node, build, x, place, axis)
    index = np.asarray(node.constant(1))
    length = x.shape[axis]
    if index.size and not (-length <= index.min() and index.max() < length):
        raise node.unsupported(f"an index is out of range for axis {axis} of length {length}")
    y = take(build, x, axis, index.reshape(-1) % length)
    return reshape(build, y, (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@register(
    "Pad",
    handled="linear",
    examples=lambda: [
        Example([(2, 3), _ints(0, 1, 2, 0)]),
        Example([(2, 3), _ints(0, 1, 2, 0), np.float32(1.5)]),
        Example([(2, 3)], {"pads": [0, 1, 2, 0], "value": 0.5, "mode": "constant"}, opset=10),
        Example([(2, 4), _ints(1, 2, 1, 1)], {"mode": "edge"}),
        Example([(2, 4), _ints(1, 3, 1, 1)], {"mode": "reflect"}),
        Example([(2, 4), _ints(0, -1, 0, 1)]),
    ],
)
def pad(node: NodeSpec, build: Builder) -> Value:
    """Pad with a constant, the edge, or reflected elements; negative pads crop."""
    x = node.variable()
    rank = len(x.shape)
    pads = [int(n) for n in np.atleast_1d(node.setting("pads", 1))]
    axes = [node.normal_axis(int(a), rank) for a in np.atleast_1d(node.constant(3, default=np.arange(rank)))]
    front, back = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        front[axis], back[axis] = pads[i], pads[len(axes) + i]
    mode = node.attributes.get("mode", "constant")
    if mode != "constant":
        modes: dict[str, Any] = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}
        if mode not in modes:
            raise node.unsupported(f"unknown mode '{mode}'")
        for axis, width in enumerate(zip(front, back, strict=True)):
            x = take(build, x, axis, np.pad(np.arange(x.shape[axis]), width, mode=modes[mode]))
        return x
    for axis in range(rank):
        x = take(build, x, axis, np.arange(x.shape[axis])[max(0, -front[axis]) : x.shape[axis] - max(0, -back[axis])])
    front, back = [max(0, n) for n in front], [max(0, n) for n in back]
    if not any(front) and not any(back):
        return x
    value = float(np.asarray(node.setting("value", 2, default=0.0)).reshape(-1)[0])
    out_shape = tuple(f + n + b for f, n, b in zip(front, x.shape, back, strict=True))
    margin = (
        None if value == 0.0 else np.pad(np.zeros(x.shape), list(zip(front, back, strict=True)), constant_values=value)
    )
    return build.emit(ZeroPad((x.shape,), out_shape, tuple(front), margin), x)


@register("Concat", takes=ANY, handled="no computation",
          examples=lambda: [Example([(2, 3), (2, 1)], {"axis": 1}),
                            Example([np.ones((1, 3), np.float32), (2, 3), (1, 3)], {"axis": -2})])  # fmt: skip
def concat_node(node: NodeSpec, build: Builder) -> Value:
    """Concat of variable and constant parts."""
    rank = next(len(x.shape) for x in node.inputs if isinstance(x, Value))
    return concat(build, node.inputs, node.axis(rank, 0))


def concat(build: Builder, parts: tuple[Operand, ...], axis: int) -> Value:
    """Parts side by side along `axis` (from the front)."""
    variables = [part for part in parts if isinstance(part, Value)]
    if len(parts) == 1:
        return variables[0]
    lengths = [part.shape[axis] for part in parts if part is not None]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    shape = variables[0].shape
    out_shape = (*shape[:axis], int(starts[-1]), *shape[axis + 1 :])
    shift = np.zeros(out_shape) if len(variables) < len(parts) else None
    places = []
    for part, start in zip(parts, starts, strict=False):
        if isinstance(part, Value):
            places.append(int(start))
        elif part is not None and shift is not None:
            shift[(slice(None),) * axis + (slice(int(start), int(start) + part.shape[axis]),)] = part
    op = Concat(tuple(v.shape for v in variables), out_shape, axis - len(shape), tuple(places), shift)
    return build.emit(op, *variables)
