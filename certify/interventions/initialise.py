"""Weights to start from: those of a new model, and a plain perceptron where there is no model yet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from certify.interventions.trainable import TrainableModel
from certify.interventions.weights import LAYERS

OPSET, IR_VERSION = 13, 8


def initialise(model: TrainableModel, chance: torch.Generator) -> None:
    """Forget what the model has learned: its weights are drawn anew, in place.

    Weights and biases of a layer are uniform within 1 / sqrt(inputs of a neuron), as in torch; normalisations scale by
    1 and shift by 0, and keep the statistics that the file has of their inputs; biases added after a layer are 0.
    """
    reach = _reach(model)
    with torch.no_grad():
        for name, parameter in model.parameters.items():
            if name in reach:
                drawn = torch.rand(parameter.shape, generator=chance, dtype=parameter.dtype)
                parameter.copy_((2.0 * drawn - 1.0) * reach[name])
            else:
                parameter.copy_(torch.full_like(parameter, 1.0 if name in _scales(model) else 0.0))


def _reach(model: TrainableModel) -> dict[str, float]:
    """By parameter of a layer, the largest absolute value it starts from."""
    known = {**model.constants, **model.parameters}
    # Where a value in the graph is made of one parameter alone, that parameter.
    source = {name: name for name in model.parameters}
    found: dict[str, float] = {}
    depends = {model.input, *model.tensors}
    for step in model.steps:
        if not depends & set(step.inputs):
            known.update(zip(step.outputs, step(*(known[n] if n else None for n in step.inputs)), strict=False))
            if step.inputs and step.inputs[0] in source:
                source[step.outputs[0]] = source[step.inputs[0]]
        elif step.op_type in LAYERS:
            place = 0 if step.inputs[0] not in depends else 1
            weight = known.get(step.inputs[place])
            if weight is None:
                continue
            inputs = _fan_in(step.op_type, tuple(weight.shape), place, bool(step.attributes.get("transB")))
            names = (step.inputs[place], *step.inputs[2:])
            found |= {source[n]: 1.0 / math.sqrt(inputs) for n in names if n in source}
    return found


def _fan_in(op_type: str, shape: tuple[int, ...], place: int, transposed: bool) -> int:
    """How many inputs each neuron of a layer sums up."""
    if op_type == "Conv":
        return math.prod(shape[1:])
    if op_type == "ConvTranspose":
        return math.prod(shape[:1] + shape[2:])
    if op_type == "Gemm":
        return shape[1] if transposed else shape[0]
    return shape[-1] if place == 0 or len(shape) == 1 else shape[-2]


def _scales(model: TrainableModel) -> set[str]:
    return {s.inputs[1] for s in model.steps if s.op_type in ("BatchNormalization", "LayerNormalization")}


def perceptron(shape: Sequence[int], n_classes: int, hidden: Sequence[int] = (48, 32)) -> TrainableModel:
    """A ReLU network on samples of this shape, flattened, with all weights 0: `initialise` it.

    Tensors: input "x", [batch, *shape]; "hidden1", ... after each rectifier; output "scores".
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [helper.make_node("Flatten", ["x"], ["flat"], name="flatten")], []
    last, size = "flat", math.prod(shape)
    for number, width in enumerate([*hidden, n_classes], 1):
        out = "scores" if number > len(hidden) else f"linear{number}"
        names = [f"weight{number}", f"bias{number}"]
        nodes.append(helper.make_node("Gemm", [last, *names], [out], name=f"layer{number}", transB=1))
        for name, dims in zip(names, ((width, size), (width,)), strict=True):
            weights.append(numpy_helper.from_array(np.zeros(dims, dtype=np.float32), name))
        if number <= len(hidden):
            nodes.append(helper.make_node("Relu", [out], [f"hidden{number}"], name=f"relu{number}"))
        last, size = f"hidden{number}", width
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", n_classes])],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="certify")
    proto.ir_version = IR_VERSION
    return TrainableModel(proto, "perceptron")
