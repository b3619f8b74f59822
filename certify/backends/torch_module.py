"""A `Network` as a torch module, built from the few torch calls that auto_LiRPA traces and bounds well. Imports torch.

Every op has one entry in `EXPRESSIONS`; a linear op without one is written as a matrix, where that is small enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from certify.backends.torch_parts import (
    Affine,
    Call,
    Convolution,
    InexpressibleError,
    Sum,
    Then,
    as_matrix,
    flat,
    layer,
    on_axis,
    stripped,
    to_shape,
)
from certify.errors import ParityError, UnsupportedOp
from certify.network.evaluate import evaluate
from certify.network.graph import INPUT, Network, Node
from certify.ops.arithmetic import Add
from certify.ops.conv import Conv
from certify.ops.dense import Dense
from certify.ops.kinds import Linear, Op
from certify.ops.layout import Permute, Reshape
from certify.ops.product import Product
from certify.ops.reduce import SumOver
from certify.ops.relu import Relu
from certify.ops.s_shaped import Sigmoid, Tanh
from certify.ops.scale import ScaleShift
from certify.ops.select import Concat, Take, ZeroPad

# Difference from our own evaluation, relative to the largest output, that float64 rounding explains.
PARITY = 1e-9


class Graph(nn.Module):
    """The network: [batch, n_inputs] -> [batch, n_outputs + len(passed)], inputs `passed` on as further outputs."""

    def __init__(self, network: Network, passed: np.ndarray) -> None:
        """Raises UnsupportedOp where a node cannot be expressed."""
        super().__init__()
        self.wiring = [(node.name, node.inputs) for node in network.nodes]
        self.output = network.output
        self.calls = nn.ModuleList([express(node) for node in network.nodes])
        self.join: nn.Module | None = None
        if len(passed) or not list(self.calls.parameters()):
            # auto_LiRPA takes the element type from the first weight, so that there must be one.
            width = network.n_outputs + len(passed)
            y, x = np.eye(width)[:, : network.n_outputs], np.zeros((width, network.n_inputs))
            x[network.n_outputs + np.arange(len(passed)), passed] = 1.0
            self.join = Sum([layer(y), layer(x)])

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate."""
        values = {INPUT: x}
        for (name, inputs), call in zip(self.wiring, self.calls, strict=True):
            values[name] = call(*(values[i] for i in inputs))
        y = values[self.output]
        return y if self.join is None else self.join(y, x)


def check_parity(network: Network, passed: np.ndarray, graph: Callable[[Tensor], Tensor], points: np.ndarray) -> None:
    """Raise ParityError unless graph and network agree at the points [k, n_inputs], up to float64 rounding."""
    ours = np.concatenate([evaluate(network, points), points[:, passed]], axis=1)
    with torch.no_grad():
        theirs = np.stack([graph(torch.from_numpy(x[None])).numpy()[0] for x in points])
    difference, scale = abs(ours - theirs).max(), 1.0 + abs(ours).max()
    if not difference <= PARITY * scale:
        message = f"our graph and its translation to torch differ by {difference:.3g} on the same input"
        raise ParityError(
            message, "nothing is proved about a model that is read as something else; use another backend"
        )


def express(node: Node) -> nn.Module:
    """The node's op as a module of as many tensors as it has inputs."""
    op = node.op
    expression = EXPRESSIONS.get(type(op), as_matrix if isinstance(op, Linear) else None)
    name, label = type(op).__name__, node.source or node.name
    if expression is None:
        raise UnsupportedOp(name, label, "auto_LiRPA cannot bound it here", "use --backend native")
    try:
        return expression(op)
    except InexpressibleError as error:
        raise UnsupportedOp(name, label, str(error), "use --backend native") from error


def dense(op: Dense) -> nn.Module:
    """One matrix over the last axis."""
    return on_axis(op.in_shapes[0], -1, op.weight, op.shift)


def conv(op: Conv) -> nn.Module:
    """A plain Conv2d: no groups, no dilation, the same padding on both sides, which is all auto_LiRPA gets right.

    Zeros in the kernel make up the difference: between groups, between dilated taps, where one side has less padding.
    """
    n_space = len(op.strides)
    if op.in_shapes[0][0] != 1 or n_space > 2:
        return as_matrix(op)
    weight, padding = _plain_kernel(op)
    image, strides = stripped(op.in_shapes[0]), op.strides
    if n_space == 1:
        weight, image = weight[:, :, None, :], (image[0], 1, image[1])
        strides, padding = (1, *strides), (0, *padding)
    return Then(to_shape(image), Convolution(weight, op.shift, strides, padding), to_shape(stripped(op.out_shape)))


