"""Reading an ONNX file: a list of affine maps and rectifiers. What is not understood completely is refused."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from certify.checker.arithmetic import Arithmetic
from certify.checker.operators import Convolution, Dense, Node, Rectifier, Scale, Shape, Sum
from certify.checker.outcome import Malformed, Unsupported

# Attributes understood, by operator. Nothing else may occur.
KNOWN: dict[str, set[str]] = {
    "Add": set(), "Sub": set(), "Mul": set(), "Relu": set(), "Identity": set(), "Constant": {"value"},
    "MatMul": set(), "Gemm": {"alpha", "beta", "transA", "transB"}, "Flatten": {"axis"}, "Reshape": {"allowzero"},
    "Dropout": {"ratio", "seed"}, "Conv": {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}
}  # fmt: skip
OPSETS = range(7, 26)


@dataclass
class Value:
    """A computed tensor: the number of the flat value that holds its elements in row-major order, and its shape."""

    number: int
    shape: Shape


@dataclass
class Network:
    """Value 0 is the input, value i + 1 what nodes[i] computes; output: the number of the output's value."""

    nodes: list[Node]
    n_inputs: int
    output: int
    n_outputs: int
    rectifiers: list[Rectifier]
    sha256: str


def read_file(path: Path) -> bytes:
    """The file's bytes, decompressed."""
    try:
        path = path.with_name(path.name + ".gz") if not path.exists() and not path.name.endswith(".gz") else path
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise Malformed(f"{path} cannot be read: {error}") from error


def read_network(path: Path, numbers: Arithmetic) -> Network:
    """The network of an ONNX file (.onnx, or packed as .gz)."""
    data = read_file(path)
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and onnx raise many kinds
        raise Malformed(f"{path} is no valid ONNX model: {str(error)[:200]}") from error
    return _Reader(model, numbers).read(hashlib.sha256(data).hexdigest())


