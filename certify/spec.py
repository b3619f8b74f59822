"""Properties in Python: numpy-like expressions over the tensors of networks become VNN-LIB 2.0 text, which is checked.

    from certify import spec
    f = spec.network("model.onnx")
    x, y = f.input, f.output
    near = spec.ball(x, x0, 0.03, clip=(0, 1))
    prop = spec.require(y[0, 7] > y.without(7), given=near)
    prop.check(timeout=60).status
    prop.save("spec.vnnlib")

A property has one meaning, that of its text: `check` reads the text like a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from certify.errors import InputError
from certify.files import resolve, write_text
from certify.network.graph import TensorSpec
from certify.network.read_onnx import load_model
from certify.query.assemble import ModelFile, assemble
from certify.query.assertions import negation
from certify.query.conditions import Condition, all_of, any_of, implies
from certify.query.expressions import Expression, tensor
from certify.query.normal_form import lower
from certify.query.read import parse_query
from certify.query.robustness import ball_box
from certify.query.scalars import Element, Source
from certify.query.syntax import Query
from certify.verdict import Verdict

__all__ = [
    "Condition", "Expression", "Network", "Property", "all_of", "any_of", "ball", "equal_inputs", "implies", "network",
    "require", "violation",
]  # fmt: skip


class Network:
    """A model file as properties speak of it. Two of the same file are two runs of it, on inputs of their own."""

    def __init__(self, path: str | Path, name: str = "") -> None:
        """Read shapes and names from the file. name: what the VNN-LIB text calls it.

        Raises InputError for a file that cannot be read or bounded.
        """
        self.path = resolve(path)
        model = load_model(self.path).network
        self._hidden: dict[str, Expression] = {}
        self._file = file = ModelFile(self.path, name)
        file.inputs = tuple(Source(file, "input", s.name, s.dtype, s.shape) for s in model.inputs)
        file.outputs = tuple(Source(file, "output", s.name, s.dtype, s.shape) for s in model.outputs)
        self.inputs = {source.onnx_name: tensor(source) for source in self._file.inputs}
        self.outputs = {source.onnx_name: tensor(source) for source in self._file.outputs}

    @property
    def input(self) -> Expression:
        """The only input."""
        return self._only("input", self.inputs)

    @property
    def output(self) -> Expression:
        """The only output."""
        return self._only("output", self.outputs)

    def hidden(self, name: str) -> Expression:
        """The tensor that a node inside the model computes, by its ONNX name. Raises ModelError if none does."""
        if name not in self._hidden:
            found: TensorSpec = load_model(self.path, (name,)).network.outputs[0]
            dtype = self._file.inputs[0].dtype  # the file need not say; what is inside has the type of what goes in
            self._hidden[name] = tensor(Source(self._file, "hidden", name, dtype, found.shape))
        return self._hidden[name]

    def __repr__(self) -> str:
        shapes = [f"{s.onnx_name} {list(s.shape)}" for s in self._file.inputs + self._file.outputs]
        return f"<network {self.path.name}: {', '.join(shapes)}>"

    def _only(self, role: str, tensors: dict[str, Expression]) -> Expression:
        if len(tensors) != 1:
            message = f"{self.path} has the {role}s {', '.join(tensors)}"
            raise InputError(message, f"choose one, as in network.{role}s['{next(iter(tensors))}']")
        return next(iter(tensors.values()))


class Property:
    """What must not happen, as VNN-LIB 2.0 text. models: the file of each network the text declares."""

    def __init__(self, *conditions: Condition, comment: str = "") -> None:
        """The conditions that all hold together, every element of arrays, exactly where the property is violated.

        Raises InputError where an input has no finite bounds, or contradictory ones.
        """
        self.text, self.models = assemble([all_of(*conditions).assertions.item()], comment)
        lower(self.query)

    @cached_property
    def query(self) -> Query:
        """The text as the reader of VNN-LIB files understands it."""
        return parse_query(self.text, "property")

    def check(self, *, timeout: float = 60.0, **options: Any) -> Verdict:
        """Decide it: unsat means that it is never violated. options: those of `certify.check`."""
        from certify.api import check

        return check(self.models, self.query, timeout=timeout, **options)

    def save(self, path: str | Path) -> Path:
        """Write the text as a VNN-LIB file."""
        write_text(path, self.text)
        return Path(path)

    def __repr__(self) -> str:
        return f"<property of {', '.join(f'{name}={path.name}' for name, path in self.models.items())}>"


Conditions = Condition | Sequence[Condition]


def network(path: str | Path, name: str = "") -> Network:
    """A model file, ready to be spoken of; see `Network`."""
    return Network(path, name)


def violation(*conditions: Condition, comment: str = "") -> Property:
    """The property that never all of these single conditions hold together; an array needs all_of or any_of."""
    for condition in conditions:
        if not isinstance(condition, Condition) or condition.size > 1:
            message = f"{condition!r} is not a single condition, and leaves open which ones are meant"
            raise InputError(message, "write all_of(...) or any_of(...) around it")
    return Property(*conditions, comment=comment)


def require(*conditions: Conditions, given: Conditions, comment: str = "") -> Property:
    """The property that all of the conditions hold wherever all of the given ones do; of arrays, every element.

    It is violated where the given conditions hold and one of the others does not.
    """
    required = all_of(*conditions)  # type: ignore[arg-type]
    return Property(all_of(given), Condition(negation(required.assertions.item())), comment=comment)  # type: ignore[arg-type]


def equal_inputs(first: Network, *others: Network) -> Condition:
    """The condition that networks are given the same input: their inputs are equal, one by one, in order."""
    found = []
    for other in others:
        mine, theirs = list(first.inputs.values()), list(other.inputs.values())
        if [x.shape for x in mine] != [x.shape for x in theirs]:
            hint = "relate the inputs yourself: all_of(f.input.ravel() == g.input.ravel())"
            raise InputError(f"the inputs of {first!r} and {other!r} have different shapes", hint)
        found += [x == u for x, u in zip(mine, theirs, strict=True)]
    return all_of(*found)


def ball(x: Expression, center: Any, radius: float, *, clip: tuple[float, float] | None = None) -> Condition:
    """The box of all values of the input x (or a part of it) within `radius` of `center`, and in the range `clip`.

    The bounds are elements of the model's own type, the outermost in the ball: exactly those inputs that the model can
    be given are inside. For the ball over the real numbers write `abs(x - center) <= radius`. Returns one condition.
    Raises InputError where the shapes differ or there is no such input.
    """
    elements = [item.base for item in x.items.ravel()]
    if not all(isinstance(e, Element) and e.source.role == "input" for e in elements):
        raise InputError("a ball is one around inputs of a network", "write abs(expression - center) <= radius")
    (dtype, *others) = {e.source.dtype for e in elements}
    if others or dtype not in ("float32", "float64", "float16"):
        raise InputError(f"no ball around inputs of type {', '.join([dtype, *others])}")
    center = np.asarray(center)
    if center.shape != x.shape:
        message = f"the center has the shape {list(center.shape)}, the input {list(x.shape)}"
        raise InputError(message, f"center.reshape({x.shape})" if center.size == x.size else "take one sample")
    if center.dtype.kind not in "fiu" or not np.isfinite(center).all():
        raise InputError("the center is not an array of finite numbers", "does the data hold NaN?")
    low, high = ball_box(center.astype(np.float64).ravel(), float(radius), clip, dtype)
    return all_of(x.ravel() >= low, x.ravel() <= high)
