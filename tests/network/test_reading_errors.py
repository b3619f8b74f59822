"""Files that cannot be read or bounded: the right class of error, naming the file or node, never a guess."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import model, node, save

from certify.errors import InputError, ModelError, UnsupportedOp
from certify.network.read_onnx import load_model

W = np.arange(6, dtype=np.float32).reshape(3, 2) / 7.0


def good() -> onnx.ModelProto:
    return model([node("MatMul", "x W", "h"), node("Relu", "h", "y")], {"x": [1, 3]}, ["y"], {"W": W})


def fails(path: Path, kind: type[InputError], *parts: str) -> None:
    """Loading raises this class (or a subclass), and its text has all the parts and the path."""
    with pytest.raises(kind) as caught:
        load_model(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)
    assert caught.value.exit_code == 2


def refused(tmp_path: Path, proto: onnx.ModelProto, *parts: str) -> None:
    fails(save(tmp_path / "model.onnx", proto), ModelError, *parts)


def test_missing(tmp_path: Path) -> None:
    fails(tmp_path / "none.onnx", InputError, "no such file")


def test_folder(tmp_path: Path) -> None:
    fails(tmp_path, InputError, "cannot be read")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "the file is empty"),
        (b"\x00", "not an ONNX model, or truncated"),
        (b"hello world, this is text", "not an ONNX model, or truncated"),
        (b"\x08\x08", "no ONNX graph"),
        (gzip.compress(b""), "the file is empty"),
        (gzip.compress(good().SerializeToString())[:-10], "not a whole gzip file"),
        (b"\x1f\x8bnonsense", "not a whole gzip file"),
    ],
)
def test_damaged(data: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    fails(path, InputError, part)


def test_truncated_anywhere(tmp_path: Path) -> None:
    data = good().SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(1, len(data)):
        path.write_bytes(data[:length])
        fails(path, ModelError)


def test_a_flipped_byte_never_escapes_as_another_error(tmp_path: Path) -> None:
    """Either it still is a model, or the error is one a user can read."""
    data = good().SerializeToString()
    path = tmp_path / "model.onnx"
    read = 0
    for place in range(len(data)):
        for flip in (0x01, 0x80):
            path.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
            try:
                load_model(path)
                read += 1
            except InputError:
                continue
    assert 0 < read < 2 * len(data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_weight_that_is_no_number(bad: float, dtype: type, tmp_path: Path) -> None:
    weight = W.astype(dtype)
    weight[1, 1] = bad
    refused(
        tmp_path, model([node("MatMul", "x W", "y")], {"x": [1, 3]}, ["y"], {"W": weight}), "'W'", "NaN or infinite"
    )


@pytest.mark.parametrize("nodes", [
    [node("Constant", "", "W", "the_node", value=numpy_helper.from_array(W * np.float32(np.nan)))],
    [node("Div", "zero zero", "nan", "the_node"), node("Add", "nan V", "W")],
    [node("Sqrt", "minus", "nan", "the_node"), node("Add", "nan V", "W")],
])  # fmt: skip
def test_constant_that_is_no_number(nodes: list[onnx.NodeProto], tmp_path: Path) -> None:
    weights = {"zero": np.float32([0.0]), "minus": np.float32([-1.0]), "V": W}
    with np.errstate(invalid="ignore"):
        refused(
            tmp_path, model([*nodes, node("MatMul", "x W", "y")], {"x": [1, 3]}, ["y"], weights), "'the_node'", "NaN"
        )


@pytest.mark.parametrize(
    ("bad", "op", "part"),
    [
        (node("NoSuchOperator", "h", "y", "the_node"), "NoSuchOperator", "certify inspect"),
        (node("Det", "h", "y", "the_node"), "Det", "not supported (opset 17)"),
        (node("Relu", "h", "y", "the_node", domain="com.example"), "Relu", "not supported"),
        (node("Cast", "h", "y", "the_node", to=TensorProto.INT8), "Cast", "neither wide float"),
        (node("Transpose", "h", "y", "the_node", perm=[0, 1, 5]), "Transpose", "malformed node"),
        (node("MaxPool", "h", "y", "the_node"), "MaxPool", "malformed node"),
        (node("Gather", "h", "y", "the_node"), "Gather", ""),
        (node("Softmax", "W", "y", "the_node", axis=7), "Softmax", "the constant cannot be computed"),
    ],
)
def test_unsupported(bad: onnx.NodeProto, op: str, part: str, tmp_path: Path) -> None:
    proto = model([node("MatMul", "x W", "h"), bad], {"x": [1, 3]}, ["y"], {"W": W})
    with pytest.raises(UnsupportedOp) as caught:
        load_model(save(tmp_path / "model.onnx", proto))
    assert (caught.value.op, caught.value.node) == (op, "the_node")
    assert str(caught.value).startswith(f"{tmp_path / 'model.onnx'}: operator {op} at node 'the_node': ")
    assert part in str(caught.value)


def test_a_node_without_a_name_is_named_by_place_and_output(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "h"), node("NoSuchOperator", "h", "y")], {"x": [1, 3]}, ["y"])
    with pytest.raises(UnsupportedOp, match=r"at node '#1 \(y\)'"):
        load_model(save(tmp_path / "model.onnx", proto))


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.BOOL, TensorProto.INT32])
def test_inputs_that_are_no_floats(kind: int, tmp_path: Path) -> None:
    refused(tmp_path, model([node("Relu", "x", "y")], {"x": [1, 3]}, ["y"], dtype=kind), "'x'", "only floating point")


def test_input_without_shape(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], {"x": None}, ["y"])
    refused(tmp_path, proto, "'x' has no tensor shape", "export it with")


def test_no_input(tmp_path: Path) -> None:
    refused(tmp_path, model([node("Relu", "W", "y")], {}, ["y"], {"W": W}), "no input that is not a weight")


def test_output_that_nothing_computes(tmp_path: Path) -> None:
    refused(tmp_path, model([node("Relu", "x", "y")], {"x": [1, 3]}, ["z"]), "no node computes the output 'z'")


def test_outputs_that_do_not_depend_on_the_input(tmp_path: Path) -> None:
    proto = model([node("Relu", "W", "y"), node("Relu", "x", "h")], {"x": [1, 3]}, ["y"], {"W": W})
    refused(tmp_path, proto, "no output depends on the input")


def test_nodes_out_of_order(tmp_path: Path) -> None:
    proto = model([node("Relu", "h", "y", "the_node"), node("Neg", "x", "h")], {"x": [1, 3]}, ["y"])
    refused(tmp_path, proto, "'the_node' reads 'h'")


@pytest.mark.parametrize("opset", [1, 6])
def test_opset_too_old(opset: int, tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, ["y"], opset=opset)
    refused(tmp_path, proto, f"opset {opset}", "version_converter")


def test_no_opset(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, ["y"])
    del proto.opset_import[:]
    refused(tmp_path, proto, "opset 1 is older")


def test_sparse_weights(tmp_path: Path) -> None:
    proto = model([node("MatMul", "x W", "y")], {"x": [1, 3]}, ["y"])
    values = numpy_helper.from_array(np.float32([1.0, 2.0]), "W")
    indices = numpy_helper.from_array(np.array([1, 4]), "W_indices")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3, 2]))
    refused(tmp_path, proto, "sparse")


@pytest.mark.parametrize("damage", ["missing", "short", "empty", "outside"])
def test_external_data(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path, data = folder / "model.onnx", folder / "weights.bin"
    onnx.save_model(good(), path, save_as_external_data=True, location=data.name, size_threshold=0)
    load_model(path)
    if damage == "missing":
        data.unlink()
    elif damage == "outside":
        data.rename(tmp_path / data.name)
        proto = onnx.load_model(path, load_external_data=False)
        for entry in proto.graph.initializer[0].external_data:
            if entry.key == "location":
                entry.value = f"../{data.name}"
        save(path, proto)
    else:
        data.write_bytes(b"" if damage == "empty" else data.read_bytes()[:7])
    fails(path, ModelError)


@pytest.mark.parametrize("size", [5, 7])
def test_weight_with_too_few_or_too_many_numbers(size: int, tmp_path: Path) -> None:
    proto = model([node("MatMul", "x W", "y")], {"x": [1, 3]}, ["y"], {"W": W})
    proto.graph.initializer[0].raw_data = np.zeros(size, np.float32).tobytes()
    refused(tmp_path, proto, "'W'", "damaged")


def test_wrong_sizes_are_refused_with_the_node(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x W", "h"), node("Add", "h five", "y", "the_node")]
    proto = model(nodes, {"x": [1, 3]}, ["y"], {"W": W, "five": np.ones(5, np.float32)})
    with pytest.raises(UnsupportedOp, match="operator Add at node 'the_node'"):
        load_model(save(tmp_path / "model.onnx", proto))


def test_matrix_that_does_not_fit_is_refused_with_the_node(tmp_path: Path) -> None:
    proto = model([node("MatMul", "x W", "y", "the_node")], {"x": [1, 4]}, ["y"], {"W": W})
    with pytest.raises(UnsupportedOp, match="operator MatMul at node 'the_node'"):
        load_model(save(tmp_path / "model.onnx", proto))
