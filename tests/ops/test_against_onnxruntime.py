"""Every example of every registered operator, as a model of one node: our network against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_files import assert_close_in_float32, model, newest_opset, node, points_for, run, runs, save
from op_cases import emitted_ops, examples

import certify.ops
from certify.network.evaluate import evaluate
from certify.network.read_onnx import OLDEST_OPSET, load_model
from certify.ops.kinds import Op
from certify.ops.registry import Entry, Example, all_entries
from certify.ops.relu_difference import ReluDifference
from certify.ops.select import Part

CASES = examples()


def one_node(entry: Entry, example: Example, opset: int) -> onnx.ModelProto:
    """The example as a model."""
    names = [f"i{position}" for position in range(len(example.inputs))]
    constants = {n: x for n, x in zip(names, example.inputs, strict=True) if isinstance(x, np.ndarray | np.generic)}
    variables = {n: x for n, x in zip(names, example.inputs, strict=True) if n not in constants}
    outputs = [f"o{position}" for position in range(example.n_outputs)]
    made = {n: n if n in constants or example.kind == "float" else f"{n}_made" for n in names}
    makers = [_made(example.kind, n, made[n]) for n in names if made[n] != n]
    if makers:
        constants["level"] = np.float32(0.0 if example.kind == "bool" else 0.5)
    used = " ".join(made.values())
    only = node(entry.op_type, used, " ".join(outputs), "the_node", domain=entry.domain, **example.attributes)
    return model([*makers, only], variables, outputs, constants, opset=opset, gives=TYPES[example.gives])


TYPES = {
    "float": onnx.TensorProto.FLOAT,
    "int": onnx.TensorProto.INT64,
    "bool": onnx.TensorProto.BOOL,
    "quantised": onnx.TensorProto.UINT8,
}


def _made(kind: str, source: str, target: str) -> onnx.NodeProto:
    """Truth, integers or bytes from floats."""
    if kind == "int":
        return node("Cast", source, target, to=TYPES[kind])
    return node("Greater" if kind == "bool" else "QuantizeLinear", f"{source} level", target)


def opsets(entry: Entry, example: Example) -> list[int]:
    """The oldest and the newest opset at which onnxruntime takes the example, and its own."""
    valid = [
        v for v in range(OLDEST_OPSET, newest_opset() + 1) if v == example.opset or runs(one_node(entry, example, v))
    ]
    return sorted({valid[0], example.opset, valid[-1]})


@pytest.mark.parametrize("entry", all_entries(), ids=lambda e: f"{e.domain}{e.op_type}{e.since}")
def test_every_operator_has_examples(entry: Entry) -> None:
    assert entry.examples()
    assert entry.handled


def test_every_op_class_is_reached_by_an_example() -> None:
    def leaves(kind: type) -> set[type]:
        subclasses = [k for k in kind.__subclasses__() if k.__module__.startswith(certify.ops.__name__)]
        return {kind} if not subclasses else set().union(*map(leaves, subclasses))

    # No ONNX operator is one of these: passes make them, whose tests they have.
    by_passes = {Part, ReluDifference}
    assert leaves(Op) - by_passes == {type(op) for op in emitted_ops().values()}


@pytest.mark.parametrize(("entry", "example"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_example(entry: Entry, example: Example, tmp_path: Path) -> None:
    for opset in opsets(entry, example):
        proto = one_node(entry, example, opset)
        read = load_model(save(tmp_path / "model.onnx", proto))
        points = points_for(read.network.n_inputs)
        assert_close_in_float32(evaluate(read.network, points), run(proto, points))
        assert read.opset == opset
        assert [spec.shape for spec in read.network.inputs] == [x for x in example.inputs if isinstance(x, tuple)]


@pytest.mark.parametrize(("entry", "example"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_output_shapes(entry: Entry, example: Example, tmp_path: Path) -> None:
    proto = one_node(entry, example, example.opset)
    read = load_model(save(tmp_path / "model.onnx", proto))
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph.output
    for spec, info in zip(read.network.outputs, inferred, strict=True):
        kind = info.type.tensor_type
        # onnx infers nothing for some operators that it defines as functions.
        assert not kind.HasField("shape") or list(spec.shape) == [d.dim_value for d in kind.shape.dim]
        assert spec.size == evaluate(read.network, points_for(read.network.n_inputs)).shape[1] or len(inferred) > 1
