"""Reading an assignment that a solver wrote, ours or another: the 2.0 blocks per tensor, or the 1.0 s-expression."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from certify.errors import InputError
from certify.files import read_bytes
from certify.query.syntax import Query, Tensor

_HEADER = re.compile(r"([A-Za-z]\w*)\s+(\w+)\s*\[([\d,\s]*)\]")
_PAIR = re.compile(r"\(\s*([XY])_(\d+)\s+([^\s()]+)\s*\)")


def read_assignment(path: Path, query: Query) -> np.ndarray:
    """The values of all declared inputs, laid end to end. Values of hidden tensors and outputs are not looked at.

    Raises InputError for a text that does not give every input exactly once.
    """
    values = read_values(path, query)
    for tensor in query.inputs:
        if len(values.get(tensor.name, ())) != tensor.size:
            found = len(values.get(tensor.name, ()))
            raise InputError(f"{path}: {found} values for {tensor.name}, which has {tensor.size} elements")
    return np.array([value for tensor in query.inputs for value in values[tensor.name]], dtype=np.float64)


def read_values(path: Path, query: Query) -> dict[str, list[float]]:
    """All values that the text gives, by declared tensor; an output or hidden tensor may be missing or have too few.

    Raises InputError for a text that cannot be read.
    """
    text = read_bytes(path).decode("utf-8", "replace").strip()
    text = text.removeprefix("sat").strip()
    return _pairs(path, text, query) if text.startswith("(") else _blocks(path, text, query)


def _blocks(path: Path, text: str, query: Query) -> dict[str, list[float]]:
    """NAME TYPE [dims], then a value per line."""
    tensors = {tensor.name: tensor for tensor in query.tensors()}
    values: dict[str, list[float]] = {}
    current: list[float] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.fullmatch(line.strip())
        if header:
            name = header[1]
            if name not in tensors or name in values:
                raise InputError(f"{path}: {name} is {'given twice' if name in values else 'not declared'}")
            _check_shape(path, header, tensors[name])
            current = values[name] = []
        elif line.strip():
            if current is None:
                raise InputError(f"{path}: '{line.strip()[:80]}' is no header", "NAME TYPE [dims], then the values")
            current.append(_number(path, line.strip(), f"value {number}"))
    return values


def _check_shape(path: Path, header: re.Match[str], tensor: Tensor) -> None:
    shape = tuple(int(n) for n in header[3].split(",") if n.strip())
    if shape != tensor.shape:
        raise InputError(f"{path}: {tensor.name} has the shape {list(shape)}, declared is {list(tensor.shape)}")


def _pairs(path: Path, text: str, query: Query) -> dict[str, list[float]]:
    """((X_0 v) ... (Y_0 v) ...), the inputs numbered through, and so are the outputs, which need not all be there."""
    found: dict[str, dict[int, float]] = {"X": {}, "Y": {}}
    for letter, index, value in _PAIR.findall(text):
        if int(index) in found[letter]:
            raise InputError(f"{path}: {letter}_{index} is given twice")
        found[letter][int(index)] = _number(path, value, f"{letter}_{index}")
    total = sum(tensor.size for tensor in query.inputs)
    if sorted(found["X"]) != list(range(total)):
        raise InputError(f"{path}: the specification has the inputs X_0 ... X_{total - 1}", "give each exactly once")
    return _cut(query.inputs, found["X"]) | _cut(query.computed, found["Y"])


def _cut(tensors: Sequence[Tensor], found: dict[int, float]) -> dict[str, list[float]]:
    """The flat elements by tensor, as many as there are."""
    values, start = {}, 0
    for tensor in tensors:
        values[tensor.name] = [found[i] for i in range(start, start + tensor.size) if i in found]
        start += tensor.size
    return values


def _number(path: Path, word: str, what: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: {what} is '{word[:80]}', not a finite number")
    return value
