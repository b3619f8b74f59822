"""Where a result comes from: the line, and the box with its shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundled import CNN, FAILS, MODEL

from certify.batch.origin import origin_of
from certify.batch.record import Record
from certify.query.read import read_query
from certify.query.robustness import robust_spec


def record(spec: object, model: str = MODEL, **values: object) -> Record:
    return Record("k", "", {"": model}, str(spec), 1.0, "sat", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("label", range(4))
def test_the_line_is_that_of_the_alternative_that_holds(tmp_path: Path, label: int) -> None:
    path = tmp_path / "s.vnnlib"
    path.write_text(robust_spec(np.zeros(2), 1.0, 3, 5, version="2.0"))
    scores = [0.0, 0.0, 0.0, 5.0, 0.0]
    scores[label] = 7.0
    origin = origin_of(record(path, witness={"X": [0.0, 0.0], "Y": scores}))
    assert origin is not None
    line = path.read_text().splitlines()[origin.line - 1]
    expected = f"(>= Y[0,{label}]" if label < 3 else "(or"
    assert line[origin.column - 1 :].startswith(expected)


def test_without_a_witness_it_is_the_first_assertion_about_outputs(tmp_path: Path) -> None:
    path = tmp_path / "s.vnnlib"
    path.write_text(
        "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(assert (>= X_0 0))\n(assert (<= X_0 1))\n"
        "(assert (<= Y_0 2))\n(assert (>= Y_0 1))\n"
    )
    origin = origin_of(record(path))
    assert origin is not None
    assert origin.line == 5


def test_the_box_and_its_shape() -> None:
    query = read_query(FAILS)
    for model, shape in ((MODEL, (1, 1, 8, 8)), (CNN, (1, 1, 8, 8))):
        origin = origin_of(record(FAILS, model), boxes=True)
        assert origin is not None
        box = origin.boxes["X"]
        assert np.prod(box.shape) == 64
        assert box.shape in (shape, (1, 64))
        upper = query.bounds[0].value[query.bounds[0].upper]
        assert (box.upper == upper).all()
        assert box.center is not None
        assert (box.center <= box.upper).all() and (box.center >= box.lower).all()


def test_a_union_of_boxes_has_no_middle(tmp_path: Path) -> None:
    path = tmp_path / "s.vnnlib"
    path.write_text(
        "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
        "(assert (or (and (>= X_0 0) (<= X_0 1)) (and (>= X_0 4) (<= X_0 5))))\n(assert (<= Y_0 2))\n"
    )
    origin = origin_of(record(path, str(tmp_path / "none.onnx")))
    assert origin is not None
    assert origin.line == 4
    assert origin_of(record(path, str(tmp_path / "none.onnx")), boxes=True) is None  # the model is gone


@pytest.mark.parametrize("spec", ["/nowhere/s.vnnlib", "a\0b", "\ud800", MODEL])
def test_no_specification_no_origin(spec: str) -> None:
    assert origin_of(record(spec)) is None


def test_another_file_than_the_one_that_was_run_is_not_taken() -> None:
    digest = read_query(FAILS).sha256
    assert origin_of(record(FAILS, sha256={FAILS: digest})) is not None
    assert origin_of(record(FAILS, sha256={FAILS: "0" * 64})) is None
