"""Uses of the operators that their examples leave out, each against onnxruntime: odd ranks, signs, omissions, windows
that do not fit. Shapes are variable inputs, arrays constant ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import assert_close_in_float32, model, newest_opset, node, points_for, run, save

from certify.errors import UnsupportedOp
from certify.network.evaluate import evaluate
from certify.network.read_onnx import load_model

LOWEST, HIGHEST = -(2**63), 2**63 - 1


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def floats(*shape: int) -> np.ndarray:
    return (np.cos(np.arange(np.prod(shape, dtype=int))).reshape(shape) + 1.5).astype(np.float32)


USES: list[tuple[str, list[Any], dict[str, Any], int]] = [
    ("Add", [(3,), floats(2, 3)], {}, 17),
    ("Add", [(2, 3), floats(1, 1, 1)], {}, 17),
    ("Add", [floats(), (2, 3)], {}, 17),
    ("Add", [(), floats()], {}, 17),
    ("Add", [(), (2,)], {}, 17),
    ("Add", [(2, 1), (3,)], {}, 17),
    ("Sub", [floats(2, 1), (3,)], {}, 17),
    ("Sub", [(3,), (2, 1)], {}, 17),
    ("Sub", [floats(), ()], {}, 17),
    ("Mul", [(3,), floats(1, 1, 3)], {}, 17),
    ("Mul", [(2, 1), (3,)], {}, 17),
    ("Mul", [(), floats(1)], {}, 17),
    ("Div", [(2, 3), floats()], {}, 17),
    ("Div", [floats(2, 3), (3,)], {}, 17),
    ("Div", [(2, 3), (2, 1)], {}, 17),
    ("Sum", [floats(3), (2, 3), floats(2, 1)], {}, 17),
    ("Gemm", [(3, 2), floats(3, 4), floats(2, 1)], {"transA": 1, "alpha": -0.5, "beta": 3.0}, 17),
    ("Gemm", [(2, 3), floats(3, 4), floats()], {}, 17),
    ("Gemm", [(2, 3), floats(3, 4), (4,)], {"beta": 0.5}, 17),
    ("Gemm", [(2, 3), floats(3, 4), floats(4)], {"beta": 0.0}, 17),
    ("Gemm", [floats(3, 2), (4, 3)], {"transA": 1, "transB": 1, "alpha": 2.0}, 17),
    ("MatMul", [(4,), floats(1, 4, 3)], {}, 17),
    ("MatMul", [(2, 4), floats(1, 1, 4, 3)], {}, 17),
    ("MatMul", [(2, 3, 4), floats(1, 4, 5)], {}, 17),
    ("MatMul", [(4,), floats(4)], {}, 17),
    ("MatMul", [floats(4), (4,)], {}, 17),
    ("MatMul", [floats(2, 3, 4), (2, 4, 5)], {}, 17),
    ("MatMul", [floats(3, 4), (2, 4, 5)], {}, 17),
    ("MatMul", [(2, 1, 3, 4), floats(2, 1, 4, 2)], {}, 17),
    ("Conv", [(1, 2, 4, 5), floats(3, 2, 4, 5), floats(3)], {}, 17),
    ("Conv", [(2, 2, 4, 5), floats(2, 1, 4, 5)], {"group": 2}, 17),
    ("Conv", [(2, 1, 3, 3), floats(2, 1, 3, 3)], {"pads": [1, 1, 1, 1]}, 17),
    ("Conv", [(1, 2, 6, 7), floats(4, 1, 3, 2)], {"group": 2, "strides": [2, 3], "auto_pad": "SAME_UPPER"}, 17),
    ("Conv", [(1, 1, 7, 7), floats(1, 1, 3, 3)], {"dilations": [2, 3], "strides": [2, 1], "pads": [2, 0, 1, 1]}, 17),
    ("Conv", [(1, 2, 9), floats(3, 2, 2), floats(3)], {"strides": [3], "dilations": [2], "auto_pad": "VALID"}, 17),
    ("Conv", [(1, 1, 2, 2), floats(2, 1, 1, 1)], {"strides": [2, 2], "kernel_shape": [1, 1]}, 17),
    ("BatchNormalization", [(2, 3, 2, 2), floats(3), -floats(3), floats(3), floats(3)], {}, 14),
    ("BatchNormalization", [(2, 3), floats(3), -floats(3), floats(3), floats(3)], {"momentum": 0.5}, 17),
    ("MaxPool", [(1, 1, 7, 7)], {"kernel_shape": [3, 3], "strides": [2, 3], "ceil_mode": 1}, 17),
    ("MaxPool", [(1, 1, 6)], {"kernel_shape": [2], "strides": [3], "ceil_mode": 1, "pads": [1, 1]}, 17),
    ("MaxPool", [(1, 1, 8)], {"kernel_shape": [3], "strides": [3], "ceil_mode": 1, "pads": [1, 1]}, 17),
    ("MaxPool", [(1, 1, 9, 6)], {"kernel_shape": [3, 2], "dilations": [2, 3], "strides": [2, 1]}, 17),
    ("MaxPool", [(1, 1, 5, 6)], {"kernel_shape": [2, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}, 17),
    ("MaxPool", [(2, 3, 4, 4)], {"kernel_shape": [4, 4], "storage_order": 1}, 17),
    ("AveragePool", [(1, 1, 7, 7)], {"kernel_shape": [3, 3], "strides": [2, 3], "ceil_mode": 1}, 17),
    ("AveragePool", [(1, 1, 6)], {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_UPPER"}, 17),
    ("AveragePool", [(1, 1, 6)],
     {"kernel_shape": [4], "strides": [2], "auto_pad": "SAME_UPPER", "count_include_pad": 1}, 17),
    ("AveragePool", [(1, 1, 5, 6)], {"kernel_shape": [2, 3], "auto_pad": "SAME_LOWER", "count_include_pad": 1}, 17),
    ("AveragePool", [(1, 1, 9)], {"kernel_shape": [3], "dilations": [2], "pads": [1, 2], "count_include_pad": 1}, 19),
    ("AveragePool", [(1, 1, 8)],
     {"kernel_shape": [3], "strides": [3], "ceil_mode": 1, "count_include_pad": 1, "pads": [1, 1]}, 19),
    ("Clip", [(6,), "", np.float32(0.25)], {}, 13),
    ("Clip", [(6,), np.float32(0.5), np.float32(-0.5)], {}, 13),
    ("Clip", [(6,)], {}, 13),
    ("Clip", [(6,)], {"max": -0.1}, 10),
    ("Clip", [(), np.float32(-0.1), np.float32(0.1)], {}, 13),
    ("Neg", [()], {}, 17),
    ("LeakyRelu", [()], {"alpha": 3.0}, 17),
    ("Squeeze", [(1, 3, 1), ints(-1, -3)], {}, 17),
    ("Unsqueeze", [(2, 3), ints(-1, -3)], {}, 17),
    ("Unsqueeze", [(), ints(0, 1)], {}, 17),
    ("Flatten", [(2, 3, 4)], {"axis": 3}, 17),
    ("Flatten", [(2, 3, 4)], {"axis": 0}, 17),
    ("Reshape", [(2, 6), ints(0, 3, -1)], {}, 17),
    ("Reshape", [(2, 6), ints(-1)], {"allowzero": 1}, 17),
    ("Reshape", [(1, 1), ints()], {}, 17),
    ("Transpose", [(2, 3, 4)], {}, 17),
    ("Slice", [(4, 5), ints(3), ints(LOWEST), ints(0), ints(-1)], {}, 17),
    ("Slice", [(4, 5), ints(HIGHEST), ints(-5), ints(-1), ints(-2)], {}, 17),
    ("Slice", [(4, 5), ints(-100, 1), ints(100, -1)], {}, 17),
    ("Slice", [(4, 5), ints(0), ints(HIGHEST), ints(-2), ints(3)], {}, 17),
    ("Gather", [(3, 4), ints(-1, 0, -4)], {"axis": -1}, 17),
    ("Gather", [(4,), np.array(2)], {}, 17),
    ("Gather", [(3, 2), np.array([[1], [0]])], {"axis": 1}, 17),
    ("Pad", [(2, 3), ints(1, 2), np.float32(-1.0), ints(-1)], {}, 18),
    ("Pad", [(2, 4), ints(1, -2, -1, 3), np.float32(2.0)], {}, 17),
    ("Pad", [(2, 4), ints(0, 3, 1, 2)], {"mode": "wrap"}, 19),
    ("Pad", [(2, 4), ints(0, 3, 0, 1)], {"mode": "reflect"}, 18),
    ("Pad", [(2, 4), ints(2, 0), "", ints(-1)], {"mode": "edge"}, 18),
    ("ReduceSum", [(2, 3)], {"noop_with_empty_axes": 1}, 17),
    ("ReduceSum", [(2, 3, 4), ints(-1, 0)], {"keepdims": 0}, 17),
    ("ReduceMean", [(2, 3, 4), ints(-1, 0)], {"keepdims": 0}, 18),
    ("ReduceMean", [(2, 3, 4)], {"axes": [-2]}, 13),
    ("Concat", [(2, 3), floats(2, 2), (2, 1), floats(2, 1)], {"axis": -1}, 17),
    ("Concat", [(2, 3)], {"axis": 0}, 17),
    ("Dropout", [(3,), np.float32(0.7), np.array(False)], {}, 17),
    ("Identity", [()], {}, 17),
    ("Reciprocal", [()], {}, 17),
    ("Abs", [()], {}, 17),
    ("Floor", [()], {}, 17),
    ("Pow", [(), floats()], {}, 17),
    ("Pow", [(2, 1), np.array([2.0, 3.0], np.float32)], {}, 17),
    ("Pow", [(3,), np.array([[[2.0]], [[-1.0]]], np.float32)], {}, 17),
    ("PRelu", [(2, 3), np.array([[0.5], [-1.0]], np.float32)], {}, 17),
    ("HardSwish", [()], {}, 17),
    ("Selu", [()], {}, 17),
    ("ConvTranspose", [(2, 3, 4), floats(3, 2, 3), floats(2)], {"strides": [2], "pads": [2, 1], "dilations": [2]}, 17),
    ("ConvTranspose", [(1, 2, 3, 3), floats(2, 1, 2, 2)], {"auto_pad": "VALID", "group": 1}, 17),
    ("ConvTranspose", [(1, 2, 3, 3), floats(2, 2, 3, 3)],
     {"group": 2, "strides": [2, 3], "output_padding": [1, 2], "pads": [1, 1, 1, 1]}, 17),
    ("ConvTranspose", [(1, 1, 4), floats(1, 1, 4)], {"auto_pad": "SAME_UPPER", "strides": [3]}, 17),
    ("ConvTranspose", [(1, 1, 4), floats(1, 1, 5)],
     {"output_shape": [9], "strides": [2], "auto_pad": "SAME_UPPER"}, 17),
    ("MatMul", [(4,), (4,)], {}, 17),
    ("MatMul", [(2, 3), (5, 3, 2)], {}, 17),
    ("MatMul", [(3,), floats(2, 3, 4)], {}, 17),
    ("Max", [(2, 3), np.float32(np.finfo(np.float32).min)], {}, 17),
    ("Min", [(2, 3), np.float32([[1.0], [0.0]]), (1,)], {}, 17),
    ("ReduceMax", [(2, 7)], {"axes": [-1], "keepdims": 0}, 13),
    ("ReduceMin", [(7, 3, 1)], {}, 13),
    ("Softmax", [(1, 5, 2, 7)], {"axis": 1}, 13),
    ("Softmax", [(4,)], {}, 13),
    ("LogSoftmax", [(2, 9)], {}, 13),
    ("Einsum", [floats(2, 3), (3, 2)], {"equation": "ij,jk"}, 17),
    ("Einsum", [(2, 1, 3, 4), (2, 1, 5, 4)], {"equation": "bhqd,bhkd->bhqk"}, 17),
    ("Einsum", [(2, 3), floats(4)], {"equation": "ij,k->kji"}, 17),
    ("CumSum", [(2, 5), np.array(-1)], {"reverse": 1}, 17),
    ("CumSum", [(5,), np.array(0)], {"exclusive": 1}, 17),
    ("GatherElements", [(2, 3, 2), np.array([[[2], [0]]])], {"axis": 1}, 17),
    ("Where", [np.array([[True], [False]]), (2, 3), np.float32([[7.0], [1.0]])], {}, 17),
    ("LayerNormalization", [(2, 3, 4), floats(3, 4), floats(3, 4)], {"axis": -2}, 17),
    ("InstanceNormalization", [(1, 3, 2, 2), floats(3), floats(3)], {}, 17),
    ("ScatterND", [(2, 3, 2), np.array([[1], [0]]), (2, 3, 2)], {}, 17),
    ("DepthToSpace", [(1, 12, 1, 2)], {"blocksize": 2}, 13),
    ("Split", [(2, 5)], {"axis": 1, "num_outputs": 1}, 18),
    ("AveragePool", [(1, 1, 6)], {"kernel_shape": [6]}, 17),
]  # fmt: skip

COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("nearest", [*NEAREST, "linear"])
@pytest.mark.parametrize("factor", [2.0, 3.0, 0.5, 1.5, 2.5, 0.6, 1.0 / 3.0, 1.1, 0.9, None])
def test_resize(coordinates: str, nearest: str, factor: float | None, tmp_path: Path) -> None:
    """All ties that small sizes have; None stands for given sizes."""
    for length in (1, 3, 4, 7, 10):
        attributes = {
            "coordinate_transformation_mode": coordinates,
            "mode": "linear" if nearest == "linear" else "nearest",
        }
        if nearest != "linear":
            attributes["nearest_mode"] = nearest
        if factor is not None and (int(length * factor) < 1 or int(length * factor) == length):
            continue
        weights = {"none": np.zeros(0, np.float32), "scales": np.float32([1.0, 1.0, factor or 1.0, 1.0])}
        weights["sizes"] = ints(1, 1, length + 3, 3)
        names = "x none scales" if factor is not None else "x none none sizes"
        proto = model([node("Resize", names, "y", **attributes)], {"x": [1, 1, length, 3]}, ["y"], weights, opset=13)
        path = save(tmp_path / "model.onnx", proto)
        network = load_model(path).network
        points = points_for(network.n_inputs)
        assert_close_in_float32(evaluate(network, points), run(path, points))


def test_choices_between_computed_values(tmp_path: Path) -> None:
    nodes = [
        node("Greater", "x zero", "above"),
        node("Less", "x half", "below"),
        node("And", "above below", "between"),
        node("Not", "between", "outside"),
        node("Mul", "x x", "square"),
        node("Where", "between square x", "chosen"),
        node("Where", "outside one zero", "flag"),
        node("ArgMax", "x", "best", axis=1),
        node("Cast", "best", "position", to=1),
        node("Equal", "position one", "is_one"),
        node("Cast", "is_one", "told", to=1),
        node("Add", "chosen flag", "partial"),
        node("Add", "partial told", "y"),
    ]
    weights = {"zero": np.float32(0.0), "half": np.float32(0.5), "one": np.float32(1.0)}
    path = save(tmp_path / "model.onnx", model(nodes, {"x": [2, 3]}, ["y"], weights))
    network = load_model(path).network
    points = points_for(6, count=200)
    assert_close_in_float32(evaluate(network, points), run(path, points))


@pytest.mark.parametrize(("operator", "attributes"), [("Div", {}), ("Pow", {}), ("Softmax", {}), ("ReduceMean", {})])
def test_integers_are_not_taken_for_floats(operator: str, attributes: dict[str, Any], tmp_path: Path) -> None:
    """7 / 2 is 3 for integers."""
    inputs = "j two" if operator in ("Div", "Pow") else "j"
    nodes = [node("Cast", "x", "i", to=7), node("Reshape", "i shape", "j"), node(operator, inputs, "k"),
             node("Cast", "k", "y", to=1)]  # fmt: skip
    weights = {"two": np.array(2), "shape": ints(3, 2)}
    path = save(tmp_path / "model.onnx", model(nodes, {"x": [2, 3]}, ["y"], weights))
    with pytest.raises(UnsupportedOp, match="computed int|not supported"):
        load_model(path)


@pytest.mark.parametrize(("op_type", "inputs", "attributes", "opset"), USES,
                         ids=[f"{use[0]}-{number}" for number, use in enumerate(USES)])  # fmt: skip
def test_use(op_type: str, inputs: list[Any], attributes: dict[str, Any], opset: int, tmp_path: Path) -> None:
    names = ["_" if isinstance(x, str) else f"i{position}" for position, x in enumerate(inputs)]
    constants = {n: x for n, x in zip(names, inputs, strict=True) if isinstance(x, np.ndarray | np.generic)}
    variables = {n: x for n, x in zip(names, inputs, strict=True) if isinstance(x, tuple)}
    proto = model([node(op_type, " ".join(names), "y", **attributes)], variables, ["y"], constants, opset=opset)
    assert opset <= newest_opset()
    path = save(tmp_path / "model.onnx", proto)
    network = load_model(path).network
    points = points_for(network.n_inputs)
    assert_close_in_float32(evaluate(network, points), run(path, points))


def test_ranks_survive_arithmetic_on_scalars(tmp_path: Path) -> None:
    nodes = [
        node("ReduceSum", "x", "total", keepdims=0),
        node("Add", "total one", "more"),
        node("Sub", "one more", "less"),
        node("Mul", "less one", "same"),
        node("Clip", "same low high", "clipped"),
        node("Sigmoid", "clipped", "bent"),
        node("Unsqueeze", "bent axis", "vector"),
        node("Concat", "vector x", "y", axis=0),
    ]
    weights = {"one": np.float32(0.5), "axis": ints(0), "low": np.float32(-1.0), "high": np.float32(0.1)}
    path = save(tmp_path / "model.onnx", model(nodes, {"x": [3]}, ["y"], weights))
    network = load_model(path).network
    points = points_for(3)
    assert_close_in_float32(evaluate(network, points), run(path, points))
