"""One engine, two array libraries: everything numeric is written against the array API standard and runs on either.

numpy 2 implements the standard itself; torch does through array-api-compat, imported only when torch arrays appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = Any


def namespace(array: Array) -> Any:
    """The module with the array API functions for this array."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    from array_api_compat import torch

    return torch


@dataclass(frozen=True)
class Library:
    """Where arrays live: library, element type and device."""

    name: Literal["numpy", "torch"] = "numpy"
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"

    def put(self, array: np.ndarray) -> Array:
        """The array in this library and element type (floating point arrays only change type)."""
        if array.dtype.kind == "f":
            array = np.asarray(array, dtype=self.dtype, order="C")
        if self.name == "numpy":
            return array
        import torch

        return torch.from_numpy(np.array(array)).to(self.device)


NUMPY = Library()


def to_numpy(array: Array) -> np.ndarray:
    """The array as numpy, without copying where it already is."""
    if isinstance(array, np.ndarray | np.generic):
        return np.asarray(array)
    return array.detach().cpu().numpy()


def roundoff(array: Array) -> float:
    """Unit roundoff of the array's element type, 2**-53 or 2**-24."""
    return 2.0**-24 if "float32" in str(array.dtype) else 2.0**-53


def single(array: Array) -> Array:
    """The array in float32."""
    return array.astype(np.float32) if isinstance(array, np.ndarray) else array.float()


def double(array: Array) -> Array:
    """The array in float64."""
    return array.astype(np.float64) if isinstance(array, np.ndarray) else array.double()


def positive(array: Array) -> Array:
    """max(array, 0)."""
    return np.maximum(array, 0.0) if isinstance(array, np.ndarray) else array.clip(min=0.0)


def negative(array: Array) -> Array:
    """min(array, 0)."""
    return np.minimum(array, 0.0) if isinstance(array, np.ndarray) else array.clip(max=0.0)
