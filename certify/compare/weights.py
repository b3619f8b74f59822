"""How large a model is, and how sparse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from certify.files import resolve
from certify.network.read_onnx import read_proto


@dataclass(frozen=True)
class Weights:
    """parameters: numbers in all floating-point tensors that the file holds. weights: of these, in matrices and
    kernels, that is in tensors of two or more axes; nonzero: of the weights, those that are not 0.
    """

    parameters: int
    weights: int
    nonzero: int

    @property
    def density(self) -> float:
        """nonzero / weights, 1 where there are none."""
        return self.nonzero / self.weights if self.weights else 1.0


def count_weights(path: str | Path) -> Weights:
    """The counts of a model file. Raises ModelError for a file that is no model."""
    from onnx import numpy_helper

    graph = read_proto(resolve(path))[0].graph
    constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value"]
    parameters = weights = nonzero = 0
    for tensor in (*graph.initializer, *constants):
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind != "f":
            continue
        parameters += values.size
        if values.ndim >= 2:
            weights += values.size
            nonzero += int(np.count_nonzero(values))
    return Weights(parameters, weights, nonzero)
