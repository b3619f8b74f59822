"""Ops that move elements to places known beforehand, all by one selection from the flat tensor.

The node's own numpy equivalent is run on element numbers; what comes out tells which element stands where.
"""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import add, scale
from certify.ops.layout import permute, reshape
from certify.ops.registry import ANY, Builder, Example, NodeSpec, Operand, Value, register
from certify.ops.scale import ScaleShift
from certify.ops.select import concat, take


def select(build: Builder, x: Value, numbers: np.ndarray) -> Value:
    """The tensor of the elements of x with these (flat, row-major) numbers, which may repeat."""
    numbers = np.asarray(numbers, dtype=np.int64)
    flat = reshape(build, x, (int(np.prod(x.shape, dtype=np.int64)),))
    return reshape(build, take(build, flat, 0, numbers.reshape(-1)), numbers.shape)


def numbered(x: Value) -> np.ndarray:
    """Element numbers in the shape of x."""
    return np.arange(int(np.prod(x.shape, dtype=np.int64))).reshape(x.shape)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@register("Expand", takes=ANY, handled="no computation",
          examples=lambda: [Example([(2, 1), _ints(2, 3)]), Example([(3,), _ints(2, 1)]),
                            Example([(2, 3), _ints(1, 1, 1)])])  # fmt: skip
def expand(node: NodeSpec, build: Builder) -> Value:
    """Broadcast to the common shape of x and the given one."""
    x = node.variable()
    shape = np.broadcast_shapes(x.shape, tuple(int(n) for n in node.constant(1)))
    return x if shape == x.shape else build.emit(ScaleShift.broadcast(x.shape, shape), x)


@register("Tile", takes=ANY, handled="no computation", examples=lambda: [Example([(2, 3), _ints(2, 1)])])
def tile(node: NodeSpec, build: Builder) -> Value:
    """Repeat along each axis."""
    x = node.variable()
    for axis, times in enumerate(np.atleast_1d(node.constant(1)).tolist()):
        x = take(build, x, axis, np.tile(np.arange(x.shape[axis]), int(times)))
    return x


@register("Trilu", handled="linear",
          examples=lambda: [Example([(2, 3, 4)]), Example([(3, 3), np.array(1)], {"upper": 0}),
                            Example([(3, 3), np.array(-1)])])  # fmt: skip
def trilu(node: NodeSpec, build: Builder) -> Value:
    """Zeros on one side of a diagonal."""
    x = node.variable()
    k = int(np.asarray(node.constant(1, default=0)).reshape(-1)[0])
    mask = np.ones(x.shape[-2:])
    return scale(build, x, np.triu(mask, k) if node.attributes.get("upper", 1) else np.tril(mask, k))


@register("CumSum", takes="float int", handled="linear",
          examples=lambda: [Example([(2, 4), np.array(1)]),
                            Example([(3, 2), np.array(0)], {"exclusive": 1, "reverse": 1})])  # fmt: skip
def cumulative_sum(node: NodeSpec, build: Builder) -> Value:
    """Sums of all elements before, by a triangular matrix."""
    from certify.ops.dense import dense

    x = node.variable()
    axis = node.normal_axis(int(np.asarray(node.constant(1)).reshape(-1)[0]), len(x.shape))
    matrix = np.tril(np.ones((x.shape[axis],) * 2), -1 if node.attributes.get("exclusive", 0) else 0)
    last = (*(i for i in range(len(x.shape)) if i != axis), axis)
    y = dense(build, permute(build, x, last), matrix.T if node.attributes.get("reverse", 0) else matrix)
    return permute(build, y, tuple(int(i) for i in np.argsort(last)))


@register("DepthToSpace", handled="no computation",
          examples=lambda: [Example([(1, 8, 2, 3)], {"blocksize": 2}),
                            Example([(2, 4, 1, 2)], {"blocksize": 2, "mode": "CRD"})])  # fmt: skip