class _Reader:
    def __init__(self, model: onnx.ModelProto, numbers: Arithmetic) -> None:
        self.model, self.numbers = model, numbers
        self.nodes: list[Node] = []
        self.rectifiers: list[Rectifier] = []
        self.known: dict[str, Value | np.ndarray] = {}

    def read(self, sha256: str) -> Network:
        graph = self.model.graph
        for entry in self.model.opset_import:
            # Of other domains no operator is known, so that their versions do not matter.
            if entry.domain in ("", "ai.onnx") and entry.version not in OPSETS:
                raise Unsupported(f"operator set {entry.version}")
        if self.model.functions or graph.sparse_initializer:
            raise Unsupported("functions or sparse weights")
        for tensor in graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise Unsupported("external data")
            array = numpy_helper.to_array(tensor)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise Malformed(f"the weights {tensor.name} are not finite")
            self.known[tensor.name] = array
        inputs = [info for info in graph.input if info.name not in self.known]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise Unsupported("more than one input or output")
        (info,) = inputs
        if info.type.tensor_type.elem_type != onnx.TensorProto.FLOAT and self.numbers.float32:
            raise Unsupported("the input is not float32")
        shape = tuple(max(1, d.dim_value) for d in info.type.tensor_type.shape.dim)
        self.known[info.name] = Value(0, shape)
        for node in graph.node:
            self._read_node(node)
        output = self.known.get(graph.output[0].name)
        if not isinstance(output, Value):
            raise Malformed("the output does not depend on the input")
        return Network(self.nodes, prod(shape), output.number, prod(output.shape), self.rectifiers, sha256)

    def _read_node(self, node: onnx.NodeProto) -> None:
        kind = node.op_type
        if node.domain not in ("", "ai.onnx") or kind not in KNOWN:
            raise Unsupported(f"operator {node.domain} {kind}")
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if not set(attributes) <= KNOWN[kind]:
            raise Unsupported(f"attributes {sorted(set(attributes) - KNOWN[kind])} of {kind}")
        operands = [self.known.get(name) for name in node.input]
        if any(operand is None and name for operand, name in zip(operands, node.input, strict=True)):
            raise Malformed(f"{kind} reads a tensor that nothing computes")
        if any(node.output[1:]):
            raise Unsupported(f"second output of {kind}")
        if kind == "Constant":
            result: Value | np.ndarray = numpy_helper.to_array(attributes["value"])
        elif not isinstance(operands[0], Value) and kind not in ("Add", "Sub", "Mul"):
            raise Unsupported(f"{kind} of a constant")
        else:
            result = getattr(self, "_" + kind.lower())(operands, attributes, node.output[0])
        self.known[node.output[0]] = result

    def _emit(self, node: Node, shape: Shape) -> Value:
        assert node.size == prod(shape)
        self.nodes.append(node)
        return Value(len(self.nodes), tuple(int(n) for n in shape))

    def _flat(self, constant: np.ndarray, shape: Shape) -> Any:
        """A constant repeated to a shape, flat."""
        if np.asarray(constant).dtype.kind != "f":
            raise Unsupported("arithmetic with integers")
        try:
            return self.numbers.array(np.broadcast_to(constant, shape).reshape(-1))
        except ValueError as error:
            raise Unsupported("a constant that does not fit the value it meets") from error

    def _add(self, operands: list[Any], attributes: dict[str, Any], name: str, sign: int = 1) -> Value:
        a, b = operands
        if isinstance(a, Value) and isinstance(b, Value):
            if a.shape != b.shape:
                raise Unsupported("sums of values of different shapes")
            return self._emit(Sum((a.number, b.number), prod(a.shape), terms=2, sign=sign), a.shape)
        if isinstance(a, Value):
            return self._scaled(a, np.ones(a.shape), sign * self._flat(b, a.shape))
        if not isinstance(b, Value):
            raise Unsupported("arithmetic with constants")
        return self._scaled(b, np.full(b.shape, float(sign)), self._flat(a, b.shape))

    def _sub(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        return self._add(operands, attributes, name, sign=-1)

    def _mul(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        a, b = operands if isinstance(operands[0], Value) else operands[::-1]
        if isinstance(b, Value) or not isinstance(a, Value):
            raise Unsupported("products of two values, or of two constants")
        return self._scaled(a, b, None)

    def _scaled(self, x: Value, scale: np.ndarray, bias: Any) -> Value:
        terms = 1 if bias is None else 2
        return self._emit(Scale((x.number,), prod(x.shape), bias, terms, scale=self._flat(scale, x.shape)), x.shape)

    def _matmul(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        x, weight = operands
        if not isinstance(x, Value) or isinstance(weight, Value) or weight.ndim != 2 or len(x.shape) < 2:
            raise Unsupported("a matrix product other than value @ constant matrix")
        return self._dense(x, weight, None)

    def _dense(self, x: Value, weight: np.ndarray, bias: np.ndarray | None) -> Value:
        if x.shape[-1] != weight.shape[0] or weight.dtype.kind != "f":
            raise Malformed(f"a matrix {weight.shape} that does not fit a value {x.shape}")
        shape = (*x.shape[:-1], weight.shape[1])
        flat = None if bias is None else self._flat(bias, shape)
        matrix, terms = self.numbers.array(weight), max(weight.shape) + 1
        return self._emit(Dense((x.number,), prod(shape), flat, terms, len(weight) + 1, weight=matrix), shape)

    def _gemm(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        x, weight, bias = operands[0], operands[1], operands[2] if len(operands) > 2 else None
        factors = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        if attributes.get("transA", 0) or factors != (1.0, 1.0) or isinstance(bias, Value):
            raise Unsupported("Gemm with factors, or of a transposed value")
        if isinstance(weight, Value) or weight.ndim != 2 or len(x.shape) != 2:
            raise Unsupported("Gemm of two values")
        return self._dense(x, weight.T if attributes.get("transB", 0) else weight, bias)

    def _conv(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        x, weight, bias = operands[0], operands[1], operands[2] if len(operands) > 2 else None
        if isinstance(weight, Value) or isinstance(bias, Value) or x.shape[0] != 1:
            raise Unsupported("a convolution with computed weights, or of several images")
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise Unsupported("auto_pad")
        rank = weight.ndim - 2
        strides, dilations = (tuple(attributes.get(key, [1] * rank)) for key in ("strides", "dilations"))
        pads = attributes.get("pads", [0] * 2 * rank)
        groups, kernel = int(attributes.get("group", 1)), weight.shape[2:]
        if tuple(attributes.get("kernel_shape", kernel)) != kernel or weight.shape[1] * groups != x.shape[1]:
            raise Malformed("a convolution whose weights do not fit")
        space = tuple(
            (n + b + a - d * (k - 1) - 1) // s + 1
            for n, b, a, d, k, s in zip(x.shape[2:], pads[:rank], pads[rank:], dilations, kernel, strides, strict=True)
        )
        out = (weight.shape[0], *space)
        flat = None if bias is None else self._flat(bias.reshape(-1, *[1] * rank), out)
        terms = max(prod(weight.shape[1:]), weight.shape[0] * prod(kernel)) + 1
        op = Convolution(
            (x.number,), prod(out), flat, terms, prod(weight.shape[1:]) + 1,
            weight=self.numbers.array(weight), in_shape=x.shape[1:], out_shape=out, strides=strides,
            before=tuple(pads[:rank]), after=tuple(pads[rank:]), dilations=dilations, groups=groups,
        )  # fmt: skip
        return self._emit(op, (1, *out))

    def _relu(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        (x,) = operands
        node = Rectifier((x.number,), prod(x.shape), name, len(self.rectifiers))
        self.rectifiers.append(node)
        return self._emit(node, x.shape)

    def _identity(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        return operands[0]

    def _dropout(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        if len(operands) > 2 and (isinstance(operands[2], Value) or bool(np.any(operands[2]))):
            raise Unsupported("Dropout in training")
        return operands[0]

    def _flatten(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        (x,) = operands
        axis = int(attributes.get("axis", 1))
        axis += len(x.shape) if axis < 0 else 0
        return Value(x.number, (prod(x.shape[:axis]), prod(x.shape[axis:])))

    def _reshape(self, operands: list[Any], attributes: dict[str, Any], name: str) -> Value:
        x, wanted = operands
        if isinstance(wanted, Value) or attributes.get("allowzero", 0):
            raise Unsupported("Reshape to a computed shape")
        shape = [x.shape[i] if n == 0 else int(n) for i, n in enumerate(wanted.tolist())]
        try:
            return Value(x.number, np.empty(x.shape, dtype=np.int8).reshape(shape).shape)
        except ValueError as error:
            raise Unsupported(f"Reshape of {x.shape} to {shape}") from error
