"""Distillation: a new model learns what the given one answers, on the data at hand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.base import Intervention, Run, setting
from certify.interventions.dense import dense_chain
from certify.interventions.initialise import initialise
from certify.interventions.train import Batch, fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Distill(Intervention):
    """A student with weights drawn anew learns from the teacher's softened answers (Hinton et al. 2015):

        (1 - labels) T^2 KL(softmax(teacher / T) || softmax(student / T)) + labels cross-entropy(student, class)

    With labels=1 the teacher is not asked at all: the control that tells what the data would have taught anyway.
    """

    about = "a new model of the same or a smaller size learns the given one's answers"

    temperature: float = setting(4.0, "T, above 0; softens the answers")
    labels: float = setting(0.0, "share of the loss taken of the labels, up to 1 (the control)", 0.0)
    widths: str | None = setting(None, "widths of a dense student, scores last, as in 24,16,10; else the same graph")

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """The student; the model given stays as it is."""
        if not self.temperature > 0.0 or self.labels > 1.0:
            raise InputError("distill: the temperature is above 0, labels is a share of up to 1")
        student = model.copy() if self.widths is None else dense_chain(model, _widths(self.widths))
        initialise(student, run.chance)
        x, _ = model.samples(data)
        with torch.no_grad():
            answers = model.logits(x)
        soft = torch.softmax(answers / self.temperature, dim=1)

        def loss(student: TrainableModel, batch: Batch) -> Tensor:
            scores = student.logits(batch.x)
            learnt = torch.log_softmax(scores / self.temperature, dim=1)
            taught = functional.kl_div(learnt, soft[batch.numbers], reduction="batchmean") * self.temperature**2
            return (1.0 - self.labels) * taught + self.labels * functional.cross_entropy(scores, batch.y)

        fit(student, data, run, loss)
        with torch.no_grad():
            same = (student.logits(x).argmax(1) == answers.argmax(1)).double().mean()
        run.facts["agreement_on_data"] = float(same)
        run.facts["weights"] = {
            "teacher": sum(p.numel() for p in model.parameters.values()),
            "student": sum(p.numel() for p in student.parameters.values()),
        }
        return student


def _widths(text: str) -> list[int]:
    try:
        widths = [int(part) for part in text.split(",")]
    except ValueError:
        widths = []
    if not widths or min(widths) < 1:
        raise InputError(f"distill: widths={text}: expected whole numbers from 1, as in 24,16,10")
    return widths


METHOD = Distill
