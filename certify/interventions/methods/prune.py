"""Pruning: take weights or whole neurons out, and train what is left with them held at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.adversarial_neurons import NeuronAttack
from certify.interventions.base import Intervention, Run, setting
from certify.interventions.masks import Masks, zeros
from certify.interventions.neurons import Layer, choose, hidden_layers, layers_of, mean_values
from certify.interventions.train import accuracy, fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Prune(Intervention):
    """What goes is set to zero in the file, and stays zero in the training that follows.

    magnitude: the weights of least magnitude (Han et al. 2015), biases aside. structured: the hidden neurons of least
    root mean square of incoming weights (Li et al. 2017). activation: fine-pruning (Liu et al., RAID 2018), the hidden
    neurons with the least mean value on the data first, as long as the accuracy on it falls by `tolerance` at most.
    adversarial: adversarial neuron pruning (Wu and Wang, NeurIPS 2021): masks of neurons trained against the worst
    noise on their weights and biases, all below `threshold` go. The first two reach `sparsity` in `rounds`, along the
    cubic schedule of Zhu and Gupta (2017), s_t = s (1 - (1 - t / rounds)^3), and share the epochs between them.
    """

    about = "take out weights or neurons, then fine-tune with them held at zero"

    by: Literal["magnitude", "structured", "activation", "adversarial"] = setting("magnitude", "what chooses them")
    sparsity: float = setting(0.8, "share taken out, below 1; activation: the most that may be", 0.0)
    across: Literal["global", "layer"] = setting("global", "the share is that of all layers together, or of each")
    layer: str | None = setting(None, "node of the only layer to prune; all, or the last hidden one for activation")
    rounds: int = setting(1, "steps of the sparsity schedule", 1)
    tolerance: float = setting(0.1, "activation: accuracy that may be lost before the fine-tuning", 0.0)
    threshold: float = setting(0.2, "adversarial: neurons whose mask ends at or below it go", 0.0)
    noise: float = setting(0.4, "adversarial: most that a neuron's weights or bias change, relative to them", 0.0)
    clean: float = setting(0.2, "adversarial: weight of the loss without noise, up to 1; the rest is that with it", 0.0)
    steps: int = setting(2000, "adversarial: steps of the masks, on batches", 0)

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Prune and train the model in place."""
        if self.sparsity >= 1.0 or self.clean > 1.0:
            raise InputError("prune: sparsity is a share below 1, clean one up to 1")
        every = layers_of(model) if self.by == "magnitude" else hidden_layers(model)
        layers = choose(every, self.layer, model.name)
        masks = Masks(model)
        if self.by in ("magnitude", "structured"):
            self._gradually(model, data, run, masks, layers)
        else:
            if self.by == "activation":
                self._by_activation(model, data, run, masks, layers if self.layer else layers[-1:])
            else:
                self._by_attack(model, data, run, masks, layers)
            masks.apply(model)
            fit(model, data, run, after_step=masks.apply, stage="fine-tune")
        run.facts["zeros"] = zeros(model, layers)
        if self.by != "magnitude":
            run.facts["neurons"] = {x.node: [int(masks.neurons(x).sum()), x.size(model)] for x in layers}
        return model

    def _gradually(
        self, model: TrainableModel, data: Dataset, run: Run, masks: Masks, layers: Sequence[Layer]
    ) -> None:  # fmt: skip
        groups = [list(layers)] if self.across == "global" else [[layer] for layer in layers]
        epochs = run.training.epochs
        for t in range(1, self.rounds + 1):
            share = self.sparsity * (1.0 - (1.0 - t / self.rounds) ** 3)
            for group in groups:
                if self.by == "magnitude":
                    masks.drop_smallest(model, [layer.weight for layer in group], share)
                else:
                    sizes = [layer.rows(model).square().mean(1).sqrt() for layer in group]
                    drop_least(masks, group, sizes, share)
            masks.apply(model)
            now = epochs * t // self.rounds - epochs * (t - 1) // self.rounds
            fit(model, data, run.part(now), after_step=masks.apply, stage=f"sparsity {share:.3g}")

    def _by_activation(
        self, model: TrainableModel, data: Dataset, run: Run, masks: Masks, layers: Sequence[Layer]
    ) -> None:  # fmt: skip
        x, y = model.samples(data)
        least = accuracy(model, x, y) - self.tolerance
        order = ranked(layers, mean_values(model, layers, x))
        accuracies: list[float] = []
        for layer, number in order[: round(self.sparsity * len(order))]:
            if int(masks.neurons(layer).sum()) == 1:
                continue
            before = {name: masks.kept[name].clone() for name, _ in layer.parts}
            masks.drop_neuron(layer, number)
            trial = {name: model.parameters[name].detach() * kept for name, kept in masks.kept.items()}
            accuracies.append(accuracy(model, x, y, parameters=trial))
            if accuracies[-1] < least:
                masks.kept.update(before)
                break
        run.facts["accuracy_by_neurons_pruned"] = accuracies

    def _by_attack(
        self, model: TrainableModel, data: Dataset, run: Run, masks: Masks, layers: Sequence[Layer]
    ) -> None:  # fmt: skip
        attack = NeuronAttack(model, layers, self.noise, self.clean)
        found = attack.train(*model.samples(data), steps=self.steps, batch=run.training.batch, chance=run.chance)
        for layer in layers:
            for number in (found[layer.node] <= self.threshold).nonzero().flatten().tolist():
                if int(masks.neurons(layer).sum()) > 1:
                    masks.drop_neuron(layer, number)
        run.facts["masks"] = {node: [round(m, 4) for m in mask.tolist()] for node, mask in found.items()}


def ranked(layers: Sequence[Layer], values: Sequence[Tensor]) -> list[tuple[Layer, int]]:
    """(layer, neuron) from the least value up; ties by place."""
    flat = [(layer, number) for layer, value in zip(layers, values, strict=True) for number in range(len(value))]
    return [flat[i] for i in torch.argsort(torch.cat(list(values)), stable=True).tolist()]


def drop_least(masks: Masks, layers: Sequence[Layer], values: Sequence[Tensor], share: float) -> None:
    """Take the neurons with the least values out until round(share * neurons) are gone, one a layer left at least."""
    gone = sum(int((~masks.neurons(layer)).sum()) for layer in layers)
    wanted = round(share * sum(len(value) for value in values))
    for layer, number in ranked(layers, values):
        there = masks.neurons(layer)
        if gone < wanted and there[number] and int(there.sum()) > 1:
            masks.drop_neuron(layer, number)
            gone += 1


METHOD = Prune
