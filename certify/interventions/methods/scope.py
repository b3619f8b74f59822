"""Scoping: keep what the data exercises and let everything else fade ("use it or lose it")."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.base import Intervention, Run, Training, setting
from certify.interventions.train import Batch, fit
from certify.interventions.trainable import TrainableModel

# Samples that the importance of weights is estimated on.
MOST_SAMPLES = 512


@dataclass(frozen=True)
class Scope(Intervention):
    """Fine-tuning under one, two or three pressures.

    decay: weights that the data never exercises receive the decay alone; Adam normalises it, and they vanish.
    forget: the opposite of elastic weight consolidation (Kirkpatrick et al. 2017): L2 decay of each weight times
    1 - F / (F + mean F), where F is the weight's diagonal Fisher information on the data before the training and the
    mean is that of its tensor; what the data needs is spared.
    excitation: excitation dropout (Zunino et al., arXiv 1805.09092, eq. 6): neurons that carry the evidence for a
    sample's class are dropped more often, so that it spreads over all; see `retain_probability`.
    """

    about = "fine-tune while whatever the data does not exercise fades (the strongest in our trials)"

    # Weights shrink by lr a step at most: too few steps leave what should fade.
    training = Training(epochs=200)

    decay: float = setting(0.005, "L2 decay COUPLED with Adam (not AdamW's)", 0.0)
    forget: float = setting(0.0, "L2 decay of weights by how little the data needs them", 0.0)
    excitation: float = setting(0.0, "share of neurons that excitation dropout drops on average, below 1", 0.0)
    tensor: str | None = setting(None, "ONNX name of the tensor that is dropped from; the last hidden one if not given")

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Train the model in place."""
        if self.excitation >= 1.0:
            raise InputError("excitation is the share of neurons that are dropped, below 1")
        tensor = model.last_hidden if self.tensor is None else model.hidden(self.tensor)
        if self.excitation:
            run.facts["tensor"] = tensor
        spare = unneeded(model, data, run) if self.forget else {}

        def loss(model: TrainableModel, batch: Batch) -> Tensor:
            changes = {}
            if self.excitation:
                keep = retain_probability(evidence(model, batch, tensor), 1.0 - self.excitation)
                drawn = torch.rand(keep.shape, generator=run.chance, dtype=keep.dtype) < keep
                changes = {"times": {tensor: drawn.to(keep.dtype) / keep.mean()}}
            value = functional.cross_entropy(model.logits(batch.x, **changes), batch.y)
            for name, share in spare.items():
                value = value + 0.5 * self.forget * (share * model.parameters[name] ** 2).sum()
            return value

        return fit(model, data, run, loss, decay=self.decay)


def evidence(model: TrainableModel, batch: Batch, tensor: str) -> Tensor:
    """The share of each neuron in the evidence for the sample's class, [batch, *shape] with the sum 1 for each sample.

    The positive part of activation times gradient of the class's score: for rectified values that a linear layer
    reads, exactly the probabilities of excitation backprop (Zhang et al. 2016).
    """
    z = model.run(batch.x, (tensor,))[tensor].detach().requires_grad_()
    scores = model.logits(batch.x, given={tensor: z})
    (gradient,) = torch.autograd.grad(scores.gather(1, batch.y[:, None]).sum(), z)
    flat = torch.relu(z.detach() * gradient).reshape(len(z), -1)
    flat = torch.where(flat.sum(1, keepdim=True) > 0, flat, torch.ones_like(flat))
    return (flat / flat.sum(1, keepdim=True)).reshape(z.shape)


def retain_probability(evidence: Tensor, base: float) -> Tensor:
    """The probability of keeping each neuron: `base` where its share is average, 1 without any, 0 with all of it."""
    n = evidence[0].numel()
    dropped = (1.0 - base) * (n - 1) * evidence / (((1.0 - base) * n - 1.0) * evidence + base)
    return (1.0 - dropped).clamp(0.0, 1.0)


def unneeded(model: TrainableModel, data: Dataset, run: Run) -> dict[str, Tensor]:
    """By parameter, in [0, 1], how little the data depends on each weight: 1 - F / (F + mean F).

    F: mean squared gradient of the loss, sample by sample, over at most MOST_SAMPLES of them.
    """
    x, y = model.samples(data)
    chosen = torch.randperm(len(x), generator=run.chance)[:MOST_SAMPLES]
    names = list(model.parameters)
    squares = {name: torch.zeros_like(model.parameters[name], requires_grad=False) for name in names}
    for number in chosen.tolist():
        value = functional.cross_entropy(model.logits(x[number : number + 1]), y[number : number + 1])
        gradients = torch.autograd.grad(value, [model.parameters[name] for name in names], allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            squares[name] += 0.0 if gradient is None else gradient**2 / len(chosen)
    return {name: 1.0 - square / (square + square.mean()).clamp(min=1e-30) for name, square in squares.items()}


METHOD = Scope
