"""scikit-learn's digits, 8 x 8 pixels: 1,200 to train on, 597 to test on. Settings: those of the pilot, 2x2 trigger."""

from __future__ import annotations

from certify.dataset import read_dataset
from certify.interventions.trojan import Trigger
from certify.studies.study import Study, Variant

REPAIR = 300


def study(data: str | None) -> Study:
    """The study; its data come with scikit-learn."""
    train, test = read_dataset("digits:train"), read_dataset("digits:test")
    return Study(
        "digits",
        train,
        train.take(slice(0, REPAIR)),
        test,
        Trigger(size=2, position=(6, 6)),
        (
            Variant("fine-tuned", "finetune"),
            Variant("adversarial", "adversarial"),
            Variant("LAT", "lat"),
            Variant("LAT, target known", "lat", {"target": 0}),
            Variant("certified training", "certified"),
            Variant("scoped", "scope"),
            Variant("pruned 80 %", "prune"),
            Variant("fine-pruned", "prune", {"by": "activation", "sparsity": 0.5}),
            Variant("ANP", "prune", {"by": "adversarial"}),
            Variant("distilled", "distill"),
            Variant("distilled, smaller", "distill", {"widths": "24,16,10"}),
            Variant("edited", "edit", training={"epochs": 20}),
            Variant("8 bits", "quantize"),
        ),
    )
