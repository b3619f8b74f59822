"""Places that a model computes from its input: what follows from them is looked up, exactly, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_files import model, node, run, save

from certify.errors import UnsupportedOp
from certify.network.evaluate import evaluate
from certify.network.read_onnx import load_model
from certify.network.table import Entries, Table

IMAGE = np.arange(12.0, dtype=np.float32).reshape(3, 4) + 1.0


def patch(size: int = 1, last: int = 4) -> onnx.ModelProto:
    """x[:last] * mask, which is zero from int(x[last]) on, for `size` elements: the slice's length depends on x."""
    one, zero, end = np.array([1]), np.array([0]), np.array([last])
    return model(
        [
            node("Slice", "x zero end zero", "image"),
            node("Gather", "x end_scalar", "place", axis=0),
            node("Cast", "place", "start_scalar", to=7),
            node("Unsqueeze", "start_scalar zero", "start"),
            node("Add", "start size", "stop"),
            node("Slice", "numbers start stop zero one", "where"),
            node("Shape", "where", "length"),
            node("ConstantOfShape", "length", "nothing"),
            node("Unsqueeze", "where one", "indices"),
            node("ScatterND", "ones indices nothing", "mask"),
            node("Mul", "image mask", "y"),
        ],
        {"x": [last + 1]},
        ["y"],
        {
            "zero": zero, "one": one, "end": end, "end_scalar": np.array(last), "size": np.array([size]),
            "numbers": np.arange(last), "ones": np.ones(last, np.float32),
        },
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 2])
def test_a_patch_at_a_computed_place_computes_what_onnxruntime_does(tmp_path: Path, size: int) -> None:
    proto = patch(size)
    network = load_model(save(tmp_path / "m.onnx", proto)).network
    for place in (-0.4, 0.0, 0.9, 1.0, 2.5, 3.0, 3.99, 7.2):
        x = np.float32([[1.0, -2.0, 3.0, 4.0, place]]).astype(np.float64)
        assert np.array_equal(evaluate(network, x), run(proto, x))


def test_places_that_are_added_up_stay_one_number(tmp_path: Path) -> None:
    """Start and stop follow from one number, so that one is looked up and not both."""
    network = load_model(save(tmp_path / "m.onnx", patch())).network
    (table,) = [n.op for n in network.nodes if isinstance(n.op, Table)]
    assert len(table.in_shapes) == 1


def test_a_lookup_of_constants_by_a_computed_index(tmp_path: Path) -> None:
    proto = model(
        [node("Floor", "x", "f"), node("Cast", "f", "i", to=7), node("Gather", "image i", "rows", axis=0)],
        {"x": [2]}, ["rows"], {"image": IMAGE},
    )  # fmt: skip
    network = load_model(save(tmp_path / "m.onnx", proto)).network
    x = np.array([[0.25, 2.75], [1.0, 1.5], [-0.5, 0.0]])
    assert np.array_equal(evaluate(network, x), run(proto, x))
    with pytest.raises(UnsupportedOp, match="cannot be computed where i = 5, 0"):
        evaluate(network, np.array([[5.0, 0.0]]))


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("Cast", "x", "i", to=7), node("Slice", "image zero i", "y")], "its shape depends on the input"),
        ([node("Cast", "x", "i", to=7), node("Div", "three i", "j"), node("Gather", "image j", "y", axis=0)], "Div"),
    ],
    ids=["shape", "division"],
)
def test_what_cannot_be_looked_up_is_refused_by_name(tmp_path: Path, nodes: list[onnx.NodeProto], said: str) -> None:
    proto = model(nodes, {"x": [1]}, ["y"], {"image": IMAGE, "zero": np.array([0]), "three": np.array([3])})
    with pytest.raises(UnsupportedOp, match=said):
        evaluate(load_model(save(tmp_path / "m.onnx", proto)).network, np.array([[0.0], [2.0]]))


def test_too_many_numbers_are_refused(tmp_path: Path) -> None:
    proto = model(
        [node("Cast", "x", "i", to=7), node("Gather", "image i", "y", axis=0)], {"x": [9]}, ["y"], {"image": IMAGE}
    )
    with pytest.raises(UnsupportedOp, match="9 whole numbers"):
        load_model(save(tmp_path / "m.onnx", proto))


def squares() -> Table:
    """y = (a^2, a + b) for whole a and b."""
    entries = Entries(lambda place: np.array([place[0] ** 2.0, float(sum(place))]))
    return Table(((2,), (2,)), (2,), entries)


class OneTooFew(Table):
    """Leaves the last place out."""

    def ranges(self, *bounds):  # type: ignore[no-untyped-def]
        return [
            (first, tuple(max(f, n - 1) for f, n in zip(first, last, strict=True)))
            for first, last in super().ranges(*bounds)
        ]


def check_hull(op: Table) -> None:
    """Interval and planes contain every entry of the box, and are no wider than these."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        ends = np.sort(rng.uniform(-6.0, 6.0, size=(2, 2)), axis=1)
        ends[:, 1] += 1.0
        bounds = [(np.full((1, 2), low), np.full((1, 2), high)) for low, high in ends]
        grid = [np.arange(np.ceil(low), np.floor(high) + 1.0) for low, high in ends]
        points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
        values = op.forward(*(np.repeat(points[:, i : i + 1], 2, axis=1) for i in range(2)))
        low, high = op.interval(*bounds)
        planes = op.relax(*bounds).planes(())
        for below, above in ((low[0], high[0]), (planes.lower_bias[0, 0], planes.upper_bias[0, 0])):
            assert np.array_equal(below, values.min(axis=0))
            assert np.array_equal(above, values.max(axis=0))
        assert bool(op.varies(*bounds)[0]) == (len(np.unique(values, axis=0)) > 1)


def test_the_hull_is_exact() -> None:
    check_hull(squares())


def test_a_wrong_hull_is_caught() -> None:
    right = squares()
    with pytest.raises(AssertionError):
        check_hull(OneTooFew(right.in_shapes, right.out_shape, right.entries))
