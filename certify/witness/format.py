"""Witnesses as VNN-COMP text: one s-expression for version 1.0, headed blocks per tensor for version 2.0."""

from __future__ import annotations

from certify.query.syntax import Query
from certify.witness.replay import Witness


def write_witness(witness: Witness, query: Query) -> str:
    """The text that belongs to the query's version. Numbers have 17 digits, enough to give back every float64."""
    return _version_1(witness, query) if query.version == "1.0" else _version_2(witness, query)


def _version_1(witness: Witness, query: Query) -> str:
    """((X_0 v) ... (Y_0 v) ...), indices counting through all inputs and through all outputs."""
    pairs = []
    for letter, tensors in (("X", query.inputs), ("Y", query.computed)):
        flat = [value for tensor in tensors for value in witness.values()[tensor.name].tolist()]
        pairs += [f"({letter}_{index} {value:.17g})" for index, value in enumerate(flat)]
    return "(" + "\n".join(pairs) + ")\n"


def _version_2(witness: Witness, query: Query) -> str:
    """NAME TYPE [dims], then one value per line, for every declared tensor, hidden values too, in order."""
    lines = []
    for tensor in query.tensors():
        lines.append(f"{tensor.name} {tensor.dtype} [{','.join(map(str, tensor.shape))}]")
        lines += [f"{value:.17g}" for value in witness.values()[tensor.name].tolist()]
    return "\n".join(lines) + "\n"
