"""Interval bounds of a trainable model that gradients flow through, for certified training (Gowal et al. 2018).

They are what training minimises, not what anything rests on: no rounding is accounted for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from certify.errors import UnsupportedOp
from certify.interventions.operators import OPERATORS
from certify.interventions.trainable import Step, TrainableModel


class Pair(NamedTuple):
    """Elementwise bounds, lower and upper, in the shape of the value."""

    lower: Tensor
    upper: Tensor


# Operators that are monotone (increasing) in each input that is an interval: applied to both ends.
MONOTONE = {
    "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "Tanh", "Elu", "Softplus", "Exp", "Log", "Sqrt", "Erf", "Clip",
    "Identity", "Dropout", "Cast", "Min", "Max", "Add", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose",
    "Concat", "Gather", "Slice", "Split", "Pad", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
    "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "Shape",
}  # fmt: skip
# Layers, linear in their first input (MatMul in either).
LAYERS = {"Gemm", "MatMul", "Conv", "ConvTranspose"}
# What keeps a value that is linear in the last hidden tensor linear in it.
LINEAR = LAYERS | {"Add", "Sub", "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"}


def margins(model: TrainableModel, low: Tensor, high: Tensor, y: Tensor) -> Tensor:
    """Lower bounds [batch, classes] of score y minus each score, over the boxes [batch, *input_shape]; 0 for y itself.

    Where the scores are linear in the last hidden tensor, the difference is taken before it is bounded.
    """
    tensor = model.last_hidden
    steps = model.steps_between((model.scores,), (tensor,))
    depends = {model.input, *model.tensors}
    read = {name for step in steps for name in step.inputs} & depends
    own = {tensor, *(name for step in steps for name in step.outputs)}
    if tensor not in depends or not read <= own or any(step.op_type not in LINEAR for step in steps):
        bounds = propagate(model, model.scores, low, high)
        lower, upper = (side.reshape(len(y), -1) for side in bounds)
        spread = lower.gather(1, y[:, None]) - upper
        return spread.scatter(1, y[:, None], 0.0)
    bounds = propagate(model, tensor, low, high)
    shape = bounds.lower.shape[1:]
    size = shape.numel()
    middle, radius = (
        ((bounds.lower + bounds.upper) / 2).reshape(-1, size),
        ((bounds.upper - bounds.lower) / 2).reshape(-1, size),
    )
    matrix = tail_matrix(model, tensor, shape)
    rows = matrix.T[y][:, None, :] - matrix.T[None]
    offset = model.logits(low[:1], given={tensor: torch.zeros((1, *shape), dtype=low.dtype)})[0]
    center = (rows @ middle[..., None])[..., 0] + offset[y][:, None] - offset[None]
    return center - (rows.abs() @ radius[..., None])[..., 0]


def tail_matrix(model: TrainableModel, tensor: str, shape: torch.Size) -> Tensor:
    """The matrix [size, classes] by which the scores depend on a hidden tensor that they are linear in."""
    size = shape.numel()
    basis = torch.eye(size, dtype=model.dtype).reshape(size, *shape)
    at = torch.zeros((size, *model.input_shape), dtype=model.dtype)
    both = model.logits(at, given={tensor: basis}), model.logits(at, given={tensor: torch.zeros_like(basis)})
    return both[0] - both[1]


def propagate(model: TrainableModel, wanted: str, low: Tensor, high: Tensor) -> Pair:
    """Bounds [batch, *shape] of a tensor over boxes of inputs."""
    return propagate_all(model, (wanted,), low, high)[wanted]


def propagate_all(model: TrainableModel, wanted: tuple[str, ...], low: Tensor, high: Tensor) -> dict[str, Pair]:
    """Bounds [batch, *shape] by name of tensors over boxes of inputs."""
    steps = model.steps_between(wanted, ())

    def one_sample(low: Tensor, high: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        known: dict[str, Tensor | Pair] = {**model.constants, **model.parameters, model.input: Pair(low, high)}
        for step in steps:
            operands = [known[name] if name else None for name in step.inputs]
            for name, value in zip(step.outputs, bound_step(step, operands), strict=False):
                known[name] = value
        found = {name: known[name] for name in wanted}
        return {name: (pair.lower, pair.upper) for name, pair in found.items() if isinstance(pair, Pair)}

    return {name: Pair(*sides) for name, sides in vmap(one_sample)(low, high).items()}


def bound_step(step: Step, operands: list[Tensor | Pair | None]) -> tuple[Tensor | Pair, ...]:
    """The bounds of a node's outputs; exact values where none of its inputs is an interval."""
    where = [i for i, operand in enumerate(operands) if isinstance(operand, Pair)]
    if not where or step.op_type == "Shape":
        return step(*(x.lower if isinstance(x, Pair) else x for x in operands))
    if step.op_type in LAYERS and len(where) == 1:
        return (_layer(step, operands, where[0]),)
    if step.op_type in RULES:
        return (RULES[step.op_type](step, operands, where),)
    if step.op_type in MONOTONE and _increasing(step):
        ends = [step(*(x[side] if isinstance(x, Pair) else x for x in operands)) for side in (0, 1)]
        return tuple(Pair(lower, upper) for lower, upper in zip(*ends, strict=True))
    message = "has no interval that gradients flow through"
    raise UnsupportedOp(step.op_type, step.label, message, "train it with another method, such as adversarial")


def _increasing(step: Step) -> bool:
    return step.attributes.get("alpha", 0.0) >= 0.0


def _layer(step: Step, operands: list[Tensor | Pair | None], place: int) -> Pair:
    """Middle through the layer, radius through its absolute weights."""
    pair = operands[place]
    assert isinstance(pair, Pair)
    exact = [None if isinstance(x, Pair) else x for x in operands]
    weights = [None if x is None else x.abs() for x in exact[:2]]
    exact[place], weights[place] = (pair.lower + pair.upper) / 2, (pair.upper - pair.lower) / 2
    (center,) = step(*exact)
    plain = {key: abs(value) if key == "alpha" else value for key, value in step.attributes.items()}
    spread = OPERATORS[step.op_type](plain, *weights)
    return Pair(center - spread, center + spread)


def _sub(step: Step, operands: list[Tensor | Pair | None], where: list[int]) -> Pair:
    x, y = (operand if isinstance(operand, Pair) else Pair(operand, operand) for operand in operands)  # type: ignore[arg-type]
    return Pair(x.lower - y.upper, x.upper - y.lower)


def _neg(step: Step, operands: list[Tensor | Pair | None], where: list[int]) -> Pair:
    (x,) = operands
    assert isinstance(x, Pair)
    return Pair(-x.upper, -x.lower)


def _scaled(step: Step, operands: list[Tensor | Pair | None], where: list[int]) -> Pair:
    """A product with, or quotient by, an exact value; a normalisation, which is one."""
    if where != [0] and not (step.op_type == "Mul" and len(where) == 1):
        raise UnsupportedOp(step.op_type, step.label, "has no interval where both inputs vary", "use another method")
    ends = [step(*(x[side] if isinstance(x, Pair) else x for x in operands))[0] for side in (0, 1)]
    return Pair(torch.minimum(*ends), torch.maximum(*ends))


RULES: dict[str, Callable[[Step, list[Tensor | Pair | None], list[int]], Pair]] = {
    "Sub": _sub,
    "Neg": _neg,
    "Mul": _scaled,
    "Div": _scaled,
    "BatchNormalization": _scaled,
}
