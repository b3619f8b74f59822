"""Fine-tuning: more training on data that is trusted, the baseline that every other method is held against."""

from __future__ import annotations

from dataclasses import dataclass

from certify.dataset import Dataset
from certify.interventions.base import Intervention, Run
from certify.interventions.train import fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Finetune(Intervention):
    """Cross-entropy on the data given, without any decay. It leaves alone what the data never exercises."""

    about = "train on the data as it is (the baseline)"

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Train the model in place."""
        return fit(model, data, run)


METHOD = Finetune
