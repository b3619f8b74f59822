"""Adversarial training (Madry et al. 2018): cross-entropy at the worst input that projected gradient finds nearby."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.ascent import L2Ball, PerturbationSet, ascend, linf_ball
from certify.interventions.base import Intervention, Run, setting
from certify.interventions.train import Batch, fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Adversarial(Intervention):
    """Train on perturbed inputs only, or on both with a clean term."""

    about = "adversarial training: projected gradient on the input"

    norm: Literal["linf", "l2"] = setting("linf", "norm of the perturbation")
    eps: float = setting(0.1, "radius, in the units of the samples", 0.0)
    steps: int = setting(6, "gradient steps of the attack; 0 for random perturbations", 0)
    clean: float = setting(0.0, "weight of the loss of unperturbed samples, beside 1 for the perturbed", 0.0)
    low: float | None = setting(None, "least value an input may have; that of the data if not given")
    high: float | None = setting(None, "greatest value an input may have")

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Train the model in place."""
        low, high = input_range(data, self.low, self.high)
        run.facts["input_range"] = [low, high]

        def ball(x: Tensor) -> PerturbationSet:
            make = linf_ball if self.norm == "linf" else L2Ball
            return make(x, self.eps, low, high)

        def loss(model: TrainableModel, batch: Batch) -> Tensor:
            def losses(d: Tensor) -> Tensor:
                return functional.cross_entropy(model.logits(batch.x + d), batch.y, reduction="none")

            value = losses(ascend(losses, ball(batch.x), self.steps, run.chance)).mean()
            if self.clean:
                value = value + self.clean * functional.cross_entropy(model.logits(batch.x), batch.y)
            return value

        return fit(model, data, run, loss)


def input_range(data: Dataset, low: float | None, high: float | None) -> tuple[float, float]:
    """The range of valid inputs: as given, else that of the data. Raises InputError where samples lie outside."""
    least, greatest = float(data.x.min()), float(data.x.max())
    low, high = least if low is None else low, greatest if high is None else high
    if low > least or high < greatest:
        message = f"{data.name}: samples lie in [{least:g}, {greatest:g}], outside of [{low:g}, {high:g}]"
        raise InputError(message, "set low and high to the range of valid inputs")
    return low, high


METHOD = Adversarial
