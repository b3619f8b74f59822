"""Ops that compute nothing: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout, Transpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace
from certify.ops.kinds import Linear, Shape
from certify.ops.registry import ANY, Builder, Example, NodeSpec, Value, register

WIDE_TYPES = {1, 11}  # onnx.TensorProto: FLOAT, DOUBLE
FLOAT_TYPES = {*WIDE_TYPES, 10, 16}  # and FLOAT16, BFLOAT16


@dataclass(frozen=True, eq=False)
class Reshape(Linear):
    """The same elements in row-major order under another shape."""

    @property
    def selects(self) -> bool:
        """All of it."""
        return True

    def linear(self, *xs: Array) -> Array:
        """Reshape."""
        x = xs[0]
        return x.reshape(tuple(x.shape[: x.ndim - len(self.in_shapes[0])]) + self.out_shape)

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Reshape back."""
        return (y.reshape(tuple(y.shape[: y.ndim - len(self.out_shape)]) + self.in_shapes[0]),)


@dataclass(frozen=True, eq=False)
class Permute(Linear):
    """Axes of x in another order: axis i of y is axis order[i] of x."""

    order: tuple[int, ...]

    @property
    def selects(self) -> bool:
        """All of it."""
        return True

    def linear(self, *xs: Array) -> Array:
        """Permute."""
        return self._permute(xs[0], self.order)

    def adjoint(self, y: Array) -> tuple[Array, ...]:
        """Permute back."""
        return (self._permute(y, tuple(int(i) for i in np.argsort(self.order))),)

    @staticmethod
    def _permute(x: Array, order: tuple[int, ...]) -> Array:
        leading = x.ndim - len(order)
        return namespace(x).permute_dims(x, (*range(leading), *(leading + i for i in order)))


def reshape(build: Builder, x: Value, shape: Shape) -> Value:
    """X under another shape; nothing is emitted if it has that shape already."""
    return x if x.shape == shape else build.emit(Reshape((x.shape,), shape), x)


def permute(build: Builder, x: Value, order: tuple[int, ...]) -> Value:
    """X with its axes reordered; nothing is emitted for the identity."""
    if order == tuple(range(len(order))):
        return x
    return build.emit(Permute((x.shape,), tuple(x.shape[i] for i in order), order), x)


@register(
    "Reshape",
    takes=ANY,
    handled="no computation",
    examples=lambda: [
        Example([(2, 6), np.array([3, -1])]),
        Example([(2, 6), np.array([0, 2, -1])]),
        Example([(2, 6), np.array([12])]),
    ],
)
def reshape_node(node: NodeSpec, build: Builder) -> Value:
    """Reshape: 0 copies the axis of the input (unless allowzero), one -1 is inferred."""
    x = node.variable()
    wanted = [int(n) for n in np.atleast_1d(node.setting("shape", 1))]
    if not node.attributes.get("allowzero", 0):
        wanted = [x.shape[i] if n == 0 and i < len(x.shape) else n for i, n in enumerate(wanted)]
    size = int(np.prod(x.shape, dtype=np.int64))
    if wanted.count(-1) == 1:
        rest = int(np.prod([n for n in wanted if n != -1], dtype=np.int64))
        wanted[wanted.index(-1)] = size // rest if rest else 0
    if min(wanted, default=1) < 0 or int(np.prod(wanted, dtype=np.int64)) != size:
        raise node.unsupported(
            f"cannot reshape {x.shape} to {tuple(wanted)}",
            "the model may have been exported for another batch size; export it for batch size 1",
        )
    return reshape(build, x, tuple(wanted))


@register("Flatten", takes=ANY, handled="no computation",
          examples=lambda: [Example([(2, 3, 4)]), Example([(2, 3, 4)], {"axis": 2}), Example([(2, 3)], {"axis": 0}),
                            Example([(2, 3, 4)], {"axis": -1}, opset=13)])  # fmt: skip
def flatten(node: NodeSpec, build: Builder) -> Value:
    """Flatten to two axes."""
    x = node.variable()
    axis = int(node.attributes.get("axis", 1))
    axis = axis + len(x.shape) if axis < 0 else axis
    split = int(np.prod(x.shape[:axis], dtype=np.int64)), int(np.prod(x.shape[axis:], dtype=np.int64))
    return reshape(build, x, split)


def _axes(node: NodeSpec, rank: int) -> list[int] | None:
    axes = node.setting("axes", 1)
    return None if axes is None else [node.normal_axis(int(a), rank) for a in np.atleast_1d(axes)]


@register("Squeeze", takes=ANY, handled="no computation",
          examples=lambda: [Example([(1, 3, 1)]), Example([(1, 3, 1), np.array([0])]),
                            Example([(1, 3, 1)], {"axes": [2]}, opset=11)])  # fmt: skip
def squeeze(node: NodeSpec, build: Builder) -> Value:
    """Drop axes of length 1."""
    x = node.variable()
    axes = _axes(node, len(x.shape))
    drop = {i for i, n in enumerate(x.shape) if n == 1} if axes is None else set(axes)
    return reshape(build, x, tuple(n for i, n in enumerate(x.shape) if i not in drop))


@register("Unsqueeze", takes=ANY, handled="no computation",
          examples=lambda: [Example([(2, 3), np.array([0, 3])]),
                            Example([(2, 3)], {"axes": [1]}, opset=11)])  # fmt: skip
def unsqueeze(node: NodeSpec, build: Builder) -> Value:
    """Insert axes of length 1."""
    x = node.variable()
    count = np.size(node.setting("axes", 1))
    axes = _axes(node, len(x.shape) + count) or []
    rest = iter(x.shape)
    return reshape(build, x, tuple(1 if i in axes else next(rest) for i in range(len(x.shape) + count)))


@register("Identity", takes=ANY, handled="no computation", examples=lambda: [Example([(2, 3)])])
def identity(node: NodeSpec, build: Builder) -> Value:
    """The input itself."""
    return node.variable()


@register("Dropout", handled="no computation (inference)",
          examples=lambda: [Example([(2, 3)]), Example([(2, 3)], {"ratio": 0.4}, opset=10)])  # fmt: skip
def dropout(node: NodeSpec, build: Builder) -> Value:
    """The input itself; refused in training mode or where the mask is used."""
    if node.n_outputs > 1:
        raise node.unsupported("the dropout mask is an output", "export the model in evaluation mode")
    if bool(np.any(node.constant(2, default=False))):
        raise node.unsupported("training mode is on", "export the model in evaluation mode")
    return node.variable()


@register("Transpose", takes=ANY, handled="no computation",
          examples=lambda: [Example([(2, 3, 4)], {"perm": [2, 0, 1]}), Example([(2, 3)])])  # fmt: skip
def transpose(node: NodeSpec, build: Builder) -> Value:
    """Permute axes; reversed by default."""
    x = node.variable()
    return permute(build, x, tuple(node.attributes.get("perm", range(len(x.shape))[::-1])))
