"""ONNX models for the tests, built with onnx.helper, and what onnxruntime computes for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# Read by every onnxruntime of the last years; the newest that onnx writes may be too new for the one installed.
IR_VERSION = 8

Shape = Sequence[int | str]


def node(op_type: str, inputs: str, outputs: str, name: str = "", **attributes: object) -> onnx.NodeProto:
    """A node; inputs and outputs are names separated by blanks, '_' for an omitted one."""
    split = [["" if name == "_" else name for name in names.split()] for names in (inputs, outputs)]
    return helper.make_node(op_type, *split, name=name or None, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    listed: bool = False,
    dtype: int = TensorProto.FLOAT,
    gives: int | None = None,
) -> onnx.ModelProto:
    """A model with these float inputs; `listed` repeats the weights among the graph's inputs, as old exporters do.

    gives: the type of the outputs, that of the inputs if None.
    """
    weights = weights or {}
    infos = [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    if listed:
        infos += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
    found = [helper.make_tensor_value_info(name, dtype if gives is None else gives, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "test", infos, found, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)


def save(path: Path, proto: onnx.ModelProto) -> Path:
    """The model as a file."""
    path.write_bytes(proto.SerializeToString())
    return path


def session(proto: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    """One silent thread of onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(proto) if isinstance(proto, Path) else proto.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(proto: onnx.ModelProto | Path, points: np.ndarray) -> np.ndarray:
    """onnxruntime on flat points: [points, n_inputs] -> [points, n_outputs], symbolic axes taken as 1."""
    runner = session(proto)
    shapes = [tuple(n if isinstance(n, int) and n > 0 else 1 for n in i.shape) for i in runner.get_inputs()]
    cuts = np.cumsum([int(np.prod(shape, dtype=int)) for shape in shapes])
    found = []
    for point in points:
        feeds = {
            i.name: part.reshape(shape).astype(np.float64 if "double" in i.type else np.float32)
            for i, part, shape in zip(runner.get_inputs(), np.split(point, cuts[:-1]), shapes, strict=True)
        }
        found.append(np.concatenate([np.asarray(y, np.float64).reshape(-1) for y in runner.run(None, feeds)]))
    return np.stack(found)


def runs(proto: onnx.ModelProto) -> bool:
    """Whether onnxruntime takes the model and evaluates it at the origin."""
    try:
        run(proto, np.zeros((1, sum(int(np.prod(i.shape, dtype=int)) for i in session(proto).get_inputs()))))
    except Exception:  # noqa: BLE001 - onnxruntime has a class of its own for each reason
        return False
    return True


@cache
def newest_opset() -> int:
    """The newest opset that both onnx and onnxruntime know."""
    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        if runs(model([node("Relu", "x", "y")], {"x": [1]}, ["y"], opset=opset)):
            return opset
    raise AssertionError("onnxruntime runs nothing")


def points_for(n_inputs: int, seed: int = 0, count: int = 8) -> np.ndarray:
    """Random points that float32 holds exactly, [count, n_inputs]."""
    return np.random.default_rng(seed).normal(size=(count, n_inputs)).astype(np.float32).astype(np.float64)


def assert_close_in_float32(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal up to the rounding of a few dozen float32 operations, relative to the largest value; or both NaN."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=3e-6 * (1.0 + np.nanmax(abs(theirs), initial=0.0)))
