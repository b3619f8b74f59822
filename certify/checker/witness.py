"""Witnesses of a violated property: computed in fractions (real semantics), or by onnx's own evaluator (float32)."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from certify.checker.arithmetic import Arithmetic
from certify.checker.network import Network, read_file, read_network
from certify.checker.operators import Rectifier
from certify.checker.outcome import Malformed, Rejected
from certify.checker.specification import NUMBER, Specification, satisfied


def check_witness(model: Path, network: Network, spec: Specification, witness: Any, semantics: str) -> None:
    """Raise Rejected unless the input satisfies the specification, with what the network computes for it."""
    if not isinstance(witness, list) or len(witness) != network.n_inputs:
        raise Malformed("the witness is not a list of all inputs")
    if any(not isinstance(v, str) or re.fullmatch(NUMBER, v) is None for v in witness):
        raise Malformed("the witness holds something that is no decimal number")
    x = [Fraction(float(v)) for v in witness]
    y = exact_output(model, x) if semantics == "real" else float32_output(model, np.array(witness, dtype=np.float64))
    if not satisfied(spec, spec.tree, x + y):
        raise Rejected("the witness does not satisfy the specification")


def exact_output(model: Path, x: list[Fraction]) -> list[Fraction]:
    """The network's output in exact arithmetic."""
    network = read_network(model, Arithmetic(exact=True))
    values = [np.array(x, dtype=object)[None]]
    for node in network.nodes:
        inputs = [values[i] for i in node.inputs]
        if isinstance(node, Rectifier):
            values.append(np.maximum(inputs[0], 0))
        else:
            found = node.apply(inputs)
            values.append(found if node.bias is None else found + node.bias)
    return [Fraction(v) for v in values[network.output][0].tolist()]


def float32_output(model: Path, x: np.ndarray) -> list[Fraction]:
    """The network's output as onnx's reference evaluator computes it, in one of the orders that float32 allows."""
    from onnx.reference import ReferenceEvaluator

    proto = onnx.load_model_from_string(read_file(model))
    constants = {tensor.name for tensor in proto.graph.initializer}
    (info,) = (info for info in proto.graph.input if info.name not in constants)
    shape = [max(1, d.dim_value) for d in info.type.tensor_type.shape.dim]
    (output,) = ReferenceEvaluator(proto).run(None, {info.name: x.astype(np.float32).reshape(shape)})
    return [Fraction(float(v)) for v in np.asarray(output).reshape(-1)]
