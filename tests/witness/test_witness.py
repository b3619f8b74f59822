"""The last word on counterexamples: exact, without tolerance, on the user's own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, save

from certify.errors import ModelError
from certify.query.read import parse_query
from certify.witness.format import write_witness
from certify.witness.replay import Replay
from certify.witness.runtime import Runtime
from certify.witness.satisfies import satisfies

SPEC = """
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (>= X_0 0.1))
(assert (<= X_0 0.1))
(assert (>= X_1 -1))
(assert (<= X_1 1))
(assert (or (and (<= Y_0 0.5)) (and (>= Y_0 100))))
"""

SECOND = """
(vnnlib-version <2.0>)
(declare-network N (declare-input X float32 [1,2]) (declare-output Y float32 [1,1]))
(assert (and (>= X[0,0] 0.0) (<= X[0,0] 1.0) (>= X[0,1] 0.0) (<= X[0,1] 1.0)))
(assert (< (- Y[0,0] (* 2.0 X[0,1])) X[0,0]))
"""


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """y = 2 x_1, whatever x_0 is."""
    weights = {"w": np.array([[0.0], [2.0]], dtype=np.float32)}
    return save(tmp_path / "m.onnx", model([node("MatMul", "x w", "y")], {"x": ["batch", 2]}, ["y"], weights))


def test_a_point_of_the_exact_box_is_a_witness(doubling: Path) -> None:
    witness = Replay(Runtime(doubling), parse_query(SPEC))(np.array([0.1, 0.25]))
    assert witness is not None
    assert witness.outputs["Y"].tolist() == [0.5]


@pytest.mark.parametrize(
    "point",
    [
        [np.float64(np.float32(0.1)), 0.25],  # float32(0.1) is not 0.1
        [0.1, np.nextafter(0.25, 1) + 1e-7],  # 2 x_1 in float32 is above 0.5
        [0.1, 1.0000001],  # outside of the box
        [np.nextafter(0.1, 1), 0.0],  # one unit in the last place outside
        [0.1, np.nan],
        [0.1, -np.inf],
    ],
)
def test_nearly_is_not_enough(doubling: Path, point: list[float]) -> None:
    assert Replay(Runtime(doubling), parse_query(SPEC))(np.array(point)) is None


def test_strict_comparisons_exclude_the_tie(doubling: Path) -> None:
    replay = Replay(Runtime(doubling), parse_query(SECOND))
    assert replay(np.array([0.0, 0.5])) is None  # 2 x_1 - 2 x_1 < 0 is false
    assert replay(np.array([0.25, 0.5])) is not None


def test_sums_are_compared_exactly() -> None:
    """In float64 1e16 + 1 - 1e16 is 0; as a rational number it is 1."""
    query = parse_query(SECOND.replace("(< (- Y[0,0] (* 2.0 X[0,1])) X[0,0])", "(>= (- (+ X[0,0] 1.0) X[0,0]) 1.0)"))
    assert satisfies(query, {"X": np.array([1.0, 1.0]), "Y": np.array([0.0])})
    big = parse_query("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1e17))"
                      "(assert (>= (- (+ X_0 1) X_0) 1))")  # fmt: skip
    assert satisfies(big, {"X": np.array([1e16]), "Y": np.array([0.0])})


def test_the_replay_is_independent_of_the_solver() -> None:
    """Neither our graph nor the normal form may be imported by the room that has the last word."""
    folder = Path(__file__).resolve().parents[2] / "certify" / "witness"
    for path in folder.glob("*.py"):
        text = path.read_text()
        assert "certify.network" not in text
        assert "normal_form" not in text
        assert "formula" not in text


def test_version_1_text(doubling: Path) -> None:
    query = parse_query(SPEC)
    witness = Replay(Runtime(doubling), query)(np.array([0.1, 0.25]))
    assert witness is not None
    text = write_witness(witness, query)
    assert text == "((X_0 0.10000000000000001)\n(X_1 0.25)\n(Y_0 0.5))\n"
    assert float(text.split()[1].rstrip(")")) == 0.1


def test_version_2_text(doubling: Path) -> None:
    query = parse_query(SECOND)
    witness = Replay(Runtime(doubling), query)(np.array([0.25, 0.5]))
    assert witness is not None
    assert write_witness(witness, query) == "X float32 [1,2]\n0.25\n0.5\nY float32 [1,1]\n1\n"


def test_a_model_onnxruntime_refuses(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="onnxruntime cannot run"):
        Runtime(path)


def test_several_inputs_and_outputs_are_laid_end_to_end(tmp_path: Path) -> None:
    proto = model([node("Add", "a b", "s"), node("Sub", "a b", "d")], {"a": [1, 2], "b": [2]}, ["s", "d"])
    found = Runtime(save(tmp_path / "two.onnx", proto))(np.array([1.0, 2.0, 10.0, 20.0]))
    assert found.tolist() == [11.0, 22.0, -9.0, -18.0]
