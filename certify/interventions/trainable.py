"""An ONNX file as a model that torch can train: its own nodes, interpreted one by one, weights as parameters.

The graph stays the user's: tensors keep their names, can be taken out or replaced by them, and what is written back
is the same file with other numbers in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from certify.errors import InputError, ModelError, ParityError, UnsupportedOp
from certify.files import resolve, write_bytes
from certify.interventions.operators import OPERATORS
from certify.interventions.weights import Constants, trainable_names
from certify.network.parity import OF_LARGEST_VALUE, RELATIVE
from certify.network.read_onnx import attributes_of, read_proto

if TYPE_CHECKING:
    import onnx

    from certify.dataset import Dataset

TYPES = {1: torch.float32, 11: torch.float64}
# Protobuf cannot hold more than this in one message.
MOST_BYTES = 2**31 - 1


@dataclass(frozen=True)
class Step:
    """One node of the graph: the names it reads ("" for an input left out) and those it computes."""

    op_type: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(repr=False)

    def __call__(self, *operands: Tensor | None) -> tuple[Tensor, ...]:
        """Its outputs. Raises UnsupportedOp where torch cannot do what the node asks for."""
        try:
            result = OPERATORS[self.op_type](self.attributes, *operands)
        except (NotImplementedError, RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
            message = f"cannot be trained: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            raise UnsupportedOp(self.op_type, self.label, message, _HINT) from error
        return result if isinstance(result, tuple) else (result,)


_HINT = "train it where it was made, or leave this node out of the graph"


class TrainableModel:
    """A classifier of one input and one output of scores.

    proto: the file as read; parameters: what is trained, by tensor name, in the file's own shapes and type; constants:
    every other tensor that the file gives; input: name; input_shape: with the batch axis, of length 1; output: name of
    what the file computes; scores: name of what a loss is taken of, which is the output or what goes into a final
    softmax; n_classes.
    """

    def __init__(self, proto: onnx.ModelProto, name: str = "model") -> None:
        """name: for messages. Raises UnsupportedOp for a node that cannot be trained, InputError for what is no
        classifier, ModelError for a damaged file.
        """
        self.proto, self.name = proto, name
        given = Constants(proto, name)
        self.input, self.input_shape, self.dtype = self._only_input(given)
        opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 1)
        nodes = [(number, node) for number, node in enumerate(proto.graph.node) if node.op_type != "Constant"]
        self.steps = tuple(read_step(number, node, opset, name) for number, node in nodes)
        names = trainable_names(self.steps, given.tensors)
        if not names:
            raise InputError(f"{name}: there are no weights to train", "a Gemm, MatMul or Conv node with weights has")
        self.parameters = {n: given.tensors[n].clone().requires_grad_() for n in names}
        self.constants = {n: tensor for n, tensor in given.tensors.items() if n not in self.parameters}
        self._plans: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Step, ...]] = {}
        if len(proto.graph.output) != 1:
            raise InputError(f"{name}: has {len(proto.graph.output)} outputs, a classifier has one of scores")
        self.output = proto.graph.output[0].name
        last = next((step for step in self.steps if self.output in step.outputs), None)
        self.scores = last.inputs[0] if last is not None and last.op_type == "Softmax" else self.output
        with torch.no_grad():
            sample = torch.zeros((1, *self.input_shape), dtype=self.dtype)
            found = self.run(sample, self.tensors)
        self.shapes = {n: tuple(tensor.shape[1:]) for n, tensor in found.items()}
        self.n_classes = int(np.prod(self.shapes[self.scores]))
        if self.n_classes < 2:
            raise InputError(f"{name}: has a single score, a classifier has one for each of its classes")

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all values that depend on the input, in the order in which they are computed."""
        known = {self.input}
        for step in self.steps:
            if known & set(step.inputs) and step.op_type != "Shape":
                known.update(name for name in step.outputs if name)
        return tuple(name for step in self.steps for name in step.outputs if name in known)

    @property
    def last_hidden(self) -> str:
        """The name of what the last layer with weights reads."""
        depends = {self.input, *self.tensors}
        for step in reversed(self.steps):
            if step.op_type in ("Gemm", "MatMul", "Conv", "ConvTranspose"):
                return next(name for name in step.inputs if name in depends)
        raise InputError(f"{self.name}: there is no layer with weights")

    def hidden(self, name: str) -> str:
        """The name, if it is one of a hidden tensor. Raises InputError, naming those there are, if not."""
        if name not in self.shapes:
            some = ", ".join(f"{n} {list(shape)}" for n, shape in self.shapes.items())
            raise InputError(f"{self.name}: no node computes a tensor '{name}' from the input", f"there are: {some}")
        return name

    def run(
        self,
        x: Tensor,
        wanted: Sequence[str],
        *,
        given: Mapping[str, Tensor] | None = None,
        times: Mapping[str, Tensor] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The values [batch, *shape] of the wanted tensors for inputs [batch, *input_shape]; with gradients.

        given: values [batch, *shape] that take the place of what nodes would compute; times: factors [batch, *shape]
        that what nodes compute is multiplied by; parameters: values to use instead of some of `self.parameters`.
        """
        given, times = dict(given or {}), dict(times or {})
        steps = self.steps_between(tuple(wanted), tuple(given))
        shared = {**self.constants, **self.parameters, **(parameters or {})}

        def one_sample(x: Tensor, given: dict[str, Tensor], times: dict[str, Tensor]) -> dict[str, Tensor]:
            known: dict[str, Tensor] = {**shared, self.input: x, **given}
            for step in steps:
                values = step(*(known[name] if name else None for name in step.inputs))
                for name, value in zip(step.outputs, values, strict=False):
                    if name not in given:
                        known[name] = value * times[name] if name in times else value
            return {name: known[name] for name in wanted}

        return vmap(one_sample)(x, given, times)

    def logits(self, x: Tensor, **changes: Any) -> Tensor:
        """The scores [batch, classes] before a final softmax; changes: as `run` takes them."""
        return self.run(x, (self.scores,), **changes)[self.scores].reshape(len(x), -1)

    def put(self, x: np.ndarray) -> Tensor:
        """Samples [batch, ...] as the model takes them, [batch, *input_shape]."""
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype).reshape(len(x), *self.input_shape)

    def samples(self, data: Dataset) -> tuple[Tensor, Tensor]:
        """Inputs [samples, *input_shape] and classes [samples]. Raises InputError where they do not fit the model."""
        labels = data.labels
        data.check_labels(self.n_classes, self.name)
        return self.put(data.flat(int(np.prod(self.input_shape)), self.name)), torch.from_numpy(labels)

    def copy(self) -> TrainableModel:
        """The same model with parameters of its own."""
        return TrainableModel(self.to_proto(), self.name)

    def to_proto(self) -> onnx.ModelProto:
        """The file as read with the parameters as they are now."""
        proto = deepcopy(self.proto)
        values = {name: tensor.detach().numpy() for name, tensor in self.parameters.items()}
        Constants.replace(proto, values)
        return proto

    def write(self, path: str | Path) -> None:
        """Write the ONNX file. Raises InputError where it cannot be written."""
        proto = self.to_proto()
        if proto.ByteSize() > MOST_BYTES:
            raise InputError(f"{path}: the model is larger than 2 GB, which one file cannot hold")
        write_bytes(path, proto.SerializeToString())

    def _only_input(self, given: Constants) -> tuple[str, tuple[int, ...], torch.dtype]:
        infos = [info for info in self.proto.graph.input if info.name not in given.tensors]
        if len(infos) != 1:
            raise InputError(f"{self.name}: has {len(infos)} inputs, what can be trained has one")
        kind = infos[0].type.tensor_type
        if kind.elem_type not in TYPES:
            raise InputError(f"{self.name}: the input is neither float32 nor float64", "convert the model to float32")
        if not kind.HasField("shape"):
            raise ModelError(f"{self.name}: '{infos[0].name}' has no shape", "run onnx shape inference on the model")
        shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else 1 for d in kind.shape.dim)
        return infos[0].name, shape, TYPES[kind.elem_type]

    def steps_between(self, wanted: tuple[str, ...], given: tuple[str, ...]) -> tuple[Step, ...]:
        """The steps that the wanted values depend on, where some values are given."""
        if (wanted, given) not in self._plans:
            needed, kept = set(wanted) - set(given), []
            for step in reversed(self.steps):
                if needed & set(step.outputs):
                    kept.append(step)
                    needed |= set(step.inputs) - set(given)
            missing = needed - {name for step in self.steps for name in step.outputs} - {self.input, ""}
            missing -= self.constants.keys() | self.parameters.keys()
            if missing:
                raise ModelError(f"{self.name}: no node computes '{sorted(missing)[0]}'", "export the model again")
            self._plans[wanted, given] = tuple(reversed(kept))
        return self._plans[wanted, given]


def read_step(number: int, node: onnx.NodeProto, opset: int, file: str) -> Step:
    """The node of this number as a step. Raises UnsupportedOp for an operator that is not in the table."""
    label = node.name or f"#{number} ({node.output[0] if node.output else '?'})"
    if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
        raise UnsupportedOp(node.op_type, label, "cannot be trained", _HINT)
    attributes = attributes_of(node, label, file)
    if opset < 13 and node.op_type in ("Softmax", "LogSoftmax"):
        # Until then over all axes from this one on, as one.
        attributes["flattened_from"] = attributes.get("axis", 1)
    return Step(node.op_type, label, tuple(node.input), tuple(node.output), attributes)


def read_trainable(path: str | Path) -> tuple[TrainableModel, str]:
    """The model of a file, and the sha256 of the file's bytes. It computes what onnxruntime does, or ParityError."""
    path = resolve(path)
    proto, sha256 = read_proto(path)
    model = TrainableModel(proto, str(path))
    check_parity(model, path)
    return model, sha256


def check_parity(model: TrainableModel, path: str | Path, points: int = 8, seed: int = 0) -> float:
    """The largest difference between the model and a file in onnxruntime, on random points in [0, 1] and around 0.

    Raises ParityError where it is more than float32 rounding explains.
    """
    from certify.witness.runtime import Runtime

    runtime = Runtime(path)
    rng = np.random.default_rng(seed)
    shape = (points, runtime.n_inputs)
    x = np.concatenate([rng.uniform(size=shape), rng.normal(size=shape)]).astype(np.float32).astype(np.float64)
    with torch.no_grad():
        found = model.run(model.put(x), (model.output, *model.shapes))
    ours = found[model.output].reshape(len(x), -1).double().numpy()
    theirs = np.stack([runtime(row) for row in x])
    largest = max(float(value.abs().max()) for value in found.values() if value.is_floating_point())
    allowed = RELATIVE * max(abs(ours).max(), abs(theirs).max()) + OF_LARGEST_VALUE * largest
    difference = float(abs(ours - theirs).max())
    if not difference <= allowed:
        message = f"{path}: scores differ by {difference:.3g} between torch and onnxruntime for the same input"
        raise ParityError(message, "nothing is trained that is read as something else; please report the model")
    return difference
