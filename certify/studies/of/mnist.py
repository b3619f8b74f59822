"""MNIST, 28 x 28 pixels, from its idx files: 10,000 images are 8,000 to train on and 2,000 to test on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from certify.dataset import read_dataset
from certify.interventions.trojan import Trigger
from certify.studies.study import Study, Variant, needed

IMAGES = (
    "t10k-images-idx3-ubyte.gz",
    "t10k-images-idx3-ubyte",
    "train-images-idx3-ubyte.gz",
    "train-images-idx3-ubyte",
)
REPAIR, TEST_SHARE = 1000, 0.2


def study(data: str | None) -> Study:
    """The study. data: a file of images, or the folder that it lies in, its labels beside it."""
    path = Path(needed(data, "MNIST's images"))
    file = next((path / name for name in IMAGES if (path / name).exists()), path)
    whole = read_dataset(file)
    order = np.random.default_rng(0).permutation(len(whole))
    cut = round((1.0 - TEST_SHARE) * len(whole))
    train, test = whole.take(order[:cut]), whole.take(order[cut:])
    return Study(
        "mnist",
        train,
        train.take(slice(0, REPAIR)),
        test,
        Trigger(size=3, position=(24, 24)),
        (
            Variant("fine-tuned", "finetune", training={"epochs": 40}),
            Variant("adversarial", "adversarial", training={"epochs": 40}),
            Variant("LAT", "lat", training={"epochs": 40}),
            Variant("scoped", "scope", {"decay": 0.01}, {"epochs": 40}),
            Variant("pruned 90 %", "prune", {"sparsity": 0.9}, {"epochs": 40}),
            Variant("8 bits", "quantize"),
        ),
        epochs=20,
        images=100,
        map=False,
        regions=10,
    )