def _plain_kernel(op: Conv) -> tuple[np.ndarray, tuple[int, ...]]:
    """(weight [c_out, c_in, *kernel], padding) of the same convolution without groups, dilation or lopsided padding."""
    padding = tuple(max(pair) for pair in zip(op.before, op.after, strict=True))
    kernel = op.weight.shape[2:]
    reach = tuple(d * (k - 1) + 1 for d, k in zip(op.dilations, kernel, strict=True))
    front = tuple(p - b for p, b in zip(padding, op.before, strict=True))
    size = tuple(f + r + p - a for f, r, p, a in zip(front, reach, padding, op.after, strict=True))
    c_out, c_in = op.out_shape[1], op.in_shapes[0][1]
    weight = np.zeros((c_out, c_in, *size))
    taps = tuple(slice(f, f + r, d) for f, r, d in zip(front, reach, op.dilations, strict=True))
    outs, ins = c_out // op.groups, c_in // op.groups
    for g in range(op.groups):
        rows = slice(g * outs, (g + 1) * outs)
        place: tuple[slice, ...] = (rows, slice(g * ins, (g + 1) * ins), *taps)
        weight[place] = op.weight[rows]
    return weight, padding


def scale_shift(op: ScaleShift) -> nn.Module:
    """A product and a sum with constants; where it repeats elements, a matrix."""
    shape = stripped(op.out_shape)
    if stripped(op.in_shapes[0]) != shape:
        return as_matrix(op)
    scale = None if (op.scale == 1.0).all() else np.broadcast_to(op.scale, op.out_shape).reshape(shape)
    shift = None if op.shift is None else np.broadcast_to(op.shift, op.out_shape).reshape(shape)
    return Affine(scale, shift)


def add(op: Add) -> nn.Module:
    """A signed sum; an input that is repeated goes through a matrix."""
    parts = [
        nn.Identity()
        if stripped(shape) == stripped(op.out_shape)
        else as_matrix(ScaleShift.broadcast(shape, op.out_shape))
        for shape in op.in_shapes
    ]
    return Sum(list(parts), op.signs)


def elementwise(function: Callable[..., Tensor]) -> Callable[[Op], nn.Module]:
    """A nonlinear function, on vectors and images as they are, on other shapes flattened.

    (auto_LiRPA 0.3 optimises the slopes of one axis or three only.)
    """

    def expression(op: Op) -> nn.Module:
        shape = stripped(op.out_shape)
        if len(shape) in (1, 3):
            return Call(function)
        line = flat(shape)
        return Then(Call(lambda *xs: function(*(x.reshape(-1, *line) for x in xs))), to_shape(shape))

    return expression


def relu(op: Relu) -> nn.Module:
    """Leaky ones as (1 - s) relu(x) + s x, which has the same relaxation, and slopes that 0.3 optimises."""
    s = op.negative_slope
    return elementwise(torch.relu if s == 0.0 else lambda x: torch.relu(x) * (1.0 - s) + x * s)(op)


def permute(op: Permute) -> nn.Module:
    """Axes in another order, with the leading one in place."""
    order = (0, *(i + 1 for i in op.order))
    return Then(to_shape(op.in_shapes[0]), Call(lambda x: x.permute(*order)), to_shape(stripped(op.out_shape)))


def take(op: Take) -> nn.Module:
    """A matrix of zeros and ones along the axis."""
    shape = op.in_shapes[0]
    return on_axis(shape, op.axis, np.eye(shape[op.axis])[op.index])


def zero_pad(op: ZeroPad) -> nn.Module:
    """A matrix that embeds each axis that grows, then the margin's value."""
    steps: list[nn.Module] = []
    shape = op.in_shapes[0]
    for axis, (n, wide, before) in enumerate(zip(shape, op.out_shape, op.before, strict=True)):
        if wide != n:
            steps.append(on_axis(shape, axis - len(shape), np.eye(wide)[:, before : before + n]))
            shape = (*shape[:axis], wide, *shape[axis + 1 :])
    return Then(
        nn.Identity(), *steps, Affine(None, None if op.bias is None else op.bias.reshape(stripped(op.out_shape)))
    )


def concat(op: Concat) -> nn.Module:
    """The sum of the inputs, each embedded along the axis, and of the constant pieces."""
    eye = np.eye(op.out_shape[op.axis])
    parts = [
        on_axis(shape, op.axis, eye[:, start : start + shape[op.axis]])
        for shape, start in zip(op.in_shapes, op.starts, strict=True)
    ]
    shift = None if op.shift is None else op.shift.reshape(stripped(op.out_shape))
    return Then(Sum(parts), Affine(None, shift))


def sum_over(op: SumOver) -> nn.Module:
    """A sum over the axes that have more than one element."""
    axes = tuple(a for a in op.axes if op.in_shapes[0][a] > 1)
    total = Call(lambda x: x.sum(axes, keepdim=True)) if axes else nn.Identity()
    return Then(total, to_shape(stripped(op.out_shape)))


# How each op is written in torch. One entry here makes a new op known to this backend; linear ops work without.
EXPRESSIONS: dict[type[Op], Callable[[Any], nn.Module]] = {
    Add: add,
    Concat: concat,
    Conv: conv,
    Dense: dense,
    Permute: permute,
    Product: elementwise(torch.mul),
    Relu: relu,
    Reshape: lambda op: to_shape(stripped(op.out_shape)),
    ScaleShift: scale_shift,
    Sigmoid: elementwise(torch.sigmoid),
    SumOver: sum_over,
    Take: take,
    Tanh: elementwise(torch.tanh),
    ZeroPad: zero_pad,
}
