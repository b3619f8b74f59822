"""Pruning: exactly as much goes as was asked for, the right things go, and they stay gone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from methods import apply, array, value, written
from trained_models import blobs, convolutional, perceptron

from certify.errors import InputError
from certify.interventions.adversarial_neurons import NeuronAttack
from certify.interventions.neurons import hidden_layers, mean_values
from certify.interventions.trainable import TrainableModel

WEIGHTS = ("w1", "w2", "w3")


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_sparsity_is_reached_exactly_and_kept_through_the_training(tmp_path, rounds) -> None:
    done, facts = apply("prune", TrainableModel(perceptron()), 3, sparsity=0.7, rounds=rounds)
    done = written(done, tmp_path)
    gone = sum(int((array(done, name) == 0).sum()) for name in WEIGHTS)
    assert gone == round(0.7 * (48 + 40 + 15))
    assert facts["zeros"]["all"] == gone / 103
    assert all(np.count_nonzero(array(done, name)) == array(done, name).size for name in ("b1", "b2", "b3"))


def test_the_least_weights_go_and_the_others_stay_as_they_were() -> None:
    before = np.concatenate([array(TrainableModel(perceptron()), name).ravel() for name in WEIGHTS])
    done, _ = apply("prune", TrainableModel(perceptron()), 0, sparsity=0.5)
    after = np.concatenate([array(done, name).ravel() for name in WEIGHTS])
    assert np.abs(before[after == 0]).max() <= np.abs(after[after != 0]).min()
    np.testing.assert_array_equal(after[after != 0], before[after != 0])


def test_by_layer_each_has_its_share() -> None:
    _, facts = apply("prune", TrainableModel(perceptron()), 0, sparsity=0.25, across="layer")
    assert facts["zeros"]["first"] == 12 / 48 and facts["zeros"]["second"] == 10 / 40
    assert facts["zeros"]["last"] == pytest.approx(4 / 15)


def test_only_the_layer_named_is_pruned() -> None:
    before = TrainableModel(perceptron())
    done, _ = apply("prune", TrainableModel(perceptron()), 0, sparsity=0.5, layer="second")
    assert (array(done, "w2") == 0).sum() == 20
    assert (array(done, "w1") == array(before, "w1")).all()
    with pytest.raises(InputError, match="there are: first, second, last"):
        apply("prune", before, 0, layer="fourth")


def test_structured_pruning_takes_whole_neurons_of_least_norm(tmp_path) -> None:
    norms = np.linalg.norm(array(TrainableModel(perceptron()), "w1"), axis=1)
    done, facts = apply("prune", TrainableModel(perceptron()), 2, by="structured", sparsity=0.5, across="layer")
    done = written(done, tmp_path)
    gone = ~array(done, "w1").any(1)
    assert set(np.flatnonzero(gone)) == set(np.argsort(norms)[:4])
    assert not array(done, "b1")[gone].any() and facts["neurons"] == {"first": [4, 8], "second": [3, 5]}


def test_channels_go_with_their_normalisation(tmp_path) -> None:
    data = blobs(16)
    done, _ = apply("prune", TrainableModel(convolutional()), 1, data, by="structured", sparsity=0.5)
    done = written(done, tmp_path)
    gone = ~array(done, "k").reshape(2, -1).any(1)
    assert gone.sum() == 1
    for name in ("kb", "scale", "shift"):
        assert not array(done, name)[gone].any() and array(done, name)[~gone].all()


def test_a_layer_keeps_one_neuron_at_least() -> None:
    _, facts = apply("prune", TrainableModel(perceptron()), 0, by="structured", sparsity=0.99)
    assert [kept for kept, _ in facts["neurons"].values()] == [1, 1]


def test_fine_pruning_takes_the_neurons_least_active_first() -> None:
    model = TrainableModel(perceptron())
    last = hidden_layers(model)[-1]
    (means,) = mean_values(model, [last], model.samples(blobs())[0])
    done, facts = apply("prune", model, 0, by="activation", sparsity=0.4, tolerance=1.0)
    gone = np.flatnonzero(~array(done, "w2").any(0))
    assert set(gone) == set(np.argsort(means.numpy())[:2]) and len(facts["accuracy_by_neurons_pruned"]) == 2


def test_fine_pruning_stops_at_the_tolerance() -> None:
    trained, _ = apply("finetune", TrainableModel(perceptron()), 10)
    x, y = trained.samples(blobs())
    before = float((trained.logits(x).argmax(1) == y).double().mean())
    done, facts = apply("prune", trained, 0, by="activation", sparsity=0.9, tolerance=0.05)
    after = float((done.logits(x).argmax(1) == y).double().mean())
    assert facts["accuracy_by_neurons_pruned"][-1] < before - 0.05 <= after


def test_adversarial_pruning_finds_the_neuron_that_noise_makes_harmful() -> None:
    """A neuron that is silent on the data by a small margin, and speaks loudly for one class if its bias moves."""
    model, _ = apply("finetune", TrainableModel(perceptron()), 10)
    first, second = hidden_layers(model)
    x, y = model.samples(blobs())
    h = value(model, first.output, blobs().x)[:, 0]
    loudest = h.mean(0).argmax()
    with torch.no_grad():
        model.parameters["w2"][:, 3], model.parameters["b2"][3] = 0.0, -1e-3
        model.parameters["w2"][loudest, 3] = 8e-4 / float(h[:, loudest].max())
        model.parameters["w3"][1, 3] = 1e5
    assert not value(model, second.output, blobs().x)[..., 3].any()

    def masks(noise: float) -> torch.Tensor:
        attack = NeuronAttack(model, [second], noise, 0.2)
        return attack.train(x, y, steps=40, batch=32, chance=torch.Generator().manual_seed(0))["second"]

    found = masks(0.4)
    assert found.argmin() == 3 and ((found >= 0) & (found <= 1)).all()
    assert masks(0.0)[3] == 1.0
    least = float(found[3])
    done, facts = apply("prune", model, 0, by="adversarial", steps=40, threshold=least + 0.1)
    assert not array(done, "w2")[:, 3].any() and len(facts["masks"]["second"]) == 5


def test_a_share_of_one_is_refused() -> None:
    with pytest.raises(InputError, match="below 1"):
        apply("prune", TrainableModel(perceptron()), 0, sparsity=1.0)
