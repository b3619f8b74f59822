"""The training loop that the methods share: seeded mini-batches, Adam, one record an epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.base import Run
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Batch:
    """Samples of one step. x: [batch, *input_shape]; y: [batch] classes; numbers: [batch] places of the samples in the
    data; done: the share of the training that lies behind, from 0 to 1.
    """

    x: Tensor
    y: Tensor
    numbers: Tensor
    done: float


Loss = Callable[[TrainableModel, Batch], Tensor]


def clean_loss(model: TrainableModel, batch: Batch) -> Tensor:
    """Cross-entropy of the samples as they are."""
    return functional.cross_entropy(model.logits(batch.x), batch.y)


def fit(
    model: TrainableModel,
    data: Dataset,
    run: Run,
    loss: Loss = clean_loss,
    *,
    decay: float = 0.0,
    after_step: Callable[[TrainableModel], None] = lambda model: None,
    stage: str = "train",
) -> TrainableModel:
    """Minimise a loss over the model's parameters, in place; returns the model.

    decay: L2 decay COUPLED with Adam, as torch.optim.Adam(weight_decay=...): decay * weight is added to the gradient
    before Adam normalises it, so that a weight without any other gradient shrinks by lr a step until it is gone.
    AdamW's decay, lr * decay * weight a step, is far weaker. after_step: told after each step, for masks.
    Raises InputError where the loss becomes infinite or NaN.
    """
    training = run.training
    x, y = model.samples(data)
    optimiser = torch.optim.Adam(model.parameters.values(), lr=training.lr, weight_decay=decay)
    steps = -(-len(x) // training.batch)
    for epoch in range(training.epochs):
        total = 0.0
        order = torch.randperm(len(x), generator=run.chance)
        for number, numbers in enumerate(order.split(training.batch)):
            done = (epoch * steps + number) / (training.epochs * steps)
            value = loss(model, Batch(x[numbers], y[numbers], numbers, done))
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            after_step(model)
            total += float(value.detach()) * len(numbers)
        record = {"stage": stage, "epoch": epoch + 1, "of": training.epochs, "loss": total / len(x)}
        if not total < float("inf"):
            raise InputError(f"the training diverged in epoch {epoch + 1}: its loss is {total}", "lower --lr")
        run.epoch_done(record | {"training_accuracy": accuracy(model, x, y)})
    return model


def accuracy(model: TrainableModel, x: Tensor, y: Tensor, **changes: Any) -> float:
    """The share of inputs [samples, *input_shape] that get their class; changes: as `TrainableModel.run` takes them."""
    with torch.no_grad():
        return float((model.logits(x, **changes).argmax(1) == y).double().mean())
