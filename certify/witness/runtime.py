"""The user's own model file in onnxruntime, as a function of one flat vector; and several of them as one function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from certify.errors import ModelError
from certify.files import read_bytes, resolve


class Runtime:
    """A model file in onnxruntime on the CPU, as a function of one flat vector."""

    def __init__(self, path: str | Path, hidden: tuple[str, ...] = (), inputs: tuple[str, ...] = ()) -> None:
        """Open the file. hidden: names of tensors inside whose values are wanted, before the outputs. inputs: names of
        those to give, by default all to which the file gives no value.

        Raises ModelError if onnxruntime refuses it.
        """
        path = resolve(path)
        # From the path, so that external data is found; from memory for a compressed file.
        self._session = _session(path, read_bytes(path) if path.suffix == ".gz" else str(path))
        self.inputs = self._session.get_inputs()
        if inputs:
            listed = {i.name: i for i in [*self.inputs, *self._session.get_overridable_initializers()]}
            self.inputs = [listed[name] for name in inputs]
        self.output_names = [o.name for o in self._session.get_outputs()]
        self.n_inputs = sum(int(np.prod(_static(tensor.shape), dtype=np.int64)) for tensor in self.inputs)
        # A copy for the hidden values alone: the outputs are those of the file as it is, however onnxruntime fuses it.
        self._hidden = hidden
        self._copy = _session(path, _exposing(path, hidden)) if hidden else None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Hidden values and outputs laid end to end as float64, for inputs laid end to end.

        Inputs are cast to the model's types on the way in.
        """
        feeds, start = {}, 0
        for tensor in self.inputs:
            shape = _static(tensor.shape)
            size = int(np.prod(shape, dtype=np.int64))
            dtype = {"tensor(double)": np.float64, "tensor(float16)": np.float16}.get(tensor.type, np.float32)
            feeds[tensor.name] = x[start : start + size].astype(dtype).reshape(shape)
            start += size
        results = self._session.run(self.output_names, feeds)
        if self._copy is not None:
            results = self._copy.run(list(self._hidden), feeds) + results
        return np.concatenate([np.asarray(r, dtype=np.float64).reshape(-1) for r in results])


class Runtimes:
    """Models side by side: their inputs laid end to end, and likewise what they compute."""

    def __init__(self, parts: Sequence[Runtime]) -> None:
        """parts: in the order of the declared networks."""
        self.parts = parts

    def pieces(self, x: np.ndarray) -> list[np.ndarray]:
        """The inputs of each model."""
        return np.split(x, np.cumsum([part.n_inputs for part in self.parts])[:-1])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """What all of them compute."""
        return np.concatenate([part(piece) for part, piece in zip(self.parts, self.pieces(x), strict=True)])


def _static(shape: Sequence[Any]) -> tuple[int, ...]:
    """The shape with every axis of unknown length, such as the batch, as 1."""
    return tuple(n if isinstance(n, int) and n > 0 else 1 for n in shape)


def _session(path: Path, source: bytes | str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
        message = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{path}: onnxruntime cannot run the model: {message}", "check it with onnx.checker"
        ) from error


def _exposing(path: Path, names: tuple[str, ...]) -> bytes:
    """The model with these tensors among its outputs."""
    import onnx

    proto = onnx.load_model_from_string(read_bytes(path))
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
        outputs = {output.name for output in proto.graph.output}
        # Without a type: onnxruntime infers it.
        proto.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in outputs
        )
        data: bytes = proto.SerializeToString()
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path}: hidden values cannot be replayed: {error}", "ask about outputs only") from error
    return data
