"""Editing: take one direction, or a few neurons, out of a hidden tensor; found without knowing what triggers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from certify.dataset import Dataset
from certify.errors import InputError, UnsupportedOp
from certify.interventions.base import Intervention, Run, Training, setting
from certify.interventions.masks import Masks
from certify.interventions.methods.adversarial import input_range
from certify.interventions.neurons import Layer, hidden_layers, layers_of
from certify.interventions.train import fit
from certify.interventions.trainable import TrainableModel
from certify.interventions.trigger_search import Perturbation, TriggerSearch


@dataclass(frozen=True)
class Edit(Intervention):
    """First the patch, anywhere, or the universal perturbation that sends the most samples to one class is looked for;
    D [samples, neurons] is how it moves the hidden tensor, h(x + t) - h(x).

    subspace: with Q the leading right singular vectors of D and mu the mean of h(x), each layer W h + b that reads the
    tensor becomes W (h - Q Q^T (h - mu)) + b, in the weights: W - W Q Q^T and b + W Q Q^T mu. With rank 1 the weights
    change by a matrix of rank one. ablate: the neurons that carry most of the way to the class, by D times the gradient
    of its score over the mean score, are set to 0 and stay 0 if the model is trained after it.
    """

    about = "take a direction or neurons out of a hidden tensor, found without knowing a trigger"
    training = Training(epochs=0)

    what: Literal["subspace", "ablate"] = setting("subspace", "what is taken out")
    tensor: str | None = setting(None, "ONNX name of the hidden tensor; that of the first hidden layer if not given")
    rank: int = setting(1, "subspace: how many directions", 1)
    neurons: int = setting(1, "ablate: how many neurons", 1)
    rounds: int = setting(1, "how often to look for a perturbation and edit", 1)
    patch: int = setting(2, "side of the square patch that is looked for; 0 for a universal perturbation", 0)
    eps: float = setting(0.2, "universal: radius in the maximum norm", 0.0)
    target: int | None = setting(None, "class that is looked for; any if not given", 0)
    steps: int = setting(20, "gradient steps of the search", 1)
    samples: int = setting(64, "samples that the search is made on", 1)

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Edit the model in place, then train it where epochs are asked for."""
        hidden = hidden_layers(model)
        tensor = hidden[0].output if self.tensor is None else model.hidden(self.tensor)
        low, high = input_range(data, None, None)
        search = TriggerSearch(self.patch, self.eps, low, high, self.target, self.steps, self.samples)
        masks = Masks(model)
        run.facts["tensor"] = tensor
        run.facts["rounds"] = []
        x, y = model.samples(data)
        for _ in range(self.rounds):
            found = search.best(model, data, run.chance)
            others = x[y != found.target]
            if self.what == "ablate":
                facts = self._ablate(model, _maker(hidden, tensor, model.name), found, others, masks)
            else:
                facts = self._take_out(model, tensor, found, others, x)
            facts["success_after"] = _success(model, found, others)
            run.facts["rounds"].append({"target": found.target, **found.about, "success": found.success} | facts)
        return fit(model, data, run, after_step=masks.apply, stage="fine-tune")

    def _take_out(
        self, model: TrainableModel, tensor: str, found: Perturbation, others: Tensor, x: Tensor
    ) -> dict[str, Any]:  # fmt: skip
        readers = _readers(model, tensor)
        with torch.no_grad():
            h = model.run(x, (tensor,))[tensor]
            moved = model.run(found.stamp(others), (tensor,))[tensor] - model.run(others, (tensor,))[tensor]
        h, moved = h.reshape(-1, h.shape[-1]).double(), moved.reshape(-1, moved.shape[-1]).double()
        if self.rank > moved.shape[1]:
            raise InputError(f"rank is {self.rank}, '{tensor}' has {moved.shape[1]} neurons", "choose a smaller one")
        _, values, directions = torch.linalg.svd(moved, full_matrices=False)
        q = directions[: self.rank].T
        for layer in readers:
            weight, bias = model.parameters[layer.weight], model.parameters[_bias(model, layer)]
            change = layer.rows(model).double() @ q
            with torch.no_grad():
                weight.sub_((change @ q.T).movedim(0, layer.axis).to(weight))
                bias.add_((change @ (q.T @ h.mean(0))).reshape(bias.shape).to(bias))
        energy = values.square()
        return {
            "nodes": [layer.node for layer in readers],
            "direction": [[round(v, 6) for v in row] for row in q.T.tolist()],
            "share_of_movement": float(energy[: self.rank].sum() / energy.sum().clamp(min=1e-30)),
        }

    def _ablate(
        self, model: TrainableModel, layer: Layer, found: Perturbation, others: Tensor, masks: Masks
    ) -> dict[str, Any]:  # fmt: skip
        there = masks.neurons(layer)
        if self.neurons >= int(there.sum()):
            raise InputError(f"node '{layer.node}' has {int(there.sum())} neurons left", "ablate fewer of them")
        name = layer.output
        with torch.no_grad():
            before = model.run(others, (name,))[name]
            after = model.run(found.stamp(others), (name,))[name]
        z = after.clone().requires_grad_()
        scores = model.logits(others, given={name: z})
        # Not of the loss, whose gradient vanishes where a trigger has arrived.
        (gradient,) = torch.autograd.grad((scores[:, found.target] - scores.mean(1)).sum(), z)
        towards = layer.values((after - before) * gradient).mean(0)
        towards[~there] = float("-inf")
        chosen = towards.argsort(descending=True)[: self.neurons].tolist()
        for number in chosen:
            masks.drop_neuron(layer, number)
        masks.apply(model)
        return {"nodes": [layer.node], "neurons": chosen}


