"""`certify spec robust`: what it writes reads back and fits the model; what it cannot use is one clear error."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from certify.cli.spec import app
from certify.query.normal_form import lower
from certify.query.read import read_query

onnx = pytest.importorskip("onnx")
X = np.array([[[0.1, 0.9]], [[0.8, 0.3]], [[0.2, 0.7]]], dtype=np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier [batch, 1, 2] -> [batch, 2] that answers with the larger element."""
    shape = onnx.numpy_helper.from_array(np.array([-1, 2]), "shape")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "larger",
        [onnx.helper.make_tensor_value_info("x", 1, ["batch", 1, 2])],
        [onnx.helper.make_tensor_value_info("y", 1, ["batch", 2])],
        [shape],
    )
    path = tmp_path / "larger.onnx"
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(proto.SerializeToString())
    return path


def _run(model: Path, data: Path, *options: str) -> Result:
    arguments = [
        "robust",
        str(model),
        "--data",
        str(data),
        "--eps",
        "0.05",
        "--out",
        str(data.parent / "out"),
        *options,
    ]
    return CliRunner().invoke(app, arguments)


def _save(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
    return folder / "data.npz"


def _instances(folder: Path) -> list[list[str]]:
    with (folder / "out" / "instances.csv").open() as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_writes_one_spec_per_sample_and_skips_misclassified_ones(model: Path, version: str) -> None:
    data = _save(model.parent, images=X, labels=np.array([1, 1, 1]))
    result = _run(model, data, "--version", version, "--clip", "0", "1", "--timeout", "30")
    assert result.exit_code == 0, result.output
    assert "sample 1: skipped, the model says 0 instead of 1" in result.output
    rows = _instances(model.parent)
    assert [row[1:] for row in rows] == [["larger_0_eps0.05.vnnlib", "30"], ["larger_2_eps0.05.vnnlib", "30"]]
    for onnx_path, spec, _ in rows:
        assert (model.parent / "out" / onnx_path).resolve() == model.resolve()
        query = read_query(model.parent / "out" / spec, strict=True)
        assert query.version == version
        if version == "2.0":
            assert [tensor.shape for tensor in query.tensors()] == [(1, 1, 2), (1, 2)]
        unsafe = lower(query)
        assert unsafe.atoms.outputs.tolist() == [[-1, 1]]
        (region,) = unsafe.regions
        assert (region.upper - region.lower <= 0.1).all()
        assert region.upper.max() <= 1.0


def test_without_labels_the_model_names_the_class(model: Path) -> None:
    np.save(model.parent / "data.npy", X)
    assert _run(model, model.parent / "data.npy", "--count", "2").exit_code == 0
    assert len(_instances(model.parent)) == 2
    assert len(list((model.parent / "out").glob("*.vnnlib"))) == 2


def test_an_output_of_unknown_shape_has_as_many_classes_as_onnxruntime_says(model: Path) -> None:
    proto = onnx.load(model)
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "classes"
    onnx.save(proto, model)
    assert _run(model, _save(model.parent, x=X)).exit_code == 0
    query = read_query(next((model.parent / "out").glob("*.vnnlib")))
    assert query.networks[0].outputs[0].shape == (2,)


def test_samples_are_chosen_by_number(model: Path) -> None:
    data = _save(model.parent, a=X, b=np.array([1, 0, 1]))
    assert _run(model, data, "--x", "a", "--y", "b", "--index", "2", "--index", "1").exit_code == 0
    assert [row[1] for row in _instances(model.parent)] == ["larger_2_eps0.05.vnnlib", "larger_1_eps0.05.vnnlib"]


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"a": X}, [], "which of a holds the samples? (call it x: numpy.savez(path, x=..., y=...))"),
        ({"x": X}, ["--y", "labels"], "there is no array labels, but x"),
        ({"x": X[..., :1]}, [], "a sample has the shape [1, 1]"),
        ({"x": X[0, 0]}, [], "the samples have the shape [2]"),
        ({"x": X, "y": np.zeros((3, 2))}, [], "[3, 2] labels for 3 samples"),
        ({"x": X}, ["--index", "3"], "there is no sample 3: the data has 3"),
        ({"x": X, "y": np.array([0, 1, 7])}, [], "there is a label 7"),
        ({"x": X, "y": np.array([0, 1, 0])}, [], "classifies none of the samples correctly"),
        ({"x": X}, ["--clip", "2", "3"], "no input is within 0.05 of element 0"),
        ({"x": np.array([[None]], dtype=object)}, [], "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_an_input_error(
    model: Path, arrays: dict[str, np.ndarray], options: list[str], message: str
) -> None:
    result = _run(model, _save(model.parent, **arrays), *options)
    assert result.exit_code == 2
    assert message in result.output


def test_missing_and_damaged_data(model: Path) -> None:
    assert "no such file" in _run(model, model.parent / "none.npz").output
    (model.parent / "damaged.npz").write_bytes(b"PK\x03\x04 nothing")
    result = _run(model, model.parent / "damaged.npz")
    assert result.exit_code == 2
    assert "cannot be read" in result.output
