"""Distillation: a student with weights of its own comes to answer as its teacher, in the same or a smaller graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from methods import apply, array, written
from trained_models import blobs, convolutional, perceptron

from certify.dataset import make_dataset
from certify.errors import InputError
from certify.interventions.dense import dense_chain
from certify.interventions.trainable import TrainableModel


def wrong_labels():
    """The classes of `blobs`, each called by the next one's number."""
    data = blobs()
    return make_dataset(data.x, (data.labels + 1) % 3)


@pytest.fixture(scope="module")
def teacher() -> TrainableModel:
    return apply("finetune", TrainableModel(perceptron()), 12)[0]


def answers(model: TrainableModel) -> np.ndarray:
    return model.logits(model.put(blobs().x)).argmax(1).numpy()


def test_the_student_learns_the_teachers_answers_not_the_labels(tmp_path, teacher) -> None:
    before = teacher.to_proto()
    student, facts = apply("distill", teacher, 20, wrong_labels())
    assert teacher.to_proto() == before
    assert (answers(student) == answers(teacher)).mean() == facts["agreement_on_data"] >= 0.9
    written(student, tmp_path)


def test_the_control_learns_the_labels(teacher) -> None:
    student, _ = apply("distill", teacher, 20, wrong_labels(), labels=1.0)
    assert (answers(student) == wrong_labels().labels).mean() >= 0.9


def test_the_student_starts_anew_by_the_seed() -> None:
    teacher = TrainableModel(perceptron())
    one, two = (apply("distill", teacher, 0)[0] for _ in range(2))
    assert one.to_proto() == two.to_proto()
    assert not (array(one, "w1") == array(teacher, "w1")).any()


@pytest.mark.parametrize("proto", [perceptron(), perceptron(softmax=True), convolutional()])
def test_a_chain_of_other_widths_takes_the_models_place(tmp_path, proto) -> None:
    teacher = TrainableModel(proto)
    data = blobs(int(np.prod(teacher.input_shape)))
    student, facts = apply("distill", teacher, 2, data, widths="7,4,3")
    read = written(student, tmp_path)
    onnx.checker.check_model(onnx.load(tmp_path / "out.onnx"))
    assert [tuple(p.shape) for p in read.parameters.values() if p.ndim == 2] == [
        (7, data.x[0].size), (4, 7), (3, 4),
    ]  # fmt: skip
    assert (read.input, read.input_shape, read.output) == (teacher.input, teacher.input_shape, teacher.output)
    assert (read.scores == read.output) == (teacher.scores == teacher.output)
    assert facts["weights"]["student"] == 7 * (data.x[0].size + 1) + 4 * 8 + 3 * 5


@pytest.mark.parametrize(("widths", "message"), [("7,a,3", "whole numbers"), ("7,0,3", "whole numbers"), ("7,4", "4,")])
def test_widths_that_make_no_student_are_refused(widths, message) -> None:
    with pytest.raises(InputError, match=message):
        apply("distill", TrainableModel(perceptron()), 0, widths=widths)


def test_the_temperature_is_above_zero() -> None:
    with pytest.raises(InputError, match="temperature"):
        apply("distill", TrainableModel(perceptron()), 0, temperature=0.0)
    assert dense_chain(TrainableModel(perceptron()), [3]).n_classes == 3
