"""Reading ONNX files: every way a model may be written down gives the network that onnxruntime runs."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import assert_close_in_float32, model, newest_opset, node, points_for, run, save

from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.network.read_onnx import OLDEST_OPSET, Model, describe, load_model

RNG = np.random.default_rng(0)
W1, B1 = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
W2, B2 = RNG.normal(size=(3, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
WEIGHTS = {"W1": W1, "B1": B1, "W2": W2, "B2": B2}
LAYERS = [node("Gemm", "x W1 B1", "h"), node("Relu", "h", "r", "bend"), node("Gemm", "r W2 B2", "y")]


def two_layers(**options: object) -> onnx.ModelProto:
    return model(LAYERS, {"x": [1, 4]}, ["y"], WEIGHTS, **options)


def agrees(path: Path, proto: onnx.ModelProto | Path | None = None) -> Network:
    """The network read from the file, checked against onnxruntime on the file or the given model."""
    network = load_model(path).network
    points = points_for(network.n_inputs)
    assert_close_in_float32(evaluate(network, points), run(path if proto is None else proto, points))
    return network


def check(tmp_path: Path, proto: onnx.ModelProto) -> Network:
    return agrees(save(tmp_path / "model.onnx", proto))


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, newest_opset() + 1))
def test_every_opset(opset: int, tmp_path: Path) -> None:
    check(tmp_path, two_layers(opset=opset))


def test_model_facts(tmp_path: Path) -> None:
    path = save(tmp_path / "model.onnx", two_layers())
    found = load_model(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == Model(path, digest, found.network, 17, Counter(Gemm=2, Relu=1), 4 * 3 + 3 + 3 * 2 + 2)
    assert [(s.name, s.shape, s.dtype, s.size) for s in found.network.inputs] == [("x", (1, 4), "float32", 4)]
    assert [(s.name, s.shape, s.dtype, s.size) for s in found.network.outputs] == [("y", (1, 2), "float32", 2)]


def test_hidden_values_keep_their_names(tmp_path: Path) -> None:
    network = check(tmp_path, two_layers())
    assert {"h", "r"} <= network.shapes.keys()
    assert network.by_name["r"].source == "Relu bend"


def test_gzip(tmp_path: Path) -> None:
    proto = two_layers()
    packed = tmp_path / "model.onnx.gz"
    packed.write_bytes(gzip.compress(proto.SerializeToString()))
    for path in (packed, tmp_path / "model.onnx"):
        found = load_model(path)
        assert found.path == packed
        assert found.sha256 == hashlib.sha256(proto.SerializeToString()).hexdigest()
        points = points_for(4)
        assert_close_in_float32(evaluate(found.network, points), run(proto, points))


def test_external_data(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(two_layers(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size >= 4 * (12 + 3 + 6 + 2)
    agrees(path)


@pytest.mark.parametrize("shape", [[1, 4], ["N", 4], ["batch", "four"], [None, 4], [2, 4]], ids=str)
def test_batch_axis(shape: list[int | str | None], tmp_path: Path) -> None:
    weights = WEIGHTS if shape != ["batch", "four"] else WEIGHTS | {"W1": W1[:1]}
    network = check(tmp_path, model(LAYERS, {"x": shape}, ["y"], weights))
    expected = tuple(n if isinstance(n, int) else 1 for n in shape)
    assert network.inputs[0].shape == expected
    assert network.outputs[0].shape == (expected[0], 2)


def test_no_batch_axis(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x W1", "a"), node("Add", "a B1", "b"), node("Relu", "b", "c"), node("MatMul", "c W2", "y")]
    network = check(tmp_path, model(nodes, {"x": [4]}, ["y"], WEIGHTS))
    assert network.outputs[0].shape == (2,)


def test_weights_listed_as_graph_inputs(tmp_path: Path) -> None:
    proto = two_layers(listed=True)
    assert [i.name for i in proto.graph.input] == ["x", "W1", "B1", "W2", "B2"]
    assert [s.name for s in check(tmp_path, proto).inputs] == ["x"]


def test_constants_from_nodes(tmp_path: Path) -> None:
    nodes = [
        node("Constant", "", "W1", value=numpy_helper.from_array(W1)),
        node("Constant", "", "B1", value_floats=B1.tolist()),
        node("Constant", "", "half", value_float=0.5),
        node("Constant", "", "shape", value_ints=[3, 1]),
        node("Constant", "", "axes", value_ints=[1]),
        node("Constant", "", "last", value_int=-1),
        node("Identity", "W1", "W"),
        node("MatMul", "x W", "a"),
        node("Mul", "a half", "b"),
        node("Add", "b B1", "c"),
        node("Reshape", "c shape", "d"),
        node("ReduceMean", "d axes", "e"),
        node("Gather", "e last", "y", axis=1),
    ]
    network = check(tmp_path, model(nodes, {"x": [1, 4]}, ["y"], opset=18))
    assert network.outputs[0].shape == (3,)


def test_shapes_are_computed_ahead(tmp_path: Path) -> None:
    """What torch.onnx writes for x.view(x.size(0), -1) and friends."""
    nodes = [
        node("Shape", "x", "whole"),
        node("Gather", "whole zero", "first", axis=0),
        node("Unsqueeze", "first axes", "first1"),
        node("Concat", "first1 rest", "shape", axis=0),
        node("Reshape", "x shape", "flat"),
        node("Shape", "x", "tail", start=-2),
        node("Cast", "tail", "tail_float", to=TensorProto.FLOAT),
        node("ReduceProd", "tail_float", "area", keepdims=0),
        node("Div", "flat area", "mean"),
        node("Size", "x", "count"),
        node("Unsqueeze", "count axes", "count1"),
        node("ConstantOfShape", "count1", "ones", value=numpy_helper.from_array(np.float32([2.0]))),
        node("Add", "mean ones", "y"),
    ]
    weights = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])}
    network = check(tmp_path, model(nodes, {"x": ["N", 2, 3, 2]}, ["y"], weights))
    assert network.outputs[0].shape == (1, 12)
    assert {type(n.op).__name__ for n in network.nodes} == {"Reshape", "ScaleShift"}


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "a W1 B1", "h"),
        node("Relu", "h", "r"),
        node("Gemm", "r W2 B2", "y"),
        node("Mul", "b b", "square"),
        node("Add", "y square", "z"),
    ]
    proto = model(nodes, {"b": [1, 2], "a": [1, 4]}, ["z", "r", "h"], WEIGHTS)
    network = check(tmp_path, proto)
    assert [s.name for s in network.inputs] == ["b", "a"]
    assert [(s.name, s.size) for s in network.outputs] == [("z", 2), ("r", 3), ("h", 3)]


def test_residual(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x M", "a"), node("Relu", "a", "b"), node("MatMul", "b M", "c"), node("Add", "x c", "d")]
    nodes += [node("Relu", "d", "e"), node("Sub", "e d", "f"), node("Add", "f f", "y")]
    check(tmp_path, model(nodes, {"x": [1, 4]}, ["y"], {"M": RNG.normal(size=(4, 4)).astype(np.float32)}))


@pytest.mark.parametrize("first", ["Identity", "Dropout"])
def test_a_value_under_two_names(first: str, tmp_path: Path) -> None:
    nodes = [node(first, "x", "a"), node("Relu", "a", "b"), node("Identity", "b", "c"), node("Add", "x c", "d")]
    nodes += [node("Sub", "d b", "e"), node("Add", "e a", "y")]
    check(tmp_path, model(nodes, {"x": [1, 4]}, ["y", "c"]))


def test_unused_nodes_and_weights_are_left_out(tmp_path: Path) -> None:
    nodes = [*LAYERS, node("Sigmoid", "h", "unused"), node("Relu", "unused", "more")]
    network = check(tmp_path, model(nodes, {"x": [1, 4]}, ["y"], WEIGHTS | {"extra": np.ones(7, np.float32)}))
    assert "unused" not in network.shapes
    assert "more" not in network.shapes


@pytest.mark.parametrize("opset", [7, 17])
def test_an_unused_input_keeps_its_place(opset: int, tmp_path: Path) -> None:
    network = check(tmp_path, model(LAYERS, {"spare": [2, 2], "x": [1, 4]}, ["y"], WEIGHTS, opset=opset))
    assert network.n_inputs == 8


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([node("Identity", "x", "y")], ["y"]),
        ([node("Identity", "x", "a"), node("Identity", "a", "y")], ["y"]),
        ([node("Relu", "x", "a"), node("Identity", "a", "y"), node("Neg", "a", "z")], ["y", "z", "a"]),
        ([node("Identity", "one", "y"), node("Neg", "x", "z")], ["y", "z"]),
        ([node("Flatten", "x", "y")], ["y"]),
        ([node("Dropout", "x", "a"), node("Relu", "a", "y")], ["y"]),
    ],
    ids=["input", "twice", "value", "constant", "reshaped input", "dropout"],
)
def test_outputs_that_compute_nothing(nodes: list[onnx.NodeProto], outputs: list[str], tmp_path: Path) -> None:
    check(tmp_path, model(nodes, {"x": [1, 4]}, outputs, {"one": np.float32([1.0, 2.0])}))


@pytest.mark.parametrize("names", [("@input", "@1:Dense"), ("@0:Dense", "@input"), ("@2:Relu", "@3:Dense")])
def test_tensor_names_that_look_like_ours(names: tuple[str, str], tmp_path: Path) -> None:
    first, second = names
    nodes = [
        node("Gemm", "x W1 B1", first),
        node("Relu", first, second),
        node("Identity", second, "same"),
        node("Gemm", f"{second} W2 B2", "a"),
        node("ReduceSum", "same", "b", keepdims=1),
        node("Add", "a b", "y"),
    ]
    check(tmp_path, model(nodes, {"x": [1, 4]}, ["y", first], WEIGHTS))


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.DOUBLE, np.float64), (TensorProto.FLOAT16, np.float16)])
def test_other_float_types(kind: int, dtype: type, tmp_path: Path) -> None:
    weights = {name: (0.5 * array).round(1).astype(dtype) for name, array in WEIGHTS.items()}
    proto = model(LAYERS, {"x": [1, 4]}, ["y"], weights, dtype=kind)
    network = load_model(save(tmp_path / "model.onnx", proto)).network
    assert network.inputs[0].dtype == network.outputs[0].dtype == np.dtype(dtype).name
    x = points_for(4, count=1)
    h = np.maximum(x @ weights["W1"].astype(np.float64) + weights["B1"], 0.0)
    np.testing.assert_allclose(evaluate(network, x), h @ weights["W2"].astype(np.float64) + weights["B2"], rtol=1e-12)


def test_casts(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "d", to=TensorProto.DOUBLE), node("Mul", "d two", "e"), node("Cast", "e", "y", to=1)]
    check(tmp_path, model(nodes, {"x": [1, 4]}, ["y"], {"two": np.array([2.0])}))


def test_constants_are_folded_in_their_own_type(tmp_path: Path) -> None:
    """1e8 + 1 is 1e8 in float32, so that the weight is 0, not 1."""
    nodes = [
        node("Add", "large one", "a"),
        node("Sub", "a large", "w"),
        node("Mul", "x w", "p"),
        node("Add", "p x", "y"),
    ]
    weights = {"large": np.float32([1e8]), "one": np.float32([1.0])}
    network = check(tmp_path, model(nodes, {"x": [1]}, ["y"], weights))
    assert evaluate(network, np.array([[3.0]]))[0, 0] == 3.0


def test_attributes_at_their_defaults_and_omitted_inputs(tmp_path: Path) -> None:
    nodes = [node("Clip", "x _ high", "a"), node("Gemm", "a W1", "b"), node("LeakyRelu", "b", "y")]
    check(tmp_path, model(nodes, {"x": [1, 4]}, ["y"], {"W1": W1, "high": np.float32(0.3)}))


def test_describe_needs_no_support(tmp_path: Path) -> None:
    nodes = [*LAYERS, node("NoSuchOperator", "y", "z"), node("Shape", "z", "s")]
    proto = model(nodes, {"x": ["N", 4]}, ["z"], WEIGHTS, listed=True)
    sheet = describe(save(tmp_path / "model.onnx", proto))
    assert (sheet.opset, sheet.n_parameters) == (17, 23)
    assert sheet.tensors[0] == "input x [N, 4]"
    assert [line.split()[0] for line in sheet.tensors] == ["input", "output"]
    assert ("Gemm", 2, "linear") in sheet.operators
    assert ("NoSuchOperator", 1, "NOT SUPPORTED unless constant") in sheet.operators
    assert ("Shape", 1, "constant") in sheet.operators


def test_a_local_function_is_not_taken_for_an_operator(tmp_path: Path) -> None:
    """A model may bring its own definition of a name, in a domain of its own."""
    body = helper.make_function("mine", "Relu", ["a"], ["b"], [node("Neg", "a", "b")], [helper.make_opsetid("", 17)])
    only = node("Relu", "x", "y", domain="mine")
    proto = model([only], {"x": [1, 2]}, ["y"])
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    proto.functions.append(body)
    assert run(proto, np.array([[1.0, -2.0]])).tolist() == [[-1.0, 2.0]]
    with pytest.raises(Exception, match="operator Relu at node"):
        load_model(save(tmp_path / "model.onnx", proto))
