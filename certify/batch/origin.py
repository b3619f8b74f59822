"""Where a result comes from: the line of the specification it is about, and the region around its witness.

Both are read from the user's files again, which may have changed or gone since: then there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from certify.batch.record import Record
from certify.errors import CertifyError
from certify.files import resolve
from certify.query.read import read_query
from certify.query.syntax import Arithmetic, Assertion, Comparison, Connective, Query, Term, Variable
from certify.witness.satisfies import holds

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Box:
    """An input's region. lower, upper: [flat elements], infinite where the specification says no single number.

    shape: the input's axes, as declared or, in VNN-LIB 1.0, as the model has them.
    """

    lower: np.ndarray
    upper: np.ndarray
    shape: tuple[int, ...]

    @property
    def center(self) -> np.ndarray | None:
        """The middle [flat elements], None where the region is not one box."""
        return (self.lower + self.upper) / 2 if np.isfinite(self.upper - self.lower).all() else None


@dataclass(frozen=True, eq=False)
class Origin:
    """line, column: from 1, of the assertion in the specification. boxes: by declared input."""

    line: int
    column: int
    boxes: dict[str, Box] = field(default_factory=dict)


def origin_of(record: Record, *, boxes: bool = False) -> Origin | None:
    """The origin of a record; None where its specification cannot be read any more, or is not the one that was run.

    boxes: whether to read the regions of the inputs too, and the shapes of their models.
    """
    try:
        query = read_query(record.spec)
        if record.sha256 and query.sha256 not in record.sha256.values():
            return None
        shapes = _model_shapes(next(iter(record.networks.values()))) if boxes and query.version == "1.0" else ()
    except (CertifyError, ValueError):  # ValueError: a name that no file can have
        return None
    values = {name: np.asarray(numbers, dtype=np.float64) for name, numbers in (record.witness or {}).items()}
    line, column = query.locate(_offset(query, values))
    return Origin(line, column, _boxes(query, shapes) if boxes else {})


def _offset(query: Query, values: Values) -> int:
    """Where the first assertion about what is computed stands; of alternatives, the first that the witness satisfies.

    (A long specification is mostly bounds of inputs, and a robustness property one line per class.)
    """
    computed = {tensor.name for tensor in query.computed}
    about = [a for a in query.assertions if computed & set(_tensors(a))]
    if not about:
        return next((a.offset for a in query.assertions), 0)
    found = about[0]
    if all(tensor.name in values for tensor in query.tensors()):
        while isinstance(found, Connective):
            true = [part for part in found.operands if holds(part, values) and computed & set(_tensors(part))]
            if not true:
                break
            found = true[0]
    return found.offset


def _tensors(part: Assertion | Term) -> Iterator[str]:
    """The names of the tensors that something mentions."""
    if isinstance(part, Variable):
        yield part.tensor
    elif isinstance(part, Comparison):
        yield from _tensors(part.left)
        yield from _tensors(part.right)
    elif isinstance(part, Connective | Arithmetic):
        for operand in part.operands:
            yield from _tensors(operand)


def _boxes(query: Query, shapes: tuple[tuple[int, ...], ...]) -> dict[str, Box]:
    """The box of each declared input, from the bounds that hold in every case."""
    found = {}
    for number, tensor in enumerate(query.inputs):
        lower, upper = np.full(tensor.size, -np.inf), np.full(tensor.size, np.inf)
        for bounds in query.bounds:
            if bounds.tensor == tensor.name:
                np.minimum.at(upper, bounds.index[bounds.upper], bounds.value[bounds.upper])
                np.maximum.at(lower, bounds.index[~bounds.upper], bounds.value[~bounds.upper])
        shape = shapes[number] if number < len(shapes) else tensor.shape
        found[tensor.name] = Box(lower, upper, shape if np.prod(shape) == tensor.size else tensor.shape)
    return found


@lru_cache(maxsize=64)
def _model_shapes(path: str) -> tuple[tuple[int, ...], ...]:
    """The shapes of a model's inputs, unknown axes as 1."""
    from certify.network.read_onnx import read_proto

    graph = read_proto(resolve(path))[0].graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [tensor.type.tensor_type.shape for tensor in graph.input if tensor.name not in weights]
    return tuple(tuple(max(1, axis.dim_value) for axis in shape.dim) for shape in inputs)