def _readers(model: TrainableModel, tensor: str) -> list[Layer]:
    """The dense layers that read a tensor. Raises UnsupportedOp for another node that does, InputError for none."""
    layers = {layer.node: layer for layer in layers_of(model) if layer.input == tensor}
    readers = [step for step in model.steps if tensor in step.inputs and step.op_type != "Shape"]
    for step in readers:
        layer = layers.get(step.label)
        if layer is None or layer.op_type not in ("Gemm", "MatMul") or layer.output_axis != -1:
            message = f"reads '{tensor}', and only dense layers can be edited"
            raise UnsupportedOp(step.op_type, step.label, message, "choose the tensor that a Gemm or MatMul node reads")
    if not readers:
        raise InputError(
            f"{model.name}: no node reads '{tensor}'", "choose the tensor that a Gemm or MatMul node reads"
        )
    return [layers[step.label] for step in readers]


def _bias(model: TrainableModel, layer: Layer) -> str:
    """The parameter that is added to a layer's result as it is. Raises UnsupportedOp where there is none."""
    names = [name for name, _ in (layer.after[:-2] if layer.normalised else layer.after)]
    users = [step for step in model.steps if names and names[0] in step.inputs]
    plain = len(users) == 1 and users[0].op_type in ("Gemm", "Add")
    weighted = [s for s in model.steps if s.label == layer.node or s in users]
    factors = [s.attributes.get(key, 1.0) for s in weighted for key in ("alpha", "beta")]
    if not plain or factors != [1.0] * len(factors):
        raise UnsupportedOp(layer.op_type, layer.node, "has no bias, added once, that could take the mean", _HINT)
    return names[0]


_HINT = "give it a bias of zeros, or set what=ablate"


def _maker(hidden: list[Layer], tensor: str, name: str) -> Layer:
    """The layer whose neurons' values are a tensor."""
    made = [layer for layer in hidden if layer.output == tensor]
    if not made:
        some = ", ".join(layer.output for layer in hidden)
        raise InputError(f"{name}: '{tensor}' is not what a hidden layer's neurons come to", f"there are: {some}")
    return made[0]


def _success(model: TrainableModel, found: Perturbation, others: Tensor) -> float:
    with torch.no_grad():
        return float((model.logits(found.stamp(others)).argmax(1) == found.target).double().mean())


METHOD = Edit
