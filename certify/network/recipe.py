"""Tensors that follow from whole numbers which the network computes: the ONNX nodes in between, kept as they are.

Their shapes may depend on the input, so that they are no values of a `Network`; what comes out of them in the end is
looked up by an `network.table.Table` of those numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from certify.errors import UnsupportedOp
from certify.network.table import Entries, Place, Table
from certify.ops.layout import reshape
from certify.ops.registry import Builder, Kind, Value
from certify.ops.scale import ScaleShift
from certify.ops.select import take

if TYPE_CHECKING:
    import onnx

# Of whole numbers, these are computed as onnxruntime does, without rounding.
FOLLOWED = frozenset(
    {"Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "Clip", "Compress", "Concat", "ConstantOfShape", "CumSum",
     "Equal", "Expand", "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual",
     "Identity", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pad", "Range",
     "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterElements", "ScatterND", "Shape", "Sign",
     "Size", "Slice", "Split", "Squeeze", "Sub", "Tile", "Transpose", "Trilu", "Unique", "Unsqueeze", "Where", "Xor"}
)  # fmt: skip
# More numbers than this have too many combinations, whatever their ranges.
MOST_NUMBERS = 4


@dataclass(frozen=True)
class Recipe:
    """One tensor. nodes: by their place in the model; seeds: the whole numbers it follows from, and constants: the
    other tensors read, by ONNX name.
    """

    name: str
    nodes: dict[int, onnx.NodeProto]
    seeds: dict[str, Value]
    constants: dict[str, np.ndarray]
    opsets: tuple[Any, ...]

    @cached_property
    def _evaluator(self) -> Any:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        int64 = 7
        inputs = [helper.make_tensor_value_info(name, int64, seed.shape) for name, seed in self.seeds.items()]
        inputs += [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in self.constants.items()
        ]
        outputs = [helper.make_value_info(self.name, helper.make_tensor_type_proto(1, None))]
        nodes = [node for _, node in sorted(self.nodes.items())]
        graph = helper.make_graph(nodes, "recipe", inputs, outputs)
        return ReferenceEvaluator(helper.make_model(graph, opset_imports=list(self.opsets)))

    def at(self, place: Place) -> np.ndarray:
        """The tensor where the seeds' elements, laid end to end, are these. Raises UnsupportedOp if there is none."""
        feeds, start = dict(self.constants), 0
        for name, seed in self.seeds.items():
            size = prod(seed.shape)
            feeds[name] = np.array(place[start : start + size], dtype=np.int64).reshape(seed.shape)
            start += size
        try:
            return np.asarray(self._evaluator.run(None, feeds)[0])
        except Exception as error:  # noqa: BLE001 - the reference evaluator raises whatever its operators raise
            raise self._unsupported(f"it cannot be computed where {self._where(place)}: {error}") from error

    def value(self, build: Builder) -> Value:
        """The tensor as a value of the network. Raises UnsupportedOp where its shape depends on the numbers."""
        numbers = sum(prod(seed.shape) for seed in self.seeds.values())
        if numbers > MOST_NUMBERS:
            raise self._unsupported(
                f"it depends on {numbers} whole numbers computed from the input, too many to look up"
            )
        first = self.at((0,) * numbers)
        if not first.size:
            raise self._unsupported(f"its shape depends on the input, or it is empty: {list(first.shape)} at zero")
        kinds: dict[str, Kind] = {"f": "float", "i": "int", "b": "bool"}
        if first.dtype.kind not in kinds:
            raise self._unsupported(f"it is of type {first.dtype}")
        inputs = [
            self._number(build, seed, i, first.shape) for seed in self.seeds.values() for i in range(prod(seed.shape))
        ]
        table = Table((first.shape,) * numbers, first.shape, Entries(lambda place: self._fitting(place, first)))
        return replace(build.emit(table, *inputs), kind=kinds[first.dtype.kind])

    def _fitting(self, place: Place, first: np.ndarray) -> np.ndarray:
        found = self.at(place)
        if found.shape != first.shape:
            message = f"its shape depends on the input: {list(found.shape)} where {self._where(place)}"
            raise self._unsupported(f"{message}, {list(first.shape)} elsewhere")
        if not np.isfinite(found).all():
            raise self._unsupported(f"it is infinite or NaN where {self._where(place)}")
        return found

    def _number(self, build: Builder, seed: Value, element: int, shape: tuple[int, ...]) -> Value:
        """One element of a seed, repeated in this shape."""
        flat = reshape(build, seed, (prod(seed.shape),))
        one = reshape(build, take(build, flat, 0, np.array([element])), (1,) * len(shape))
        return build.emit(ScaleShift.broadcast(one.shape, shape), one)

    def _where(self, place: Place) -> str:
        return f"{', '.join(self.seeds)} = {', '.join(map(str, place))}"

    def _unsupported(self, message: str) -> UnsupportedOp:
        node = max(self.nodes.items())[1]
        hint = "only places in a bounded range, and results of one shape, can be looked up"
        return UnsupportedOp(node.op_type, node.name or self.name, message, hint)


def follow(
    number: int, node: onnx.NodeProto, operands: Sequence[Any], known: dict[str, Recipe], opsets: Iterable[Any]
) -> dict[str, Recipe]:
    """The recipes of a node's outputs, by name: none unless it does nothing but follow from whole numbers.

    operands: what its inputs are; known: the recipes so far, by name.
    """
    if node.op_type not in FOLLOWED or node.domain not in ("", "ai.onnx"):
        return {}
    nodes, seeds, constants = {number: node}, dict[str, Value](), dict[str, np.ndarray]()
    for name, operand in zip(node.input, operands, strict=True):
        if isinstance(operand, np.ndarray):
            constants[name] = operand
        elif name in known:
            recipe = known[name]
            nodes, seeds, constants = nodes | recipe.nodes, seeds | recipe.seeds, constants | recipe.constants
        elif isinstance(operand, Value):
            if operand.kind != "int":
                return {}
            seeds[name] = operand
    if not seeds:
        return {}
    return {name: Recipe(name, nodes, seeds, constants, tuple(opsets)) for name in node.output if name}
