"""Unlearning: what is to go goes, what is to stay stays, and the way back is counted in steps."""

from __future__ import annotations

import numpy as np
import pytest
from methods import apply, written
from trained_models import blobs, perceptron

from certify.errors import InputError
from certify.interventions.train import accuracy
from certify.interventions.trainable import TrainableModel


@pytest.fixture(scope="module")
def trained() -> TrainableModel:
    return apply("finetune", TrainableModel(perceptron()), 12)[0]


@pytest.mark.parametrize("by", ["ascent", "random"])
def test_a_class_is_forgotten_and_the_others_are_not(tmp_path, trained, by) -> None:
    done, facts = apply("unlearn", trained.copy(), 12, by=by, classes="1", relearn_steps=0)
    assert facts["samples"] == {"kept": 40, "forgotten": 20}
    assert facts["before"]["forgotten"] >= 0.9
    assert facts["after"]["forgotten"] <= 0.1 and facts["after"]["kept"] >= 0.9
    data = blobs()
    x, y = written(done, tmp_path).samples(data.take(np.flatnonzero(data.labels == 1)))
    assert accuracy(done, x, y) == facts["after"]["forgotten"]


def test_the_relearn_cost_is_the_first_step_that_reaches_the_share(trained) -> None:
    _, facts = apply("unlearn", trained.copy(), 12, classes="1", relearn_steps=100)
    found = facts["relearn"]
    assert found["wanted"] == pytest.approx(0.5 * facts["before"]["forgotten"])
    *below, reached = found["accuracy_by_step"]
    assert reached >= found["wanted"] > max(below) and len(below) == found["steps"] > 0


def test_where_the_steps_are_not_enough_there_is_no_cost(trained) -> None:
    _, facts = apply("unlearn", trained.copy(), 12, classes="1", relearn_steps=1)
    assert facts["relearn"]["steps"] is None and facts["relearn"]["tried"] == 1


def test_relearning_leaves_the_model_alone(trained) -> None:
    one, _ = apply("unlearn", trained.copy(), 12, classes="1", relearn_steps=0)
    other, _ = apply("unlearn", trained.copy(), 12, classes="1", relearn_steps=3)
    assert one.to_proto() == other.to_proto()


def test_samples_of_a_file_are_forgotten_and_not_kept(tmp_path, trained) -> None:
    data = blobs()
    np.savez(tmp_path / "gone.npz", x=data.x[:10], y=data.labels[:10])
    _, facts = apply("unlearn", trained.copy(), 1, samples=str(tmp_path / "gone.npz"), relearn_steps=0)
    assert facts["samples"] == {"kept": 50, "forgotten": 10}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either the classes"),
        ({"classes": "1", "samples": "x.npz"}, "either the classes"),
        ({"classes": "one"}, "class numbers"),
        ({"classes": "7"}, "nothing to forget"),
        ({"classes": "0,1,2"}, "nothing to keep"),
    ],
)
def test_what_cannot_be_forgotten_is_refused(trained, settings, message) -> None:
    with pytest.raises(InputError, match=message):
        apply("unlearn", trained.copy(), 1, **settings)
