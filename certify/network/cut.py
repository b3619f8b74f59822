"""A model file cut in two at a tensor inside: the head computes it, the tail computes the outputs from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from certify.errors import InputError
from certify.network.read_onnx import load_model, read_proto
from certify.ops.kinds import Shape

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Cut:
    """head: the model up to the tensor, which is its output; tail: the rest, whose input is the tensor.

    shape: of the tensor, axes of unknown length as 1; operator: the ONNX operator that computes it.
    """

    head: onnx.ModelProto
    tail: onnx.ModelProto
    shape: Shape
    operator: str


def cut_at(path: str | Path, name: str) -> Cut:
    """Cut a model file at the tensor of this name.

    Raises ModelError where no node computes the tensor, and InputError where outputs depend on the input around it.
    """
    proto, _ = read_proto(Path(path))
    found = load_model(path, (name,)).network.outputs[0]
    graph = proto.graph
    if name in {output.name for output in graph.output}:
        raise InputError(f"{path}: '{name}' is an output, nothing comes after it", "choose a tensor inside")
    from onnx import helper

    constants = {tensor.name for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    kind = inputs[0].type.tensor_type.elem_type
    tensor = helper.make_tensor_value_info(name, kind, found.shape)
    tail, reads = _part(proto, [output.name for output in graph.output], name)
    around = sorted(reads & {info.name for info in inputs})
    if around:
        message = f"{path}: outputs also depend on the input {around[0]} without passing through '{name}'"
        raise InputError(message, "choose a tensor that everything passes through, such as a layer's activation")
    head, _ = _part(proto, [name], "")
    tail.graph.input.extend([tensor])
    tail.graph.output.extend(graph.output)
    head.graph.input.extend(inputs)
    head.graph.output.extend([tensor])
    operator = next(node.op_type for node in graph.node if name in node.output)
    return Cut(head, tail, found.shape, operator)


def _part(proto: onnx.ModelProto, wanted: list[str], stop: str) -> tuple[onnx.ModelProto, set[str]]:
    """The nodes that the wanted tensors depend on, up to the tensor `stop`, without inputs and outputs yet.

    And the names of all tensors that they read and do not compute.
    """
    import onnx

    needed, kept = set(wanted), []
    for node in reversed(proto.graph.node):
        made = set(node.output) & needed
        if made - {stop}:
            kept.append(node)
            needed |= {name for name in node.input if name} | _captured(node)
    computed = {name for node in kept for name in node.output} | {stop}
    part = onnx.ModelProto()
    part.CopyFrom(proto)
    for field in ("node", "input", "output", "initializer", "value_info", "sparse_initializer"):
        part.graph.ClearField(field)
    part.graph.node.extend(reversed(kept))
    part.graph.initializer.extend(tensor for tensor in proto.graph.initializer if tensor.name in needed)
    return part, needed - computed


def _captured(node: onnx.NodeProto) -> set[str]:
    """Names that subgraphs of a node may take from outside."""
    graphs = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    inside = {name for graph in graphs for inner in graph.node for name in inner.input}
    return inside - {name for graph in graphs for inner in graph.node for name in inner.output}
