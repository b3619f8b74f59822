"""The last word on a counterexample: the user's own file in onnxruntime, and the specification as it was written.

Nothing here shares code with the solver: neither our graph nor our normal form. No tolerance anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from certify.errors import ModelError
from certify.files import read_bytes, resolve
from certify.query.syntax import Query
from certify.witness.satisfies import satisfies


@dataclass(frozen=True)
class Witness:
    """An input of the query's tensors that satisfies every assertion, and the outputs onnxruntime computed for it.

    inputs, outputs: by declared tensor name, flat float64 arrays.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    def values(self) -> dict[str, np.ndarray]:
        """Inputs and outputs together."""
        return {**self.inputs, **self.outputs}


class Runtime:
    """A model file in onnxruntime on the CPU, as a function of one flat vector."""

    def __init__(self, path: str | Path) -> None:
        """Open the file. Raises ModelError if onnxruntime refuses it."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        path = resolve(path)
        try:
            self._session = self._open(onnxruntime, path, options)
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
            message = str(error).strip().splitlines()[0]
            raise ModelError(
                f"{path}: onnxruntime cannot run the model: {message}", "check it with onnx.checker"
            ) from error
        self.inputs = self._session.get_inputs()
        self.output_names = [o.name for o in self._session.get_outputs()]

    @staticmethod
    def _open(onnxruntime: Any, path: Path, options: Any) -> Any:
        """From the path, so that external data is found; from memory for a compressed file."""
        source = read_bytes(path) if path.suffix == ".gz" else str(path)
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Outputs laid end to end as float64, for inputs laid end to end; cast to the model's types on the way in."""
        feeds, start = {}, 0
        for tensor in self.inputs:
            shape = tuple(n if isinstance(n, int) and n > 0 else 1 for n in tensor.shape)
            size = int(np.prod(shape, dtype=np.int64))
            dtype = {"tensor(double)": np.float64, "tensor(float16)": np.float16}.get(tensor.type, np.float32)
            feeds[tensor.name] = x[start : start + size].astype(dtype).reshape(shape)
            start += size
        results = self._session.run(self.output_names, feeds)
        return np.concatenate([np.asarray(r, dtype=np.float64).reshape(-1) for r in results])


class Replay:
    """Decides whether an input is a counterexample."""

    def __init__(self, runtime: Runtime, query: Query) -> None:
        self.runtime, self.query = runtime, query

    def __call__(self, x: np.ndarray) -> Witness | None:
        """The witness that x [n_inputs] is, or None. x is taken as the exact decimals it will be written as."""
        x = np.asarray(x, dtype=np.float64)
        y = self.runtime(x)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return None
        witness = Witness(_cut(self.query.inputs, x), _cut(self.query.outputs, y))
        return witness if satisfies(self.query, witness.values()) else None


def _cut(tensors: Any, flat: np.ndarray) -> dict[str, np.ndarray]:
    """The flat vector as one array per tensor."""
    ends = np.cumsum([tensor.size for tensor in tensors])
    parts: Mapping[str, np.ndarray] = {
        tensor.name: flat[end - tensor.size : end] for tensor, end in zip(tensors, ends, strict=True)
    }
    return dict(parts)
