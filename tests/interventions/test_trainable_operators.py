"""Every operator of the table against onnxruntime, on the examples that certify's own operators are tested with."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx_files import assert_close_in_float32, model, node, session

from certify.errors import UnsupportedOp
from certify.interventions.intervals import Pair, bound_step
from certify.interventions.operators import OPERATORS
from certify.interventions.trainable import Step, read_step
from certify.ops.registry import Entry, Example, all_entries

CASES = [
    pytest.param(entry, example, id=f"{entry.op_type}{entry.since if entry.since > 1 else ''}-{number}")
    for entry in all_entries()
    if entry.op_type in OPERATORS and not entry.domain
    for number, example in enumerate(entry.examples())
    if example.kind == example.gives == "float"
]
# Share of the uses that may be refused.
REFUSED = 0.2


def named(example: Example) -> tuple[list[str], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(names of the inputs, constants, two random values of each variable input)."""
    names, constants, variables = [], {}, {}
    for place, x in enumerate(example.inputs):
        names.append("" if x is None else f"i{place}")
        if isinstance(x, tuple):
            variables[names[-1]] = np.random.default_rng(place).uniform(0.1, 1.5, size=(2, *x)).astype(np.float32)
        elif x is not None:
            constants[names[-1]] = np.asarray(x)
    return names, constants, variables


def step_of(entry: Entry, example: Example, names: list[str]) -> Step:
    return read_step(0, node_of(entry, example, names), example.opset, "file")


def node_of(entry: Entry, example: Example, names: list[str]) -> onnx.NodeProto:
    outputs = " ".join(f"o{i}" for i in range(example.n_outputs))
    return node(entry.op_type, " ".join(n or "_" for n in names), outputs, "it", **example.attributes)


def in_torch(constants: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    float32 = {n: x.astype(np.float32) if x.dtype.kind == "f" else x for n, x in constants.items()}
    return {n: torch.from_numpy(np.array(x)) for n, x in float32.items()}


@pytest.mark.parametrize(("entry", "example"), CASES)
def test_operator_computes_what_onnxruntime_does(entry: Entry, example: Example) -> None:
    names, constants, variables = named(example)
    step = step_of(entry, example, names)
    try:
        known = in_torch(constants) | {n: torch.from_numpy(np.array(x[0])) for n, x in variables.items()}
        ours = step(*(known.get(n) for n in names))
    except UnsupportedOp as error:
        assert f"operator {entry.op_type} at node 'it'" in str(error)
        pytest.skip(f"refused by name: {error}")
    only = node_of(entry, example, names)
    shapes = {n: x.shape[1:] for n, x in variables.items()}
    theirs = session(model([only], shapes, step.outputs, constants, opset=example.opset)).run(
        None, {n: np.array(x[0]) for n, x in variables.items()}
    )
    for found, expected in zip(ours, theirs, strict=True):
        assert tuple(found.shape) == expected.shape
        assert_close_in_float32(found.numpy().astype(np.float64), np.asarray(expected, np.float64))


@pytest.mark.parametrize(("entry", "example"), CASES)
def test_intervals_contain_what_the_operator_computes(entry: Entry, example: Example) -> None:
    names, constants, variables = named(example)
    step = step_of(entry, example, names)
    known = in_torch(constants)
    both = {n: torch.from_numpy(x) for n, x in variables.items()}
    box = {n: Pair(x.amin(0), x.amax(0)) for n, x in both.items()}
    try:
        bounds = bound_step(step, [known[n] if n in known else box.get(n) for n in names])
        shares = (torch.zeros(()), torch.ones(()), torch.tensor(0.5), torch.tensor(0.1))
        for share in shares:
            inside = {n: b.lower + share * (b.upper - b.lower) for n, b in box.items()}
            mixed = {n: torch.where(torch.rand(x.shape) < 0.5, x, box[n].upper) for n, x in inside.items()}
            for point in (inside, mixed):
                values = step(*(known[n] if n in known else point.get(n) for n in names))
                for value, bound in zip(values, bounds, strict=False):
                    assert isinstance(bound, Pair)
                    slack = 1e-5 * (1.0 + value.abs().max())
                    assert (bound.lower - slack <= value).all()
                    assert (value <= bound.upper + slack).all()
    except UnsupportedOp as error:
        assert entry.op_type in str(error)
        pytest.skip(f"refused by name: {error}")


def test_most_examples_are_not_refused() -> None:
    refused = 0
    for case in CASES:
        entry, example = case.values
        names, constants, variables = named(example)
        known = in_torch(constants) | {n: torch.from_numpy(np.array(x[0])) for n, x in variables.items()}
        try:
            step_of(entry, example, names)(*(known.get(n) for n in names))
        except UnsupportedOp:
            refused += 1
    assert refused <= REFUSED * len(CASES)
