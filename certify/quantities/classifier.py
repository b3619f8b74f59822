"""A model that classifies: one input, one output of class scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from certify.dataset import Dataset, read_dataset
from certify.errors import InputError
from certify.files import resolve
from certify.network.graph import Network
from certify.network.parity import check_parity
from certify.network.read_onnx import Model, load_model, read_proto
from certify.witness.runtime import Runtime

TYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class Classifier:
    """A model as a classifier: what onnxruntime answers, and the same model as our graph.

    input_shape, output_shape: axes of unknown length, such as the batch, count as 1; dtype: of the input, float32 or
    float64.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file. Raises InputError where it has several inputs or outputs, or an input of another type."""
        self.path = resolve(path)
        graph = read_proto(self.path)[0].graph
        self.runtime = Runtime(self.path)
        if len(self.runtime.inputs) != 1 or len(graph.output) != 1:
            raise InputError(f"{self.path}: a classifier has one input and one output, this model has others too")
        self.input_shape = _static(self.runtime.inputs[0].shape)
        self._output = graph.output[0].type.tensor_type.shape
        self.dtype = TYPES.get(self.runtime.inputs[0].type, "")
        if not self.dtype:
            raise InputError(f"{self.path}: the input is a {self.runtime.inputs[0].type}, not float32 or float64")

    @property
    def n_inputs(self) -> int:
        """Elements of the input."""
        return math.prod(self.input_shape)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """As the file says; [1, scores] where it does not, of which onnxruntime tells how many there are."""
        said = _static([d.dim_value for d in self._output.dim])
        scores = self.runtime(np.zeros(self.n_inputs)).size
        return said if math.prod(said) == scores else (1, scores)

    @cached_property
    def model(self) -> Model:
        """The file as read. Raises UnsupportedOp for what cannot be bounded."""
        return load_model(self.path)

    @property
    def network(self) -> Network:
        """The model as our graph, in numpy."""
        return self.model.network

    @property
    def n_classes(self) -> int:
        """Scores in the output."""
        return self.network.n_outputs

    def rows(self, samples: Dataset) -> np.ndarray:
        """The samples as the model is given them, [samples, n_inputs]: float64 values that `dtype` can hold.

        Raises InputError where a sample has another size than the input, or a class that the model does not have.
        """
        samples.check_labels(math.prod(self.output_shape), self.path)
        return samples.flat(self.n_inputs, self.path).astype(self.dtype).astype(np.float64)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The class scores [points, classes] that onnxruntime computes at x [points, n_inputs], one by one."""
        return np.stack([self.runtime(point) for point in x])

    def compare(self, lower: np.ndarray, upper: np.ndarray) -> None:
        """Make sure, on points of the box [n_inputs], that our graph computes what onnxruntime does.

        Raises ParityError where it does not; nothing may be claimed about the model then.
        """
        check_parity(self.network, self.runtime, lower, upper)


def samples_of(data: str | Path | Dataset, count: int | None = None) -> Dataset:
    """The samples of a file or those given, the first `count` of them."""
    samples = data if isinstance(data, Dataset) else read_dataset(data)
    return samples if count is None else samples.take(slice(0, count))


def _static(shape: Sequence[Any]) -> tuple[int, ...]:
    """The shape with every axis of unknown length as 1."""
    return tuple(n if isinstance(n, int) and n > 0 else 1 for n in shape)
