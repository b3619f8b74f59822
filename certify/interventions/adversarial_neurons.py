"""Adversarial neuron pruning: which neurons make a model change its answers when its weights are disturbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from certify.interventions.neurons import Layer, along
from certify.interventions.trainable import TrainableModel

LR, MOMENTUM = 0.2, 0.9


@dataclass(frozen=True)
class NeuronAttack:
    """Masks m in [0, 1], one a neuron, that minimise

        clean * loss(m) + (1 - clean) * max over |d|, |e| <= noise of loss(weights * (m + d), biases * (1 + e))

    (Wu and Wang, NeurIPS 2021, eq. 3 and 4), the inner one by a single signed step from a random start, the outer one
    by gradient descent with momentum.
    """

    model: TrainableModel
    layers: Sequence[Layer]
    noise: float
    clean: float

    def train(self, x: Tensor, y: Tensor, *, steps: int, batch: int, chance: torch.Generator) -> dict[str, Tensor]:
        """The masks [neurons] by layer's node after so many steps on batches of the samples."""
        masks = {
            x.node: torch.ones(x.size(self.model), dtype=self.model.dtype, requires_grad=True) for x in self.layers
        }
        optimiser = torch.optim.SGD(list(masks.values()), lr=LR, momentum=MOMENTUM)
        for _ in range(steps):
            numbers = torch.randint(len(x), (min(batch, len(x)),), generator=chance)
            noise = self._worst(masks, x[numbers], y[numbers], chance)
            value = (1.0 - self.clean) * self._loss(masks, noise, x[numbers], y[numbers])
            if self.clean:
                value = value + self.clean * self._loss(masks, {}, x[numbers], y[numbers])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            with torch.no_grad():
                for mask in masks.values():
                    mask.clamp_(0.0, 1.0)
        return {node: mask.detach() for node, mask in masks.items()}

    def _worst(
        self, masks: Mapping[str, Tensor], x: Tensor, y: Tensor, chance: torch.Generator
    ) -> dict[str, tuple[Tensor, Tensor]]:  # fmt: skip
        kept = {node: mask.detach() for node, mask in masks.items()}
        start = [
            ((2.0 * torch.rand(len(mask), generator=chance) - 1.0).to(mask) * self.noise).requires_grad_()
            for mask in kept.values()
            for _ in range(2)
        ]
        loss = self._loss(kept, _pairs(kept, start), x, y)
        gradients = torch.autograd.grad(loss, start, allow_unused=True)
        ends = [
            (d if g is None else d + self.noise * g.sign()).detach().clamp(-self.noise, self.noise)
            for d, g in zip(start, gradients, strict=True)
        ]
        return _pairs(kept, ends)

    def _loss(
        self, masks: Mapping[str, Tensor], noise: Mapping[str, tuple[Tensor, Tensor]], x: Tensor, y: Tensor
    ) -> Tensor:  # fmt: skip
        changed: dict[str, Tensor] = {}
        for layer in self.layers:
            none = torch.zeros_like(masks[layer.node])
            of_weights, of_biases = noise.get(layer.node, (none, none))
            # Behind a normalisation only its scale and bias count, or the neuron would be scaled twice over.
            (first, *rest) = layer.after[-2:] if layer.normalised else layer.parts
            factors = {first: masks[layer.node] + of_weights} | dict.fromkeys(rest, 1.0 + of_biases)
            for (name, axis), factor in factors.items():
                value = self.model.parameters[name].detach()
                changed[name] = value * along(factor, axis, value)
        return functional.cross_entropy(self.model.logits(x, parameters=changed), y)


def _pairs(masks: Mapping[str, Tensor], noise: Sequence[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    return {node: (noise[2 * i], noise[2 * i + 1]) for i, node in enumerate(masks)}
