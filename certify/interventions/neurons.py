"""The layers of a model and their neurons: which numbers in the file make up each, and where its value is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.errors import InputError, UnsupportedOp
from certify.interventions.trainable import Step, TrainableModel
from certify.interventions.weights import LAYERS, REARRANGES

# Elementwise, and 0 at 0: behind them a neuron without weights and bias is 0 still.
ACTIVATIONS = ("Relu", "LeakyRelu", "PRelu", "Tanh", "Elu", "Gelu", "Erf", "Identity", "Dropout")


@dataclass(frozen=True)
class Layer:
    """A node with weights. A neuron is a unit of a dense layer or a channel of a convolution.

    node: how messages name it; input: tensor it reads; weight: parameter; axis: of the weight, along which neurons are
    counted; after: (parameter, axis) of what is added to or scales each neuron later, biases above all; output: tensor
    of the neurons' values once all these are applied, and after the activation if there is one; output_axis: of that
    tensor, counted from its end; normalised: the last two of `after` are a normalisation's scale and bias.
    """

    node: str
    op_type: str
    input: str
    weight: str
    axis: int
    after: tuple[tuple[str, int], ...]
    output: str
    output_axis: int
    normalised: bool

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """(parameter, axis along which neurons are counted) of all that makes a neuron; the weight comes first."""
        return ((self.weight, self.axis), *self.after)

    def rows(self, model: TrainableModel) -> Tensor:
        """The weights [neurons, incoming]."""
        weight = model.parameters[self.weight].detach()
        return weight.movedim(self.axis, 0).reshape(weight.shape[self.axis], -1)

    def size(self, model: TrainableModel) -> int:
        """How many neurons it has."""
        return model.parameters[self.weight].shape[self.axis]

    def values(self, z: Tensor) -> Tensor:
        """A tensor [batch, *shape] of the output as [batch, neurons]: the mean over positions for convolutions."""
        z = z.movedim(self.output_axis, 1)
        return z.reshape(len(z), z.shape[1], -1).mean(2)


def along(numbers: Tensor, axis: int, like: Tensor) -> Tensor:
    """One number a neuron, shaped to multiply a parameter that counts them along `axis`."""
    return numbers.reshape([-1 if i == axis else 1 for i in range(like.ndim)])


def layers_of(model: TrainableModel) -> list[Layer]:
    """The layers in the order of the graph. Raises UnsupportedOp for one whose neurons cannot be told apart."""
    maker = {name: step for step in model.steps for name in step.outputs}
    found: list[Layer] = []
    for step in model.steps:
        weight = _weight(step, maker, model)
        if weight is None:
            continue
        name, axis, place, output_axis = weight
        after, output, normalised = _behind(step, model, model.parameters[name].shape[axis])
        read = step.inputs[1 - place]
        found.append(Layer(step.label, step.op_type, read, name, axis, after, output, output_axis, normalised))
    names = [layer.weight for layer in found]
    for layer in found:
        if names.count(layer.weight) > 1:
            raise UnsupportedOp(layer.op_type, layer.node, "shares its weights with another node", _HINT)
    return found


def hidden_layers(model: TrainableModel) -> list[Layer]:
    """All layers but the last, whose neurons are the scores. Raises InputError where there is none, UnsupportedOp for
    a neuron that is not 0 when its weights and bias are.
    """
    *hidden, _ = layers_of(model)
    if not hidden:
        raise InputError(f"{model.name}: has a single layer, and no hidden neurons", "use a method that takes weights")
    for layer in hidden:
        reader = next((s for s in model.steps if layer.output in s.inputs), None)
        if reader is not None and reader.op_type in ("Sigmoid", "HardSigmoid", "Softplus", "Exp"):
            message = f"follows '{layer.node}' and is not 0 where that is: its neurons cannot be taken out"
            raise UnsupportedOp(reader.op_type, reader.label, message, _HINT)
    return hidden


_HINT = "prune single weights instead, or choose another layer"


def choose(layers: Sequence[Layer], node: str | None, name: str) -> list[Layer]:
    """The layers, or only the one of this node. Raises InputError, naming them, if there is none such."""
    if node is None:
        return list(layers)
    chosen = [layer for layer in layers if layer.node == node]
    if not chosen:
        raise InputError(f"{name}: no layer here is a node '{node}'", f"there are: {', '.join(x.node for x in layers)}")
    return chosen


def mean_values(model: TrainableModel, layers: Sequence[Layer], x: Tensor) -> list[Tensor]:
    """The mean value of each neuron [neurons] of each layer over inputs [samples, *input_shape]."""
    with torch.no_grad():
        found = model.run(x, tuple(layer.output for layer in layers))
    return [layer.values(found[layer.output]).mean(0) for layer in layers]


def _weight(step: Step, maker: dict[str, Step], model: TrainableModel) -> tuple[str, int, int, int] | None:
    """(parameter, axis of the neurons in it, its place among the inputs, their axis in the output from its end)."""
    if step.op_type not in LAYERS:
        return None
    for place in (1, 0) if step.op_type == "MatMul" else (1,):
        name, passed = step.inputs[place], []
        while name in maker and maker[name].op_type in REARRANGES:
            passed.append(maker[name])
            name = passed[-1].inputs[0]
        if name not in model.parameters:
            continue
        rank = model.parameters[name].ndim
        axis = _first_axis(step, place, rank)
        for between in passed:
            axis = _before(between, axis, rank)
        dense = step.op_type in ("Gemm", "MatMul")
        space = rank - 2
        return name, axis, place, (-1 if place else -2) if dense else -space - 1
    return None


def _first_axis(step: Step, place: int, rank: int) -> int:
    a = step.attributes
    if step.op_type == "Conv":
        return 0
    if step.op_type == "ConvTranspose" and a.get("group", 1) == 1:
        return 1
    if step.op_type == "Gemm" and not a.get("transA"):
        return 0 if a.get("transB") else 1
    if step.op_type == "MatMul" and rank == 2:
        return place
    raise UnsupportedOp(step.op_type, step.label, "its neurons cannot be told apart", _HINT)


def _before(step: Step, axis: int, rank: int) -> int:
    """The axis before a node that rearranges weights, from the axis behind it."""
    if step.op_type == "Identity":
        return axis
    if step.op_type == "Transpose":
        perm = step.attributes.get("perm") or list(reversed(range(rank)))
        return int(perm[axis])
    raise UnsupportedOp(step.op_type, step.label, "rearranges weights so that neurons cannot be told apart", _HINT)


def _behind(step: Step, model: TrainableModel, size: int) -> tuple[tuple[tuple[str, int], ...], str, bool]:
    """(what else belongs to each neuron, the tensor of their values, whether a normalisation ends it), from a layer's
    node on.
    """
    after = [(name, _only_axis(model, name, size, step)) for name in step.inputs[2:] if name in model.parameters]
    output, normalised = step.outputs[0], False
    while True:
        readers = [s for s in model.steps if output in s.inputs]
        reader = readers[0] if len(readers) == 1 else None
        if reader is not None and reader.op_type in ACTIVATIONS:
            return tuple(after), reader.outputs[0], normalised
        others = [] if reader is None else [name for name in reader.inputs if name != output]
        depends = any(name in model.shapes or name == model.input for name in others)
        if reader is None or normalised or depends or reader.op_type not in ("Add", "Sub", "BatchNormalization"):
            return tuple(after), output, normalised
        normalised = reader.op_type == "BatchNormalization"
        own = [name for name in others if name in model.parameters]
        if not own:
            raise UnsupportedOp(reader.op_type, reader.label, f"what is added to '{step.label}' is rearranged", _HINT)
        after += [(name, _only_axis(model, name, size, reader)) for name in own]
        output = reader.outputs[0]


def _only_axis(model: TrainableModel, name: str, size: int, step: Step) -> int:
    """The axis of a bias that counts neurons. Raises UnsupportedOp unless it has one number for each."""
    shape = model.parameters[name].shape
    if model.parameters[name].numel() != size or size not in shape:
        raise UnsupportedOp(step.op_type, step.label, f"'{name}' {list(shape)} has not one number a neuron", _HINT)
    return list(shape).index(size)
