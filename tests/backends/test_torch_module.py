"""The network as a torch module: every operator's example, every kind of network, and what cannot be translated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import KINDS, finish, layer, quotient_net, start

from certify.backends import torch_module
from certify.backends.torch_module import Graph, check_parity
from certify.backends.torch_parts import MATRIX_ENTRIES
from certify.backends.torch_parts import layer as torch_layer
from certify.errors import ParityError, UnsupportedOp
from certify.network.graph import Network
from certify.ops.dense import Dense
from certify.ops.jumps import Truncate
from certify.ops.layout import reshape
from certify.ops.reduce import SumOver
from certify.ops.registry import Entry, Example, NodeSpec, all_entries
from certify.ops.scale import ScaleShift
from certify.ops.select import concat, take

NONE = np.empty(0, dtype=int)


def network_of(entry: Entry, example: Example) -> Network:
    """The example's variable inputs cut out of one flat input, its outputs joined into one."""
    sizes = [int(np.prod(shape)) for shape in example.inputs if isinstance(shape, tuple)]
    build, x = start(sum(sizes))
    ends = iter(np.cumsum(sizes))
    operands = []
    for shape in example.inputs:
        if isinstance(shape, tuple):
            end = next(ends)
            piece = reshape(build, take(build, x, 0, np.arange(end - int(np.prod(shape)), end)), shape)
            if example.kind == "int":
                piece = replace(build.emit(Truncate((shape,), shape), piece), kind="int")
            operands.append(piece)
        else:
            operands.append(np.asarray(shape))
    spec = NodeSpec(entry.op_type, "n", example.opset, tuple(operands), example.attributes, example.n_outputs)
    found = entry.translate(spec, build)
    outputs = found if isinstance(found, tuple) else (found,)
    joined = concat(build, tuple(reshape(build, y, (int(np.prod(y.shape)),)) for y in outputs), 0)
    return finish(build, layer(build, np.random.default_rng(1), joined, 3), sum(sizes))


EXAMPLES = [(entry, example) for entry in all_entries() for example in entry.examples()]


@pytest.mark.parametrize(("entry", "example"), EXAMPLES, ids=lambda x: getattr(x, "op_type", ""))
def test_every_example_of_every_operator(entry: Entry, example: Example) -> None:
    network = network_of(entry, example)
    points = np.random.default_rng(0).normal(size=(4, network.n_inputs))
    try:
        graph = Graph(network, NONE).eval()
    except UnsupportedOp as error:
        # Only a nonlinear op that auto_LiRPA has no counterpart of is a reason.
        others = {type(node.op) for node in network.nonlinear} - set(torch_module.EXPRESSIONS)
        assert others, error
        return
    check_parity(network, NONE, graph, points)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "quotient"])
def test_every_kind_of_network_with_inputs_passed_on(kind: str) -> None:
    network = KINDS[kind](np.random.default_rng(2))
    passed = np.arange(network.n_inputs)[::2]
    points = np.random.default_rng(0).normal(size=(4, network.n_inputs))
    check_parity(network, passed, Graph(network, passed).eval(), points)


def test_weights_have_no_gradient() -> None:
    network = KINDS["convolution"](np.random.default_rng(2))
    assert not any(parameter.requires_grad for parameter in Graph(network, NONE).parameters())


def test_an_op_without_expression_names_its_node() -> None:
    with pytest.raises(UnsupportedOp, match="Reciprocal"):
        Graph(quotient_net(np.random.default_rng(0), 2), NONE)


def test_a_linear_op_without_expression_becomes_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_module, "EXPRESSIONS", {})
    build, x = start(6)
    total = build.emit(SumOver(((2, 3),), (2, 1), (-1,)), reshape(build, x, (2, 3)))
    network = finish(build, build.emit(ScaleShift.broadcast((2, 1), (4, 2, 1)), total), 6)
    check_parity(network, NONE, Graph(network, NONE).eval(), np.random.default_rng(0).normal(size=(4, 6)))


def test_a_matrix_that_would_be_too_large_is_refused() -> None:
    build, x = start(2)
    wide = build.emit(ScaleShift.broadcast((2,), (MATRIX_ENTRIES // 2, 2)), x)
    with pytest.raises(UnsupportedOp, match="entries"):
        Graph(finish(build, wide, 2), NONE)


def test_a_wrong_translation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**torch_module.EXPRESSIONS, Dense: lambda op: torch_layer(op.weight * 1.000001, op.shift)}
    monkeypatch.setattr(torch_module, "EXPRESSIONS", wrong)
    network = KINDS["dense"](np.random.default_rng(0))
    with pytest.raises(ParityError, match="differ"):
        check_parity(network, NONE, Graph(network, NONE).eval(), np.ones((1, network.n_inputs)))
