"""Backward linear bounds of a trainable model that gradients flow through, for certified training by CROWN-IBP.

The bounds before each Relu are intervals; only the margins are walked back to the input (Zhang et al. 2020, "Towards
stable and efficient training of verifiably robust neural networks", arXiv 1906.06316). As with
`intervals`, they are what training minimises: no rounding is accounted for.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vjp, vmap

from certify.errors import UnsupportedOp
from certify.interventions.intervals import Pair, propagate_all
from certify.interventions.trainable import Step, TrainableModel

# Affine in all the inputs that vary, together.
AFFINE = {
    "Add", "Sub", "Neg", "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Concat",
    "Slice", "Split", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum",
}  # fmt: skip
# Affine in one input that varies, where the others do not: the places it may have.
AFFINE_IN = {
    "Gemm": (0, 1, 2), "MatMul": (0, 1), "Conv": (0,), "ConvTranspose": (0,), "Mul": (0, 1), "Div": (0,),
    "BatchNormalization": (0,), "Gather": (0,), "Pad": (0,),
}  # fmt: skip


class Lines(NamedTuple):
    """What bounds a rectifier from z [batch, *shape]: lower * z below it, upper * (z - start) above it."""

    lower: Tensor
    upper: Tensor
    start: Tensor


def crown_margins(model: TrainableModel, low: Tensor, high: Tensor, y: Tensor) -> Tensor:
    """Lower bounds [batch, classes] of score y minus each score, over the boxes [batch, *input_shape]; 0 for y itself.

    Raises UnsupportedOp, naming the node, for what is neither affine nor a Relu.
    """
    steps = model.steps_between((model.scores,), ())
    varying = {model.input, *model.tensors}
    path = [step for step in steps if varying & set(step.outputs)]
    for step in path:
        _check(step, varying)
    fixed = fixed_values(model, steps, varying)
    bent = tuple(step.inputs[0] for step in path if step.op_type == "Relu")
    intervals = propagate_all(model, bent, low, high)
    unit = torch.eye(model.n_classes, dtype=model.dtype)
    rows = unit[y][:, None] - unit
    walked = {model.scores: rows.reshape(len(y), model.n_classes, *model.shapes[model.scores])}
    offset = torch.zeros(len(y), model.n_classes, dtype=model.dtype)
    for step in reversed(path):
        if not walked.keys() & set(step.outputs):
            continue
        if step.op_type == "Relu":
            found, added = _through_relu(walked.pop(step.outputs[0]), lines(intervals[step.inputs[0]]))
            onto = {step.inputs[0]: found}
        else:
            onto, added = _through_affine(model, step, walked, fixed)
        offset = offset + added
        for name, coefficients in onto.items():
            walked[name] = walked[name] + coefficients if name in walked else coefficients
    if model.input not in walked:
        return offset
    slopes = walked[model.input].flatten(2)
    middle, radius = ((high + low) / 2).flatten(1), ((high - low) / 2).flatten(1)
    return offset + (slopes @ middle[..., None] - slopes.abs() @ radius[..., None])[..., 0]


def lines(z: Pair) -> Lines:
    """The lines of a Relu over an interval: the lower one's slope is 1 where more of it is above 0 than below."""
    low, high = z.lower.clamp(max=0.0), z.upper.clamp(min=0.0)
    upper = high / (high - low).clamp(min=torch.finfo(low.dtype).tiny)
    return Lines((high > -low).to(low.dtype), upper, low)


def fixed_values(model: TrainableModel, steps: tuple[Step, ...], varying: set[str]) -> dict[str, Tensor]:
    """The values by name of all that does not depend on the input: constants, parameters and what is made of them."""
    known = {**model.constants, **model.parameters}
    for step in steps:
        if varying & set(step.outputs):
            continue
        operands = [_zeros(model, name) if name in varying else known[name] if name else None for name in step.inputs]
        known.update(zip(step.outputs, step(*operands), strict=False))
    return known


def _zeros(model: TrainableModel, name: str) -> Tensor:
    shape = model.input_shape if name == model.input else model.shapes[name]
    return torch.zeros(shape, dtype=model.dtype)


def _check(step: Step, varying: set[str]) -> None:
    places = tuple(i for i, name in enumerate(step.inputs) if name in varying)
    one = len(places) == 1 and places[0] in AFFINE_IN.get(step.op_type, ())
    if not (one or step.op_type in AFFINE or step.op_type == "Relu"):
        message = "has no linear bounds that gradients flow through"
        raise UnsupportedOp(step.op_type, step.label, message, "train it with bounds=ibp, or by another method")


def _through_relu(rows: Tensor, bent: Lines) -> tuple[Tensor, Tensor]:
    """(rows [batch, rows, *shape] of what the Relu reads, offset [batch, rows]) below rows of what it gives."""
    up, down = rows.clamp(min=0.0), rows.clamp(max=0.0)
    lower, upper, start = (side[:, None] for side in bent)
    return up * lower + down * upper, -(down * upper * start).flatten(2).sum(2)


def _through_affine(
    model: TrainableModel, step: Step, walked: dict[str, Tensor], fixed: dict[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """The same by name of what an affine step reads; its rows are taken out of `walked`. It is the same step for all
    samples, so that one transposed map serves them all.
    """
    reads = list(dict.fromkeys(name for name in step.inputs if name and name not in fixed))

    def call(*values: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(reads, values, strict=True))
        return step(*(given.get(name, fixed.get(name)) if name else None for name in step.inputs))

    at_zero, transposed = vjp(call, *(_zeros(model, name) for name in reads))  # type: ignore[misc]  # no aux
    some = next(walked[name] for name in step.outputs if name in walked)
    batch = some.shape[:2]
    rows = tuple(
        walked.pop(name) if name in walked else value.new_zeros(*batch, *value.shape)
        for name, value in zip(step.outputs, at_zero, strict=False)
    )
    offset = sum((row * value).flatten(2).sum(2) for row, value in zip(rows, at_zero, strict=True))
    assert isinstance(offset, Tensor)
    found = vmap(transposed)(tuple(row.flatten(0, 1) for row in rows))
    return {name: value.unflatten(0, batch) for name, value in zip(reads, found, strict=True)}, offset
