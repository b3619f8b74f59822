"""Quantisation: weights are rounded to few levels, and written as the floats that they then stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.base import Intervention, Run, Training, setting
from certify.interventions.neurons import Layer, layers_of
from certify.interventions.train import Batch, fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Quantize(Intervention):
    """The weights of each layer become scale * (q - zero), q a whole number of `bits` bits (Jacob et al., CVPR 2018).

    symmetric: zero is 0 and q lies in -(2^(bits-1) - 1) .. 2^(bits-1) - 1. asymmetric: the range of the weights, and 0,
    is divided into 2^bits - 1 steps, and 0 is a level. What is computed stays float ("fake quantised"): biases and
    activations are as they were, and every verifier reads the file. With epochs, the model is trained with the rounded
    weights in the forward pass and the gradient passed straight through the rounding.
    """

    about = "round the weights to few bits, written as floats that every verifier reads"
    training = Training(epochs=0)

    bits: int = setting(8, "bits of a weight, up to 16", 2)
    scheme: Literal["symmetric", "asymmetric"] = setting("symmetric", "where the levels lie")
    per: Literal["tensor", "channel"] = setting("tensor", "what has a scale of its own; a channel is a neuron")

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Round the weights in place, after training if there are epochs."""
        if self.bits > 16:
            raise InputError(f"quantize: {self.bits} bits", "float32 weights are told apart up to 16")
        layers = layers_of(model)

        def rounded() -> dict[str, Tensor]:
            return {layer.weight: self._rounded(model.parameters[layer.weight].detach(), layer) for layer in layers}

        def loss(model: TrainableModel, batch: Batch) -> Tensor:
            through = {
                name: model.parameters[name] + (q - model.parameters[name]).detach() for name, q in rounded().items()
            }
            return functional.cross_entropy(model.logits(batch.x, parameters=through), batch.y)

        fit(model, data, run, loss)
        run.facts["layers"] = {}
        for layer, (name, q) in zip(layers, rounded().items(), strict=True):
            weight = model.parameters[name].detach()
            error, levels = float((q - weight).abs().max()), len(q.unique())
            run.facts["layers"][layer.node] = {"levels": levels, "largest_error": error}
            weight.copy_(q)
        return model

    def _rounded(self, weight: Tensor, layer: Layer) -> Tensor:
        """The nearest levels, in the weight's own type; at most 2^bits different ones a scale."""
        w = weight.double()
        axes = tuple(i for i in range(w.ndim) if self.per == "tensor" or i != layer.axis)
        if self.scheme == "symmetric":
            most = 2.0 ** (self.bits - 1) - 1.0
            scale = _or_one(w.abs().amax(axes, keepdim=True) / most)
            return ((w / scale).round().clamp(-most, most) * scale).to(weight.dtype)
        low, high = w.amin(axes, keepdim=True).clamp(max=0.0), w.amax(axes, keepdim=True).clamp(min=0.0)
        steps = 2.0**self.bits - 1.0
        scale = _or_one((high - low) / steps)
        zero = (-low / scale).round()
        return (((w / scale).round() + zero).clamp(0.0, steps).sub(zero) * scale).to(weight.dtype)


def _or_one(scale: Tensor) -> Tensor:
    """A scale for weights that are all 0 too."""
    return torch.where(scale > 0.0, scale, 1.0)


METHOD = Quantize
