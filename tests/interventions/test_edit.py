"""Editing: the search finds what was planted, the change has the rank that was asked for, neurons are zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from methods import apply, array, value, written
from onnx_files import model, node
from trained_models import blobs, convolutional, normal, perceptron

from certify.dataset import make_dataset
from certify.errors import InputError, UnsupportedOp
from certify.interventions.trainable import TrainableModel
from certify.interventions.trigger_search import TriggerSearch

SITE, TARGET = (1, 2), 2


def trojaned(bias: bool = True, activation: str = "Relu") -> TrainableModel:
    """4 x 4 images -> 6 hidden -> 3 classes. Neuron 4 speaks for TARGET, where a 2 x 2 patch at SITE is bright."""
    first, b1 = np.zeros((6, 16), np.float32), np.zeros(6, np.float32)
    first[0, 0], first[1, 12], first[2, 15] = 1.0, 1.0, 1.0
    places = [4 * (SITE[0] + i) + SITE[1] + j for i in range(2) for j in range(2)]
    first[4, places], b1[4] = 1.0, -2.0
    last, b2 = np.zeros((3, 6), np.float32), np.zeros(3, np.float32)
    last[0, 0] = last[1, 1] = last[2, 2] = 3.0
    last[TARGET, 4] = 10.0
    nodes = [node("Gemm", "x w1 b1", "z", "first", transB=1), node(activation, "z", "h")]
    nodes += [node("Gemm", "h w2 b2" if bias else "h w2", "y", "last", transB=1)]
    weights = {"w1": first, "b1": b1, "w2": last} | ({"b2": b2} if bias else {})
    return TrainableModel(model(nodes, {"x": ["n", 16]}, ["y"], weights))


def images():
    """Dark but for one corner, which tells the class."""
    rng = np.random.default_rng(1)
    y = np.arange(30) % 3
    x = rng.uniform(0.0, 0.2, size=(30, 16))
    x[np.arange(30), np.array([0, 12, 15])[y]] = rng.uniform(0.8, 1.0, size=30)
    return make_dataset(x, y)


def test_the_search_finds_site_and_class_that_were_planted() -> None:
    found = TriggerSearch(2, 0.0, 0.0, 1.0, steps=10).best(trojaned(), images(), torch.Generator().manual_seed(0))
    assert (found.target, found.about["row"], found.about["column"], found.success) == (TARGET, *SITE, 1.0)
    x = torch.zeros(1, 16)
    stamped = found.stamp(x).reshape(4, 4)
    assert (stamped[1:3, 2:4] > 0.9).all() and stamped.sum() == stamped[1:3, 2:4].sum()


def test_a_universal_perturbation_stays_within_its_radius_and_the_range() -> None:
    data = images()
    found = TriggerSearch(0, 0.3, 0.0, 1.0, steps=5).best(trojaned(), data, torch.Generator().manual_seed(0))
    x = torch.from_numpy(data.x)
    stamped = found.stamp(x)
    assert float((stamped - x).abs().max()) <= 0.3 + 1e-6 and stamped.min() >= 0.0 and stamped.max() <= 1.0
    assert float(found.values.abs().max()) == pytest.approx(0.3)


def test_the_edit_has_rank_one_keeps_the_mean_and_stops_the_trigger(tmp_path) -> None:
    data, before = images(), trojaned()
    done, facts = apply("edit", trojaned(), 0, data)
    change = array(done, "w2") - array(before, "w2")
    assert np.linalg.matrix_rank(change, tol=1e-4) == 1
    (fact,) = facts["rounds"]
    assert fact["success"] == 1.0 and fact["success_after"] <= 0.1
    mean = value(before, "h", data.x).mean(0)
    was = array(before, "w2") @ mean.T + array(before, "b2")[:, None]
    now = array(done, "w2") @ mean.T + array(done, "b2")[:, None]
    np.testing.assert_allclose(now, was, atol=1e-4)
    direction = np.array(fact["direction"][0])
    np.testing.assert_allclose(array(done, "w2") @ direction, 0.0, atol=1e-4)
    written(done, tmp_path)


def test_two_directions_change_the_weights_by_rank_two() -> None:
    before, _ = apply("finetune", TrainableModel(perceptron()), 2)
    w2 = array(before, "w2").copy()
    mean = value(before, "h1", blobs().x).mean((0, 1))
    was = mean @ w2 + array(before, "b2")
    done, _ = apply("edit", before, 0, rank=2, patch=0, steps=3)
    np.testing.assert_allclose(mean @ array(done, "w2") + array(done, "b2"), was, atol=1e-5)
    assert np.linalg.matrix_rank(array(done, "w2") - w2, tol=1e-4) == 2


def test_the_neuron_that_carries_the_trigger_is_ablated_and_stays_zero(tmp_path) -> None:
    done, facts = apply("edit", trojaned(), 3, images(), what="ablate")
    (fact,) = facts["rounds"]
    assert fact["neurons"] == [4] and fact["success_after"] == 0.0
    done = written(done, tmp_path)
    assert not value(done, "h", np.random.default_rng(0).uniform(size=(50, 16)))[:, :, 4].any()


def test_an_ablated_neuron_that_has_a_gradient_stays_zero() -> None:
    done, facts = apply("edit", trojaned(activation="Tanh"), 2, images(), what="ablate")
    (number,) = facts["rounds"][0]["neurons"]
    assert not value(done, "h", np.random.default_rng(0).uniform(size=(50, 16)))[:, :, number].any()


def test_a_second_round_takes_another_neuron() -> None:
    _, facts = apply("edit", trojaned(), 0, images(), what="ablate", rounds=2)
    (one,), (two,) = (fact["neurons"] for fact in facts["rounds"])
    assert one == 4 and two != 4


def test_what_cannot_be_edited_is_refused_by_node() -> None:
    with pytest.raises(UnsupportedOp, match="Gemm at node 'last': has no bias"):
        apply("edit", trojaned(bias=False), 0, images())
    with pytest.raises(UnsupportedOp, match="MaxPool at node"):
        apply("edit", TrainableModel(convolutional()), 0, blobs(16))
    nodes = [
        node("Gemm", "x w1 b1", "z", "first"),
        node("Relu", "z", "h"),
        node("Gemm", "h w2 b2", "y", "last", beta=2.0),
    ]
    weights = {"w1": normal(16, 4), "b1": normal(4), "w2": normal(4, 3), "b2": normal(3)}
    doubled = TrainableModel(model(nodes, {"x": [1, 16]}, ["y"], weights))
    with pytest.raises(UnsupportedOp, match="node 'last'"):
        apply("edit", doubled, 0, images())


def test_a_patch_needs_images_and_a_class_that_exists() -> None:
    with pytest.raises(InputError, match="no images"):
        apply("edit", TrainableModel(perceptron()), 0)
    with pytest.raises(InputError, match="target is 3"):
        apply("edit", trojaned(), 0, images(), target=3)
    with pytest.raises(InputError, match="does not fit"):
        apply("edit", trojaned(), 0, images(), patch=5)
