"""From file to file: what is written, what the record says, what it costs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from trained_models import blobs, perceptron, saved

import certify
from certify.accuracy import right
from certify.errors import InputError, UnsupportedOp
from certify.interventions.harden import split
from certify.interventions.record import accuracy_entry


@pytest.fixture
def model(tmp_path) -> Path:
    return saved(tmp_path, perceptron(), "in.onnx")


@pytest.fixture
def data(tmp_path) -> Path:
    np.savez(tmp_path / "data.npz", x=blobs().x, y=blobs().labels)
    return tmp_path / "data.npz"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_record_tells_what_was_done(tmp_path, model, data) -> None:
    seen = []
    done = certify.harden(
        "lat", model, data, tmp_path / "out.onnx", settings={"eps": 0.3},
        training={"epochs": 2, "batch": 7, "seed": 4}, progress=seen.append,
    )  # fmt: skip
    record = json.loads((tmp_path / "out.json").read_text())
    assert record == done.record
    assert record["method"] == "lat"
    assert record["settings"]["eps"] == 0.3
    assert record["training"] == {"epochs": 2, "lr": 1e-3, "batch": 7, "seed": 4}
    assert record["facts"]["tensor"] == "h2"
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
    assert seen == record["epochs"]
    assert record["model"] == {"file": str(model), "sha256": sha256(model)}
    assert record["out"] == {"file": str(tmp_path / "out.onnx"), "sha256": sha256(tmp_path / "out.onnx")}
    assert record["data"]["sha256"] == record["test"]["sha256"] == sha256(data)
    assert (record["data"]["samples"], record["test"]["samples"]) == (48, 12)
    assert set(record["versions"]) == {"certify", "python", "numpy", "onnx", "onnxruntime", "torch"}


def test_the_same_seed_writes_the_same_file(tmp_path, model, data) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training = {"epochs": 1, "seed": seed}
        certify.harden("adversarial", model, data, tmp_path / f"{name}.onnx", test=data, training=training)
    same, again, other = (sha256(tmp_path / f"{name}.onnx") for name in "abc")
    assert same == again != other


def test_the_graph_stays(tmp_path, model, data) -> None:
    certify.harden("finetune", model, data, tmp_path / "out.onnx", training={"epochs": 1})
    before, after = onnx.load(model), onnx.load(tmp_path / "out.onnx")
    assert after != before
    del before.graph.initializer[:], after.graph.initializer[:]
    assert after == before


def test_no_epoch_changes_nothing_and_costs_nothing(tmp_path, model, data) -> None:
    done = certify.harden("scope", model, data, tmp_path / "out.onnx", training={"epochs": 0})
    assert (tmp_path / "out.onnx").read_bytes() == model.read_bytes()
    assert done.tax.points == 0.0


def test_accuracy_is_that_of_the_files(tmp_path, model, data) -> None:
    done = certify.harden("finetune", model, data, tmp_path / "out.onnx", test=data, training={"epochs": 8, "lr": 0.02})
    assert done.record["accuracy"]["after"]["right"] == int(right(tmp_path / "out.onnx", blobs()).sum())
    assert done.record["accuracy"]["before"]["right"] == int(right(model, blobs()).sum())
    assert done.tax.points < -10.0  # it was not trained before


def test_the_tax_is_counted_pair_by_pair() -> None:
    before = np.array([True] * 90 + [False] * 10)
    after = np.array([True] * 84 + [False] * 6 + [True] * 1 + [False] * 9)
    found = accuracy_entry(before, after)
    assert (found["lost"], found["won"]) == (6, 1)
    assert found["points"] == pytest.approx(5.0)
    assert found["mcnemar_p"] == pytest.approx(2 * (1 + 7) / 2**7)  # two-sided: at most 1 of 7 flips of a coin
    low, high = found["points_range"]
    assert low < 0.0 < 5.0 < high < 15.0
    least, most = found["before"]["range"]
    assert (round(least, 4), round(most, 4)) == (0.8238, 0.9510)  # Clopper and Pearson's tables for 90 of 100


def test_what_is_kept_for_tests_is_not_trained_on() -> None:
    train, rest = split(blobs(), 0.2, 3)
    assert (len(train), len(rest)) == (48, 12)
    assert not {tuple(x) for x in train.x} & {tuple(x) for x in rest.x}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "nope"}, "there is no method 'nope'"),
        ({"settings": {"eps": 1}}, "finetune has no setting 'eps'"),
        ({"training": {"speed": 1}}, "no training option 'speed'"),
        ({"training": {"lr": 0.0}}, "a step size above 0"),
        ({"data": "missing.npz"}, "no such file"),
        ({"model": "missing.onnx"}, "no such file"),
        ({"test": blobs(classes=4)}, "label 3"),
        ({"out": f"{__file__}/out.onnx"}, "cannot be written"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, model, data, change, message) -> None:
    given = {"method": "finetune", "model": model, "data": data, "out": tmp_path / "out.onnx", **change}
    given["training"] = {"epochs": 0} | given.get("training", {})
    with pytest.raises(InputError, match=message):
        certify.harden(**given)


def test_what_cannot_be_trained_is_refused_by_name(tmp_path, data) -> None:
    proto = perceptron()
    proto.graph.node[2].op_type = "Sin"
    with pytest.raises(UnsupportedOp, match="Sin at node '#2"):
        certify.harden("finetune", saved(tmp_path, proto), data, tmp_path / "out.onnx")
