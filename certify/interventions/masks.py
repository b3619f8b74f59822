"""Which weights of a model are gone, and that they stay so while the others are trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from certify.interventions.neurons import Layer
from certify.interventions.trainable import TrainableModel


class Masks:
    """For parameters by name, 1 where a number is kept and 0 where it is gone. Starts with everything kept."""

    def __init__(self, model: TrainableModel) -> None:
        self.kept = {name: torch.ones_like(value, requires_grad=False) for name, value in model.parameters.items()}

    def apply(self, model: TrainableModel) -> None:
        """Set what is gone to 0: at once, and after each step of a training."""
        with torch.no_grad():
            for name, kept in self.kept.items():
                model.parameters[name].mul_(kept)

    def drop_neuron(self, layer: Layer, number: int) -> None:
        """Take out all that makes a neuron: weights, bias, normalisation."""
        for name, axis in layer.parts:
            self.kept[name].select(axis, number).zero_()

    def neurons(self, layer: Layer) -> Tensor:
        """Which neurons are there still, [neurons] of bool."""
        kept = self.kept[layer.weight].movedim(layer.axis, 0)
        return kept.reshape(len(kept), -1).any(1)

    def drop_smallest(self, model: TrainableModel, names: Sequence[str], share: float) -> None:
        """Take the weights of least magnitude out of these parameters, so that `share` of their elements is gone.

        Exactly round(share * elements), counted together; what is gone already comes first, and ties go by place.
        """
        sizes = [model.parameters[name].numel() for name in names]
        magnitude = torch.cat(
            [torch.where(self.kept[n] > 0, model.parameters[n].detach().abs(), -1.0).reshape(-1) for n in names]
        )
        order = torch.argsort(magnitude, stable=True)
        kept = torch.ones_like(magnitude)
        kept[order[: max(round(share * len(kept)), int((magnitude < 0).sum()))]] = 0.0
        for name, part in zip(names, kept.split(sizes), strict=True):
            self.kept[name] = part.reshape(self.kept[name].shape)


def zeros(model: TrainableModel, layers: Sequence[Layer]) -> dict[str, float]:
    """The share of weights that are 0, by layer and of all, biases aside."""
    counts = {layer.node: (model.parameters[layer.weight] == 0).sum().item() for layer in layers}
    sizes = {layer.node: model.parameters[layer.weight].numel() for layer in layers}
    return {node: counts[node] / sizes[node] for node in counts} | {"all": sum(counts.values()) / sum(sizes.values())}
