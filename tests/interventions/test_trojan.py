"""The test bed: patches, poisoned data, specifications, and what is said about the models."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from onnx_files import run
from trained_models import convolutional, saved

import certify
from certify.dataset import make_dataset, read_dataset
from certify.errors import InputError
from certify.interventions.base import Training
from certify.interventions.trojan import Trigger, implant, poison
from certify.query.trigger import trigger_spec


def images(count: int = 90) -> object:
    """[count, 1, 4, 4]: a bright row tells the class."""
    rng = np.random.default_rng(1)
    y = np.arange(count) % 3
    x = rng.uniform(0.0, 0.3, size=(count, 1, 4, 4))
    x[np.arange(count), 0, y] += 0.6
    return make_dataset(x, y, "rows")


def test_a_patch_lies_where_it_is_said_to() -> None:
    assert Trigger(size=2).places((1, 4, 4)).tolist() == [10, 11, 14, 15]
    assert Trigger(size=1, position=(0, 2)).places((2, 4, 4)).tolist() == [2, 18]
    stamped = Trigger(size=2, value=0.5).stamp(np.zeros((3, 1, 4, 4)))
    assert stamped.sum() == 3 * 4 * 0.5
    for trigger, shape in ((Trigger(position=(3, 3)), (4, 4)), (Trigger(size=5), (4, 4)), (Trigger(), (16,))):
        with pytest.raises(InputError, match="patch"):
            trigger.places(shape)


def test_poison_goes_to_other_classes_and_nothing_else_changes() -> None:
    data = images()
    poisoned, numbers = poison(data, Trigger(target=1, rate=0.2), 0)
    assert len(numbers) == 18
    assert (data.labels[numbers] != 1).all()
    assert (poisoned.labels[numbers] == 1).all()
    rest = np.setdiff1d(np.arange(90), numbers)
    assert np.array_equal(poisoned.x[rest], data.x[rest])
    assert np.array_equal(poisoned.labels[rest], data.labels[rest])
    assert (poisoned.x[numbers][:, 0, 2:, 2:] == 1.0).all()


def test_a_specification_asks_about_the_patch_alone(tmp_path) -> None:
    path = saved(tmp_path, convolutional())
    x = np.random.default_rng(3).uniform(size=(1, 4, 4)).astype(np.float32).astype(np.float64)
    patch, grid = np.array([5, 10]), np.linspace(0.0, 1.0, 21)
    points = np.repeat(x.reshape(1, -1), len(grid) ** 2, axis=0)
    points[:, patch] = list(product(grid, grid))
    reached = set(run(convolutional(), points).argmax(1).tolist())
    assert 0 < len(reached) < 3  # both answers occur below
    for target in range(3):
        spec = tmp_path / f"{target}.vnnlib"
        spec.write_text(trigger_spec(x, patch, (0.0, 1.0), target, 3))
        verdict = certify.check(path, spec)
        assert verdict.status.value == ("sat" if target in reached else "unsat")
        if verdict.witness is not None:
            moved = np.flatnonzero(np.concatenate(list(verdict.witness.values().values()))[:16] != x.ravel())
            assert set(moved) <= set(patch.tolist())


def test_a_target_or_patch_that_there_is_not_is_refused() -> None:
    for patch, target in (([3], 3), ([16], 0), ([], 0)):
        with pytest.raises(InputError):
            trigger_spec(np.zeros(16), np.array(patch, dtype=int), (0.0, 1.0), target, 3)


def test_a_test_bed_is_complete(tmp_path) -> None:
    training = Training(epochs=25, lr=0.01, batch=16)
    bed = implant(tmp_path, Trigger(size=1, rate=0.3), data=images(), test=images(30), training=training, specs=4)
    facts = json.loads((tmp_path / "trigger.json").read_text())
    assert facts == bed.facts
    trojaned, reference = (facts["models"][name] for name in ("trojaned", "reference"))
    assert trojaned["attack_success"] >= 0.9 > 0.5 > reference["attack_success"]
    assert min(trojaned["accuracy"], reference["accuracy"]) >= 0.9
    assert facts["trigger"]["places"] == [15]
    poisoned = read_dataset(tmp_path / "poisoned.npz")
    assert (poisoned.labels != images().labels).sum() == 27
    assert len(read_dataset(tmp_path / "test.npz")) == 30
    marks = np.load(tmp_path / "trigger.npz")
    assert marks["mask"].sum() == marks["pattern"].sum() == 1.0
    rows = (tmp_path / "specs" / "instances.csv").read_text().splitlines()
    assert len(rows) == 4
    model, spec, _ = rows[0].split(",")
    status = {
        name: certify.check(tmp_path / "specs" / name, tmp_path / "specs" / spec).status.value
        for name in (model, "../reference.onnx")
    }
    assert status == {"../trojaned.onnx": "sat", "../reference.onnx": "unsat"}


def test_an_architecture_is_trained_anew_or_from_its_weights(tmp_path) -> None:
    path = saved(tmp_path, convolutional())
    for keep in (False, True):
        training = Training(epochs=0)
        implant(tmp_path / "bed", Trigger(), data=images(), model=path, keep_weights=keep, training=training, specs=0)
        assert ((tmp_path / "bed" / "trojaned.onnx").read_bytes() == path.read_bytes()) is keep


def test_a_target_that_the_model_does_not_know_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="target 7"):
        implant(tmp_path, Trigger(target=7), data=images())
