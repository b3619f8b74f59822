"""Which tensors of an ONNX file are weights, how they are read, and how others take their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from certify.errors import ModelError

if TYPE_CHECKING:
    import onnx

# Inputs of an operator that are weights where the file gives their values.
PLACES = {
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "PRelu": (1,),
}
LAYERS = ("Gemm", "MatMul", "Conv", "ConvTranspose")
# What exporters put between the numbers in the file and the layer that uses them.
REARRANGES = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze")


class Constants:
    """The tensors that a file gives: initializers and the values of Constant nodes, by name."""

    def __init__(self, proto: onnx.ModelProto, name: str) -> None:
        """Raises ModelError for a damaged tensor, or one that holds NaN or infinity."""
        self.tensors: dict[str, Tensor] = {}
        for key, tensor in _given(proto).items():
            array = _array(tensor, key, name)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ModelError(f"{name}: tensor '{key}' holds NaN or infinite values", "export the model again")
            self.tensors[key] = torch.from_numpy(array)

    @staticmethod
    def replace(proto: onnx.ModelProto, values: Mapping[str, np.ndarray]) -> None:
        """Put these values in the places of the tensors with these names; type and shape stay."""
        from onnx import numpy_helper

        given = _given(proto)
        for key, value in values.items():
            tensor = given[key]
            assert list(tensor.dims) == list(value.shape), (key, tensor.dims, value.shape)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def _given(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The tensors by name; Constant nodes with a number or a list of numbers get a tensor of them instead."""
    found = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1:
            attribute = node.attribute[0]
            if attribute.name != "value":
                attribute.CopyFrom(_as_tensor(attribute))
            found[node.output[0]] = attribute.t
    return found


def _as_tensor(attribute: onnx.AttributeProto) -> onnx.AttributeProto:
    from onnx import helper, numpy_helper

    kind = np.float32 if "float" in attribute.name else np.int64
    numbers = np.asarray(helper.get_attribute_value(attribute), dtype=kind)
    return helper.make_attribute("value", numpy_helper.from_array(numbers))


def _array(tensor: onnx.TensorProto, key: str, name: str) -> np.ndarray:
    from onnx import numpy_helper

    try:
        return np.array(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{name}: tensor '{key}' is damaged: {error}", "export or download the file again") from error


def trainable_names(steps: Sequence[Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of the weights and biases, in the order in which the steps use them.

    Those of layers and normalisations, and what is added to a layer's result. Other constants - the mean that inputs
    are normalised by, the halves inside a GELU - say what the model is, and are left as they are.
    """
    maker = {name: step for step in steps for name in step.outputs}
    found: dict[str, None] = {}
    for step in steps:
        places: Sequence[int] = PLACES.get(step.op_type, ())
        if step.op_type in ("Add", "Sub") and any(
            name in maker and maker[name].op_type in LAYERS for name in step.inputs
        ):
            places = (0, 1)
        for place in places:
            name = step.inputs[place] if place < len(step.inputs) else ""
            while name in maker and maker[name].op_type in REARRANGES:
                name = maker[name].inputs[0]
            if name in tensors and tensors[name].is_floating_point():
                found[name] = None
    return list(found)
