"""The only door to protobuf: an ONNX file becomes a `Network`.

Axes without a static length (a symbolic batch, 0 or -1) are read as 1. Whatever does not depend on the network's input
is folded away, by the reference implementation that ships with onnx.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from certify.errors import InputError, ModelError, UnsupportedOp
from certify.files import read_bytes, resolve
from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.network.passes import simplify
from certify.network.recipe import Recipe, follow
from certify.ops.layout import FLOAT_TYPES, reshape
from certify.ops.registry import NodeSpec, Operand, Value, find
from certify.ops.select import concat, take

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7


@dataclass(frozen=True)
class Model:
    """A model file as read: the network, the sha256 of the file's bytes, and what the file consists of.

    defaults: by name of the inputs to which the file itself gives a value, that value, flat.
    """

    path: Path
    sha256: str
    network: Network
    opset: int
    operators: Counter[str]
    n_parameters: int
    defaults: dict[str, np.ndarray] = field(default_factory=dict)


def load_model(path: str | Path, hidden: tuple[str, ...] = (), kept: tuple[bool, ...] = ()) -> Model:
    """Read an ONNX file (plain or .gz, external data beside it) into a `Model`.

    hidden: names of tensors that nodes compute, which become outputs of the network, before those of the model.
    kept: for each input in turn, whether it keeps the value that the file gives it, if as many as the graph lists are
    wanted; by default inputs with a value of their own are constants, as are the weights that old exports list.
    Raises ModelError for a file that is missing, damaged or has NaN weights, UnsupportedOp for what cannot be bounded.
    """
    path = resolve(path)
    proto, sha256 = read_proto(path)
    reader = GraphReader(proto, path)
    try:
        network = reader.read(hidden, kept)
    except UnsupportedOp as error:
        raise UnsupportedOp(error.op, error.node, error.complaint, error.hint, str(path)) from error
    return Model(path, sha256, network, reader.opset, reader.operators, reader.n_parameters, reader.defaults)


@dataclass(frozen=True)
class Sheet:
    """What a model file consists of, whether or not it can be bounded. operators: (name, count, how it is handled)."""

    opset: int
    n_parameters: int
    tensors: list[str]
    operators: list[tuple[str, int, str]]


def describe(path: str | Path) -> Sheet:
    """Look at a model file without translating it."""
    path = resolve(path)
    proto, _ = read_proto(path)
    opset = GraphReader(proto, path).opset
    sizes = [int(np.prod(t.dims, dtype=np.int64)) for t in proto.graph.initializer if t.data_type in FLOAT_TYPES]
    weights = {t.name for t in proto.graph.initializer}
    inputs = [f"input {_signature(i)}" for i in proto.graph.input if i.name not in weights]
    counts = Counter((node.domain, node.op_type) for node in proto.graph.node)
    operators = []
    for (domain, name), count in sorted(counts.items()):
        entry = find(name, domain, opset)
        handled = "constant" if name in FOLDED else "NOT SUPPORTED unless constant" if entry is None else entry.handled
        operators.append((name, count, handled))
    return Sheet(opset, sum(sizes), inputs + [f"output {_signature(o)}" for o in proto.graph.output], operators)


FOLDED = {"Constant", "Shape", "Size", "ConstantOfShape", "Range"}


def _signature(info: onnx.ValueInfoProto) -> str:
    dims = [d.dim_param or str(d.dim_value) for d in info.type.tensor_type.shape.dim]
    return f"{info.name} [{', '.join(dims)}]"


def read_proto(path: Path) -> tuple[onnx.ModelProto, str]:
    """The decoded file and the sha256 of its (uncompressed) bytes."""
    data = read_bytes(path)
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelError(f"{path}: not an ONNX model, or truncated", "export or download the file again") from error
    if not proto.graph.node and not proto.graph.output:
        raise ModelError(f"{path}: the file holds no ONNX graph", "export or download the file again")
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in proto.graph.initializer):
        try:
            onnx.load_external_data_for_model(proto, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            hint = "keep the external data file beside the model"
            raise ModelError(f"{path}: external data cannot be read: {error}", hint) from error
    return proto, hashlib.sha256(data).hexdigest()


@dataclass
class GraphReader:
    """Walks the ONNX graph once, in its (topological) order, emitting our ops."""

    proto: onnx.ModelProto
    path: Path
    build: GraphBuilder = field(default_factory=GraphBuilder)
    operators: Counter[str] = field(default_factory=Counter)
    known: dict[str, Operand | Recipe] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    n_parameters: int = 0
    defaults: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        versions = [o.version for o in self.proto.opset_import if o.domain in ("", "ai.onnx")]
        return versions[0] if versions else 1

    def read(self, hidden: tuple[str, ...] = (), kept: tuple[bool, ...] = ()) -> Network:
        """The simplified network, with these values as outputs before its own."""
        if self.opset < OLDEST_OPSET:
            message = f"{self.path}: opset {self.opset} is older than {OLDEST_OPSET}"
            raise ModelError(message, "convert the model with onnx.version_converter")
        self._read_constants()
        inputs = self._read_inputs(kept)
        for number, node in enumerate(self.proto.graph.node):
            self._read_node(number, node)
        output, outputs = self._read_outputs(hidden)
        network = Network((), output.name, inputs, outputs).with_nodes(self.build.nodes, output.name)
        return simplify(network)

    def _read_constants(self) -> None:
        from onnx import numpy_helper

        for tensor in self.proto.graph.initializer:
            try:
                array = numpy_helper.to_array(tensor)
            except (ValueError, TypeError, KeyError) as error:
                raise ModelError(f"{self.path}: initializer '{tensor.name}' is damaged: {error}") from error
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                message = f"{self.path}: initializer '{tensor.name}' holds NaN or infinite values"
                raise ModelError(message, "retrain or re-export the model; nothing can be proved about NaN")
            self.n_parameters += array.size if array.dtype.kind == "f" else 0
            self.known[tensor.name] = array
        if self.proto.graph.sparse_initializer:
            raise ModelError(f"{self.path}: sparse initializers are not supported", "export dense weights")

    def _read_inputs(self, kept: tuple[bool, ...]) -> tuple[TensorSpec, ...]:
        infos = list(self.proto.graph.input)
        if len(kept) != len(infos):
            infos, kept = [info for info in infos if info.name not in self.known], ()
        if not infos:
            raise ModelError(f"{self.path}: the model has no input that is not a weight")
        specs = tuple(self._tensor_spec(info) for info in infos)
        flat = Value(INPUT, (sum(spec.size for spec in specs),))
        start = 0
        for number, spec in enumerate(specs):
            value = self.known.get(spec.name)
            if isinstance(value, np.ndarray):
                self.defaults[spec.name] = value.astype(np.float64).ravel()
            if value is None or not kept[number]:
                piece = take(self.build, flat, 0, np.arange(start, start + spec.size))
                self.known[spec.name] = reshape(self.build, piece, spec.shape)
            start += spec.size
        return specs

    def _tensor_spec(self, info: onnx.ValueInfoProto) -> TensorSpec:
        kind = info.type.tensor_type
        if not info.type.HasField("tensor_type") or not kind.HasField("shape"):
            raise ModelError(
                f"{self.path}: '{info.name}' has no tensor shape", "export it with the shapes of its inputs"
            )
        dtype = self._dtype(info)
        if dtype.kind != "f":
            raise ModelError(f"{self.path}: '{info.name}' has type {dtype}; only floating point tensors can be bounded")
        shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else 1 for d in kind.shape.dim)
        return TensorSpec(info.name, shape, str(dtype))

    def _dtype(self, info: onnx.ValueInfoProto) -> np.dtype:
        from onnx import helper

        try:
            return np.dtype(helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type))
        except KeyError as error:
            raise ModelError(f"{self.path}: '{info.name}' has an unknown element type ({error})") from error

    def _read_outputs(self, hidden: tuple[str, ...]) -> tuple[Value, tuple[TensorSpec, ...]]:
        computed = {name for node in self.proto.graph.node for name in node.output}
        for name in hidden:
            if name not in computed:
                hint = "a hidden value is named by the output of a node, as `certify inspect` or netron shows it"
                raise ModelError(f"{self.path}: no node computes a tensor '{name}'", hint)
        flats: list[Operand] = []
        specs = []
        # The element type of a hidden value need not be written in the file; all that we can bound is floating point.
        wanted = [(name, "float32") for name in hidden]
        wanted += [(info.name, str(self._dtype(info))) for info in self.proto.graph.output]
        for name, dtype in wanted:
            operand = self._tensor(name) if name in self.known else None
            if operand is None:
                raise ModelError(f"{self.path}: no node computes the output '{name}'")
            specs.append(TensorSpec(name, tuple(operand.shape), dtype))
            if isinstance(operand, Value):
                flats.append(reshape(self.build, operand, (specs[-1].size,)))
            else:
                flats.append(np.asarray(operand, dtype=np.float64).reshape(-1))
        if not any(isinstance(flat, Value) for flat in flats):
            raise ModelError(f"{self.path}: no output depends on the input")
        output = concat(self.build, tuple(flats), 0)
        if output.name == INPUT:
            from certify.ops.scale import ScaleShift

            output = self.build.emit(ScaleShift.scalar(output.shape, 1.0), output)
        return output, tuple(specs)

    def _read_node(self, number: int, node: onnx.NodeProto) -> None:
        if not all(isinstance(name, str) for name in (node.op_type, node.name, *node.input, *node.output)):
            raise ModelError(f"{self.path}: node #{number} has a name that is not text", "export or download it again")
        self.operators[node.op_type] += 1
        label = node.name or f"#{number} ({node.output[0] if node.output else '?'})"
        try:
            found = [self.known[name] if name else None for name in node.input]
        except KeyError as error:
            raise ModelError(f"{self.path}: node '{label}' reads {error}, which nothing before it computes") from error
        followed = follow(number, node, found, self.recipes, self.proto.opset_import)
        self.recipes.update(followed)
        if followed and any(isinstance(operand, Recipe) for operand in found):
            self.known.update(followed)
            return
        operands = tuple(self._tensor(name) if name else None for name in node.input)
        attributes = attributes_of(node, label, str(self.path))
        used = tuple(name for name in node.output if name)
        spec = NodeSpec(node.op_type, label, self.opset, operands, attributes, len(used))
        self.build.source = f"{node.op_type} {label}"
        emitted = len(self.build.nodes)
        try:
            results = self._fold(spec, node) or self._translate(spec, node.domain)
        except UnsupportedOp:
            if not followed:
                raise
            self.known.update(followed)
            return
        for name, value in zip(node.output, results, strict=False):
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and np.isnan(value).any():
                raise ModelError(f"{self.path}: node '{label}' computes NaN from constants alone", "re-export it")
            # A value from before keeps the name that others may know it by.
            if name and isinstance(value, Value) and len(self.build.nodes) > emitted:
                value = self.build.rename_last(value, name)
            if name:
                self.known[name] = value

    def _tensor(self, name: str) -> Operand:
        """The tensor of this name; one that is only followed so far becomes a value."""
        operand = self.known[name]
        if isinstance(operand, Recipe):
            operand = self.known[name] = operand.value(self.build)
        return operand

    def _fold(self, spec: NodeSpec, node: onnx.NodeProto) -> tuple[Operand, ...] | None:
        """The node's outputs if they do not depend on the network's input, else None."""
        if spec.op_type in ("Shape", "Size"):
            operand = spec.operand(0)
            if operand is None:
                raise spec.unsupported("input 0 is missing")
            window = slice(spec.attributes.get("start", 0), spec.attributes.get("end"))
            shape = np.array(operand.shape, dtype=np.int64)
            return (shape[window] if spec.op_type == "Shape" else np.array(shape.prod()),)
        if any(isinstance(operand, Value) for operand in spec.inputs):
            return None
        if any(a.g.node for a in node.attribute):
            raise spec.unsupported("subgraphs are not supported")
        return self._evaluate_constant(spec, node)

    def _evaluate_constant(self, spec: NodeSpec, node: onnx.NodeProto) -> tuple[Operand, ...]:
        if spec.op_type == "Constant" and "value" in spec.attributes:
            return (spec.attributes["value"],)
        from onnx import defs, helper
        from onnx.reference import ReferenceEvaluator

        named = {n: x for n, x in zip(node.input, spec.inputs, strict=True) if n and isinstance(x, np.ndarray)}
        graph = helper.make_graph(
            [node],
            "constant",
            [
                helper.make_value_info(n, helper.make_tensor_type_proto(_element_type(x), x.shape))
                for n, x in named.items()
            ],
            [helper.make_value_info(n, helper.make_tensor_type_proto(1, None)) for n in node.output if n],
        )
        version = min(self.opset, defs.onnx_opset_version())
        model = helper.make_model(graph, opset_imports=[*self.proto.opset_import] or [helper.make_opsetid("", version)])
        try:
            results = ReferenceEvaluator(model).run(None, named)
        except Exception as error:  # noqa: BLE001 - the reference evaluator raises whatever its operators raise
            raise spec.unsupported(f"the constant cannot be computed: {error}") from error
        produced = iter(results)
        return tuple(np.asarray(next(produced)) if name else None for name in node.output)

    def _translate(self, spec: NodeSpec, domain: str) -> tuple[Operand, ...]:
        entry = find(spec.op_type, domain, self.opset)
        if entry is None:
            hint = "`certify inspect MODEL` lists every operator and how it is handled"
            raise UnsupportedOp(spec.op_type, spec.name, f"not supported (opset {self.opset})", hint)
        for position, operand in enumerate(spec.inputs):
            if isinstance(operand, Value) and operand.kind not in entry.takes:
                raise spec.unsupported(f"input {position} is a computed {operand.kind}, which is not supported here")
        try:
            result = entry.translate(spec, self.build)
            kind = entry.kind(spec)
        except InputError:
            raise
        except (KeyError, ValueError, IndexError, TypeError, ArithmeticError) as error:
            raise spec.unsupported(f"malformed node: {error}") from error
        results = result if isinstance(result, tuple) else (result,)
        return tuple(replace(value, kind=kind) if isinstance(value, Value) else value for value in results)


def _element_type(array: np.ndarray) -> int:
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(array.dtype)


def attributes_of(node: onnx.NodeProto, label: str, file: str) -> dict[str, Any]:
    """The attributes as plain Python values: bytes become str, tensors become arrays. Raises ModelError."""
    try:
        return {a.name: _attribute(a) for a in node.attribute}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{file}: node '{label}' has a damaged attribute: {error}") from error


def _attribute(attribute: onnx.AttributeProto) -> Any:
    """The attribute as a plain Python value."""
    from onnx import TensorProto, helper, numpy_helper

    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return list(value) if isinstance(value, list | tuple) or hasattr(value, "append") else value
