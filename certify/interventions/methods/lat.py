"""Latent adversarial training: the worst perturbation of a hidden tensor, without knowing what would cause it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.ascent import L2Ball, PerturbationSet, ascend, linf_ball
from certify.interventions.base import Intervention, Run, setting
from certify.interventions.methods.adversarial import input_range
from certify.interventions.reach import Reach
from certify.interventions.train import Batch, fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Lat(Intervention):
    """Train the model on min over weights of max over d in a set of loss(tail(h(x) + d), y), h(x) the hidden tensor.

    Untargeted as Casper et al. (arXiv 2403.05030): random start, few steps, the outer loss is that of the perturbed
    values only and its gradient flows through h too. Targeted as Sheshadri et al. (arXiv 2407.15549): the attack goes
    towards `target` and away from the class, training the other way, and a clean term is needed. latent_set=verifier
    takes what certified bounds say the inputs within `input_eps` reach, as COLT does (Balunovic and Vechev, ICLR 2020).

    A ball of a size fixed at the start can be evaded by larger activations; one in units of each batch cannot, and
    cost 20 points of accuracy where the other cost 2 (digits, last hidden tensor, eps 0.6).
    """

    about = "latent adversarial training: the worst perturbation of a hidden tensor"

    tensor: str | None = setting(None, "ONNX name of the hidden tensor; the one before the last layer if not given")
    latent_set: Literal["ball", "verifier"] = setting("ball", "what a perturbation may be")
    norm: Literal["l2", "linf"] = setting("l2", "norm of the ball")
    eps: float = setting(0.6, "radius of the ball", 0.0)
    unit: Literal["start", "batch", "absolute"] = setting(
        "start", "of eps: the mean norm of the activations at the start, or of each batch, or 1"
    )
    steps: int = setting(6, "gradient steps of the attack; 0 for random perturbations", 0)
    target: int | None = setting(None, "class that the attack goes towards; any other one if not given", 0)
    clean: float | None = setting(None, "weight of the clean loss; 0, with a target 1, if not given", 0.0)
    input_eps: float = setting(0.05, "verifier: radius of the inputs in the maximum norm", 0.0)
    bounds: Literal["crown", "ibp"] = setting("crown", "verifier: how it bounds")

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Train the model in place."""
        tensor = model.last_hidden if self.tensor is None else model.hidden(self.tensor)
        if self.target is not None and self.target >= model.n_classes:
            raise InputError(f"target is {self.target}, the model has {model.n_classes} classes", "they count from 0")
        run.facts["tensor"] = tensor
        clean = self.clean if self.clean is not None else 0.0 if self.target is None else 1.0
        unit = self._mean_norm(model.run(model.samples(data)[0], (tensor,))[tensor]) if self.unit == "start" else 1.0
        run.facts |= {"eps": self.eps * unit} if self.unit != "batch" else {}
        reach = Reach(tensor, self.input_eps, input_range(data, None, None), self.bounds)

        def loss(model: TrainableModel, batch: Batch) -> Tensor:
            z = model.run(batch.x, (tensor,))[tensor]
            allowed = self._ball(z.detach(), unit) if self.latent_set == "ball" else reach(model, batch.x, z.detach())

            def scores(d: Tensor, z: Tensor) -> Tensor:
                return model.logits(batch.x, given={tensor: z + d})

            def attacked(d: Tensor) -> Tensor:
                return self._attacked(scores(d, z.detach()), batch.y)

            d = ascend(attacked, allowed, self.steps, run.chance)
            value = self._trained(scores(d, z), batch.y)
            return value + clean * functional.cross_entropy(model.logits(batch.x), batch.y) if clean else value

        return fit(model, data, run, loss)

    def _ball(self, z: Tensor, unit: float) -> PerturbationSet:
        """The ball around the values, within the range of all values of the batch (rectified ones stay so)."""
        eps = self.eps * (self._mean_norm(z) if self.unit == "batch" else unit)
        make = L2Ball if self.norm == "l2" else linf_ball
        return make(z, eps, float(z.min()), float(z.max()))

    def _mean_norm(self, z: Tensor) -> float:
        return float(torch.linalg.vector_norm(z.detach().flatten(1), 2 if self.norm == "l2" else torch.inf, 1).mean())

    def _attacked(self, scores: Tensor, y: Tensor) -> Tensor:
        """What the attack makes large, [batch]."""
        away = functional.cross_entropy(scores, y, reduction="none")
        if self.target is None:
            return away
        return away - functional.cross_entropy(scores, torch.full_like(y, self.target), reduction="none")

    def _trained(self, scores: Tensor, y: Tensor) -> Tensor:
        """What training makes small: with a target also its probability, in samples of other classes."""
        towards = functional.cross_entropy(scores, y)
        if self.target is None:
            return towards
        others = y != self.target
        rest = torch.cat([scores[:, : self.target], scores[:, self.target + 1 :]], dim=1)
        # -log(1 - p), from the scores so that it stays finite.
        avoided = torch.logsumexp(scores, dim=1) - torch.logsumexp(rest, dim=1)
        return towards + (avoided * others).sum() / others.sum().clamp(min=1)


METHOD = Lat
