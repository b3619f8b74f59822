"""A dense chain that takes another model's place: the same input and output, other widths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from certify.errors import InputError
from certify.interventions.trainable import TrainableModel

if TYPE_CHECKING:
    import onnx


def dense_chain(like: TrainableModel, widths: Sequence[int]) -> TrainableModel:
    """A chain of Gemm and Relu of these widths that takes and gives what another model does; its weights are 0.

    `initialise` it. Names, types and shapes of input and output are those of `like`; a softmax at its end is there
    again. Raises InputError where the last width is not the number of classes, or the output is not [batch, classes].
    """
    if widths[-1] != like.n_classes:
        message = f"the last width is {widths[-1]}, {like.name} has {like.n_classes} classes"
        raise InputError(message, "the scores are the last of the widths")
    if like.shapes[like.output] != (1, like.n_classes):
        shape = list(like.shapes[like.output])
        raise InputError(f"{like.name}: '{like.output}' has the shape {shape}, a dense chain gives [1, classes]")
    return TrainableModel(_proto(like, widths), f"{like.name}, as a dense chain")


def _proto(like: TrainableModel, widths: Sequence[int]) -> onnx.ModelProto:
    from onnx import helper, numpy_helper

    (given,) = [info for info in like.proto.graph.input if info.name == like.input]
    tensor = given.type.tensor_type
    kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    incoming, name = int(np.prod(like.input_shape)), like.input
    nodes, weights = [], []
    if len(like.input_shape) != 2:
        nodes.append(helper.make_node("Flatten", [name], ["flat"], "flatten", axis=min(1, len(like.input_shape) - 1)))
        name = "flat"
    for i, width in enumerate(widths):
        arrays = {f"weight{i}": np.zeros((width, incoming), kind), f"bias{i}": np.zeros(width, kind)}
        weights += [numpy_helper.from_array(array, key) for key, array in arrays.items()]
        last = i == len(widths) - 1
        result = f"dense{i}" if not last or like.scores != like.output else like.output
        nodes.append(helper.make_node("Gemm", [name, *arrays], [result], f"gemm{i}", transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [result], [f"relu{i}"], f"relu{i}"))
        name, incoming = f"relu{i}", width
    if like.scores != like.output:
        nodes.append(helper.make_node("Softmax", [result], [like.output], "softmax", axis=1))
    first = tensor.shape.dim[0]
    batch = 1 if len(like.input_shape) == 1 else first.dim_value or first.dim_param or "batch"
    gives = helper.make_tensor_value_info(like.output, tensor.elem_type, [batch, like.n_classes])
    graph = helper.make_graph(nodes, "dense", [given], [gives], weights)
    opsets = [entry for entry in like.proto.opset_import if entry.domain in ("", "ai.onnx")]
    return helper.make_model(graph, opset_imports=opsets, ir_version=like.proto.ir_version)
