"""Certified training: cross-entropy of the worst scores that bounds allow (Gowal et al. 2018; Zhang et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.base import Intervention, Run, setting
from certify.interventions.crown import crown_margins
from certify.interventions.intervals import margins
from certify.interventions.methods.adversarial import input_range
from certify.interventions.train import Batch, fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Certified(Intervention):
    """Train on (1 - k) clean + k worst loss, where radius and k grow from 0 over the first `ramp` of the training.

    k ends at 1 - `clean` (Gowal et al., arXiv 1810.12715, eq. 12, with 0.5). The worst scores are the bounds of the
    score of each other class minus that of the sample's own: with `ibp` of intervals, with `crown-ibp` b times those of
    a backward walk plus 1 - b times those of intervals, where b falls from 1 to 0 while the radius grows (Zhang et al.,
    arXiv 1906.06316).
    """

    about = "certified training: the loss of interval bounds (IBP), or of linear ones first (CROWN-IBP)"

    eps: float = setting(0.05, "radius in the maximum norm, in the units of the samples", 0.0)
    ramp: float = setting(0.5, "share of the training over which the radius grows", 0.0)
    bounds: Literal["ibp", "crown-ibp"] = setting("ibp", "bounds of the worst scores")
    clean: float = setting(0.5, "share of the clean loss in the end, at most 1", 0.0)
    low: float | None = setting(None, "least value an input may have; that of the data if not given")
    high: float | None = setting(None, "greatest value an input may have")

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Train the model in place."""
        if self.clean > 1.0:
            raise InputError("clean is a share, at most 1")
        if self.bounds == "crown-ibp" and self.ramp == 0.0:
            raise InputError("crown-ibp takes its linear bounds during the ramp, and there is none", "give ramp > 0")
        low, high = input_range(data, self.low, self.high)
        run.facts["input_range"] = [low, high]

        def loss(model: TrainableModel, batch: Batch) -> Tensor:
            grown = min(1.0, batch.done / self.ramp) if self.ramp else 1.0
            eps, weight = self.eps * grown, (1.0 - self.clean) * grown
            box = ((batch.x - eps).clamp(low, high), (batch.x + eps).clamp(low, high))
            bounds = margins(model, *box, batch.y)
            if self.bounds == "crown-ibp" and grown < 1.0:
                bounds = (1.0 - grown) * crown_margins(model, *box, batch.y) + grown * bounds
            worst = functional.cross_entropy(-bounds, batch.y)
            clean = functional.cross_entropy(model.logits(batch.x), batch.y)
            return (1.0 - weight) * clean + weight * worst

        return fit(model, data, run, loss)


METHOD = Certified
