"""A method applied to a model in memory, and what onnxruntime makes of the file that comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from trained_models import blobs

from certify.dataset import Dataset
from certify.interventions.base import Run, Training, find_method
from certify.interventions.settings import make
from certify.interventions.trainable import TrainableModel, check_parity


def apply(
    name: str, model: TrainableModel, epochs: int, data: Dataset | None = None, **settings: Any
) -> tuple[TrainableModel, dict[str, Any]]:
    """(the model that comes out, the facts of the record)."""
    run = Run(Training(epochs=epochs, batch=30, lr=0.03))
    done = make(find_method(name), name, settings).apply(model, blobs() if data is None else data, run)
    return done, run.facts


def written(model: TrainableModel, folder: Path) -> TrainableModel:
    """The model read back from its file, after onnxruntime has agreed with it."""
    model.write(folder / "out.onnx")
    check_parity(model, folder / "out.onnx")
    return model.copy()


def array(model: TrainableModel, name: str) -> np.ndarray:
    """A parameter."""
    return model.parameters[name].detach().numpy()


def value(model: TrainableModel, tensor: str, x: np.ndarray) -> np.ndarray:
    """A tensor [samples, ...] for these inputs."""
    with torch.no_grad():
        return model.run(model.put(x), (tensor,))[tensor].numpy()
