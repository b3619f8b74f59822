"""What inputs of a small box reach in a hidden tensor, as certified bounds have it for the weights of the moment."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from certify.arrays import to_numpy
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.interventions.ascent import Box
from certify.interventions.trainable import TrainableModel
from certify.network.read_onnx import GraphReader


class Reach:
    """Boxes of hidden values that contain what inputs within `eps` (maximum norm) and `input_range` lead to.

    The engine bounds the file that the weights of the moment would be written as, once for each batch.
    """

    def __init__(self, tensor: str, eps: float, input_range: tuple[float, float], method: str) -> None:
        """tensor: ONNX name; method: crown or ibp."""
        self._tensor, self._eps, self._range, self._method = tensor, eps, input_range, method

    def __call__(self, model: TrainableModel, x: Tensor, z: Tensor) -> Box:
        """The perturbations of the hidden values z [batch, *shape] of inputs x that stay in the boxes."""
        network = GraphReader(model.to_proto(), Path(model.name)).read((self._tensor,))
        center = x.reshape(len(x), -1).double().numpy()
        box = Interval(*(np.clip(center + side * self._eps, *self._range) for side in (-1.0, 1.0)))
        size = int(np.prod(z.shape[1:]))
        rows = np.eye(size, network.n_outputs)
        both = np.broadcast_to(np.concatenate([rows, -rows]), (len(x), 2 * size, network.n_outputs))
        wanted = Rows({network.output: both}, np.zeros((len(x), 2 * size)))
        bound = import_module(f"certify.bounds.methods.{self._method}").bound
        lower = np.array(to_numpy(bound(network, box, wanted, lambda: False)[1]))
        low, high = (
            torch.from_numpy(side).to(z.dtype).reshape(z.shape) for side in (lower[:, :size], -lower[:, size:])
        )
        # Rounding to the model's own type must not push the unperturbed value out of its box.
        return Box(z, torch.minimum(low, z), torch.maximum(high, z))