def depth_to_space(node: NodeSpec, build: Builder) -> Value:
    """Blocks of channels become blocks of pixels."""
    x = node.variable()
    n, c, h, w = x.shape
    b = int(node.attributes["blocksize"])
    if node.attributes.get("mode", "DCR") == "CRD":
        y = permute(build, reshape(build, x, (n, c // b**2, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    else:
        y = permute(build, reshape(build, x, (n, b, b, c // b**2, h, w)), (0, 3, 4, 1, 5, 2))
    return reshape(build, y, (n, c // b**2, h * b, w * b))


@register(
    "SpaceToDepth", handled="no computation", examples=lambda: [Example([(1, 2, 4, 6)], {"blocksize": 2}, opset=13)]
)
def space_to_depth(node: NodeSpec, build: Builder) -> Value:
    """Blocks of pixels become channels."""
    x = node.variable()
    n, c, h, w = x.shape
    b = int(node.attributes["blocksize"])
    y = permute(build, reshape(build, x, (n, c, h // b, b, w // b, b)), (0, 3, 5, 1, 2, 4))
    return reshape(build, y, (n, c * b**2, h // b, w // b))


def _index(node: NodeSpec, index: np.ndarray, length: int) -> np.ndarray:
    """Indices counted from the front, checked."""
    if index.size and not (-length <= index.min() and index.max() < length):
        raise node.unsupported(f"an index is out of range for an axis of length {length}")
    return index % length


@register("GatherElements", takes=ANY, handled="no computation",
          examples=lambda: [Example([(3, 3), np.array([[1, 2, 0], [2, -3, 0]])]),
                            Example([(2, 3), np.array([[0, 0], [1, -1]])], {"axis": 1})])  # fmt: skip
def gather_elements(node: NodeSpec, build: Builder) -> Value:
    """One index for each element of the output."""
    x = node.variable()
    axis = node.axis(len(x.shape), 0)
    index = _index(node, np.asarray(node.constant(1)), x.shape[axis])
    places: list[np.ndarray] = list(np.indices(index.shape))
    places[axis] = index
    return select(build, x, numbered(x)[tuple(places)])


def _points(node: NodeSpec, x: Value, index: np.ndarray, batch: int = 0) -> np.ndarray:
    """Numbers of the elements or slices of x that each last-axis tuple of `index` names."""
    depth = index.shape[-1]
    if depth + batch > len(x.shape):
        raise node.unsupported(f"indices of length {depth} for a tensor of rank {len(x.shape)}")
    parts = [_index(node, index[..., i], x.shape[batch + i]) for i in range(depth)]
    leading = [np.arange(n).reshape((-1,) + (1,) * (index.ndim - 2 - i)) for i, n in enumerate(x.shape[:batch])]
    places = (*leading, *parts)
    return numbered(x)[places]


@register("GatherND", takes=ANY, handled="no computation",
          examples=lambda: [Example([(2, 3), np.array([[0, 1], [1, -1]])]), Example([(2, 3, 2), np.array([[1], [0]])]),
                            Example([(2, 3, 2), np.array([[1], [0]])], {"batch_dims": 1})])  # fmt: skip
def gather_nd(node: NodeSpec, build: Builder) -> Value:
    """Elements or slices named by tuples."""
    x = node.variable()
    return select(build, x, _points(node, x, np.asarray(node.constant(1)), int(node.attributes.get("batch_dims", 0))))


def scatter(node: NodeSpec, build: Builder, numbers: np.ndarray) -> Value:
    """Input 0 with the elements of input 2 at the flat places `numbers`, one of the two computed."""
    data, updates = node.operand(0), node.operand(2)
    reduction = node.attributes.get("reduction", "none")
    shape = data.shape if data is not None else ()
    if reduction not in ("none", "add") or data is None or updates is None:
        raise node.unsupported(f"reduction '{reduction}'")
    numbers = numbers.reshape(-1)
    if len(np.unique(numbers)) < len(numbers):
        raise node.unsupported("a place is written to more than once")
    size = int(np.prod(shape, dtype=np.int64))
    if reduction == "add":
        joined = concat(build, (_flat(build, updates), np.zeros(1)), 0) if isinstance(updates, Value) else None
        order = np.full(size, len(numbers))
        order[numbers] = np.arange(len(numbers))
        if joined is None:
            assert isinstance(data, Value)
            spread = np.append(np.asarray(updates, dtype=np.float64).reshape(-1), 0.0)[order]
            return scale(build, data, None, spread.reshape(shape))
        spread_value = reshape(build, take(build, joined, 0, order), shape)
        if isinstance(data, Value):
            return add(build, data, spread_value)
        return scale(build, spread_value, None, data)
    order = np.arange(size)
    order[numbers] = size + np.arange(len(numbers))
    joined = concat(build, (_flat(build, data), _flat(build, updates)), 0)
    return reshape(build, take(build, joined, 0, order), shape)


def _flat(build: Builder, x: Operand) -> Operand:
    return reshape(build, x, (int(np.prod(x.shape)),)) if isinstance(x, Value) else np.asarray(x).reshape(-1)


def _scatter_examples() -> list[Example]:
    index = np.array([[2], [0]])
    rows = np.ones((2, 3), np.float32)
    return [
        Example([(3, 3), index, (2, 3)]),
        Example([(3, 3), index, rows]),
        Example([np.ones((3, 3), np.float32), index, (2, 3)]),
        Example([(3, 3), np.array([[2, -1], [0, 1]]), (2,)]),
        Example([(3, 3), index, (2, 3)], {"reduction": "add"}, opset=16),
        Example([(3, 3), index, rows], {"reduction": "add"}, opset=16),
    ]


@register("ScatterND", takes=ANY, handled="no computation", examples=_scatter_examples)
def scatter_nd(node: NodeSpec, build: Builder) -> Value:
    """Elements or slices named by tuples are replaced or added to."""
    data = node.operand(0)
    shaped = data if isinstance(data, Value) else Value("", () if data is None else data.shape)
    return scatter(node, build, _points(node, shaped, np.asarray(node.constant(1))))


@register(
    "ScatterElements",
    takes=ANY,
    handled="no computation",
    examples=lambda: [
        Example([(3, 3), np.array([[1, 0, 2], [0, 2, 1]]), (2, 3)]),
        Example([(2, 4), np.array([[1, -1]]), (1, 2)], {"axis": 1}),
        Example([(2, 4), np.array([[1, 3]]), (1, 2)], {"axis": 1, "reduction": "add"}, opset=16),
    ],
)
def scatter_elements(node: NodeSpec, build: Builder) -> Value:
    """One index for each element of the updates."""
    data = node.operand(0)
    shaped = data if isinstance(data, Value) else Value("", () if data is None else data.shape)
    axis = node.axis(len(shaped.shape), 0)
    index = _index(node, np.asarray(node.constant(1)), shaped.shape[axis])
    places: list[np.ndarray] = list(np.indices(index.shape))
    places[axis] = index
    return scatter(node, build, numbered(shaped)[tuple(places)])
