"""The monitor as one ONNX graph: the inputs of f; outputs f's scores and whether they are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from certify.errors import InputError, ParityError
from certify.files import write_bytes
from certify.network.read_onnx import read_proto
from certify.quantities.coactivation import Together
from certify.quantities.difference import Pair
from certify.witness.runtime import Runtime

if TYPE_CHECKING:
    import onnx

# Comparisons with a bound and of booleans are in every operator set from here on.
OLDEST_OPSET = 13
# Where |f - g| is this near tau, relative to tau, float32 decides either way.
NEAR = 1e-4


def write_monitor(path: Path, pair: Pair, tau: float, rule: str, together: Sequence[Together], x: np.ndarray) -> None:
    """Write the graph and compare it, in onnxruntime, with f and g one by one at the samples x [samples, n_inputs].

    Raises InputError where the two models cannot be put into one file, ParityError where the file answers otherwise.
    """
    proto = build(pair, tau, rule, together)
    write_bytes(path, proto.SerializeToString())
    run = Runtime(path)
    f, g = pair.scores(x)
    found = np.stack([run(point) for point in x])
    if rule == "tau":
        apart = abs(f - g).max(axis=1)
        expected, sure = apart <= tau, abs(apart - tau) > NEAR * max(tau, 1e-6)
    else:
        expected, sure = f.argmax(axis=1) == g.argmax(axis=1), np.ones(len(x), dtype=bool)
    for each in together:
        values = np.stack([Runtime(pair.f.path, (each.tensor,))(point) for point in x])
        expected &= (values[:, each.first] > 0.0) == (values[:, each.second] > 0.0)
    same = abs(found[:, :-1] - f).max() <= NEAR * max(1.0, abs(f).max())
    if not same or (found[sure, -1] != expected[sure]).any():
        raise ParityError(f"{path}: the monitor answers otherwise than the two models", "please report the models")


def build(pair: Pair, tau: float, rule: str, together: Sequence[Together] = ()) -> onnx.ModelProto:
    """The graph. Its inputs and scores are called as in f; `accept` is a boolean of one element."""
    from onnx import TensorProto, compose, helper, numpy_helper

    protos = [read_proto(model.path)[0] for model in (pair.f, pair.g)]
    inputs = [next(i for i in p.graph.input if i.name not in {t.name for t in p.graph.initializer}) for p in protos]
    scores = [p.graph.output[0] for p in protos]
    f, g = (compose.add_prefix(p, f"{name}/") for name, p in zip("fg", _one_opset(protos), strict=True))
    floats = {"float32": np.float32, "float64": np.float64}[pair.f.dtype]
    rounded = floats(tau)
    rounded = np.nextafter(rounded, floats(-np.inf)) if float(rounded) > tau else rounded  # accepted means <= tau
    shape = numpy_helper.from_array(np.array(pair.g.input_shape, dtype=np.int64), "monitor/shape")
    flat = numpy_helper.from_array(np.array([-1], dtype=np.int64), "monitor/flat")
    graph = _Nodes(helper.make_node)
    graph.add("Identity", [inputs[0].name], f"f/{inputs[0].name}")
    graph.add("Reshape", [inputs[0].name, shape.name], f"g/{inputs[1].name}")
    graph.nodes += [*f.graph.node, *g.graph.node]
    graph.add("Identity", [f"f/{scores[0].name}"], scores[0].name)
    ours, theirs = (
        graph.add("Reshape", [f"{name}/{info.name}", flat.name]) for name, info in zip("fg", scores, strict=True)
    )
    constants = [shape, flat]
    if rule == "tau":
        constants.append(numpy_helper.from_array(np.array(rounded), "monitor/tau"))
        apart = graph.add("ReduceMax", [graph.add("Abs", [graph.add("Sub", [ours, theirs])])], keepdims=0)
        accept = graph.add("LessOrEqual", [apart, "monitor/tau"])
    else:
        both = [graph.add("ArgMax", [value], axis=0, keepdims=0) for value in (ours, theirs)]
        accept = graph.add("Equal", both)
    constants.append(numpy_helper.from_array(np.array(0, dtype=floats), "monitor/zero"))
    for number, each in enumerate(together):
        value, fires = graph.add("Reshape", [f"f/{each.tensor}", flat.name]), []
        for place, element in enumerate((each.first, each.second)):
            name = f"monitor/element{number}_{place}"
            constants.append(numpy_helper.from_array(np.array(element, dtype=np.int64), name))
            fires.append(graph.add("Greater", [graph.add("Gather", [value, name], axis=0), "monitor/zero"]))
        accept = graph.add("And", [accept, graph.add("Equal", fires)])
    graph.add("Reshape", [accept, flat.name], "accept")
    outputs = [scores[0], helper.make_tensor_value_info("accept", TensorProto.BOOL, [1])]
    tensors = [*f.graph.initializer, *g.graph.initializer, *constants]
    made = helper.make_graph(graph.nodes, "monitor", [inputs[0]], outputs, tensors)
    return helper.make_model(made, opset_imports=f.opset_import, ir_version=max(p.ir_version for p in protos))


def _one_opset(protos: list[onnx.ModelProto]) -> list[onnx.ModelProto]:
    """Both models in the newer of their operator sets."""
    from onnx import version_converter

    versions = [max(o.version for o in p.opset_import if o.domain in ("", "ai.onnx")) for p in protos]
    wanted = max(*versions, OLDEST_OPSET)
    try:
        return [
            p if v == wanted else version_converter.convert_version(p, wanted)
            for p, v in zip(protos, versions, strict=True)
        ]
    except Exception as error:  # noqa: BLE001 - the converter raises whatever its rules raise
        raise InputError(f"the models cannot be brought to one operator set: {error}", "export both alike") from error


class _Nodes:
    """Nodes in order, those of the monitor with names of their own."""

    def __init__(self, make: Any) -> None:
        self.make, self.nodes = make, []  # type: ignore[var-annotated]

    def add(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Append a node; the name of its output."""
        output = output or f"monitor/{op}{len(self.nodes)}"
        self.nodes.append(self.make(op, inputs, [output], **attributes))
        return output
