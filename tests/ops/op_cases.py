"""Which ops the tests run over: everything that the registered examples emit."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from certify.arrays import Array, Library, to_numpy
from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.ops.jumps import Step, Truncate
from certify.ops.kinds import Linear, Nonlinear, Op
from certify.ops.layout import reshape
from certify.ops.registry import Entry, Example, NodeSpec, Operand, Value, all_entries
from certify.ops.scale import ScaleShift
from certify.ops.select import concat, take

TORCH = Library("torch")
LIBRARIES = [pytest.param(Library(), id="numpy"), pytest.param(TORCH, id="torch")]


def examples() -> list[tuple[str, Entry, Example]]:
    """(name, entry, example) of every example of every registered operator."""
    return [
        (f"{entry.op_type}{entry.since if entry.since > 1 else ''}-{number}", entry, example)
        for entry in all_entries()
        for number, example in enumerate(entry.examples())
    ]


def emitted(entry: Entry, example: Example) -> list[Op]:
    """The ops that the example's node becomes, nothing fused."""
    build = GraphBuilder()
    inputs = [
        x if isinstance(x, np.ndarray | np.generic) else Value(f"x{i}", x, example.kind)
        for i, x in enumerate(example.inputs)
    ]
    spec = NodeSpec(entry.op_type, "example", example.opset, tuple(inputs), dict(example.attributes), example.n_outputs)
    entry.translate(spec, build)
    return [node.op for node in build.nodes]


def network_of(entry: Entry, example: Example) -> Network:
    """The example's node as a network: its variable inputs are all truth, integers or bytes where it wants those."""
    build = GraphBuilder()
    shapes = [x for x in example.inputs if isinstance(x, tuple)]
    specs = tuple(TensorSpec(f"x{i}", shape, "float32") for i, shape in enumerate(shapes))
    flat, start = Value(INPUT, (sum(spec.size for spec in specs),)), 0
    operands: list[Operand] = []
    for x in example.inputs:
        if not isinstance(x, tuple):
            operands.append(np.asarray(x))
            continue
        size = int(np.prod(x, dtype=np.int64))
        piece = reshape(build, take(build, flat, 0, np.arange(start, start + size)), x)
        start += size
        if example.kind != "float":
            kind = Step if example.kind == "bool" else Truncate
            piece = replace(build.emit(kind((x,), x), piece), kind=example.kind)
        operands.append(piece)
    spec = NodeSpec(entry.op_type, "x", example.opset, tuple(operands), dict(example.attributes), example.n_outputs)
    result = entry.translate(spec, build)
    results = result if isinstance(result, tuple) else (result,)
    parts = tuple(reshape(build, value, (int(np.prod(value.shape, dtype=np.int64)),)) for value in results)
    joined = concat(build, parts, 0)
    output = build.emit(ScaleShift.scalar(joined.shape, 1.0), joined)
    outputs = (TensorSpec("y", output.shape, "float32"),)
    return Network((), output.name, specs, outputs).with_nodes(build.nodes, output.name)


def fingerprint(op: Op) -> str:
    """The op's type and parameters, as text."""
    return f"{type(op).__name__} {[(f.name, repr(getattr(op, f.name))) for f in dataclasses.fields(op)]}"


def emitted_ops() -> dict[str, Op]:
    """By name, the different ops that all examples together emit."""
    found: dict[str, Op] = {}
    seen = set()
    for name, entry, example in examples():
        for number, op in enumerate(emitted(entry, example)):
            if fingerprint(op) not in seen:
                seen.add(fingerprint(op))
                found[f"{name}-{number}-{type(op).__name__}"] = op
    return found


def linear_ops() -> list[object]:
    """The linear ones, as pytest parameters."""
    return [pytest.param(op, id=name) for name, op in emitted_ops().items() if isinstance(op, Linear)]


def resized(op: Nonlinear, size: int) -> Nonlinear:
    """The same nonlinear function for vectors of this size."""
    return replace(op, in_shapes=((size,),) * len(op.in_shapes), out_shape=(size,))


def nonlinear_ops() -> dict[str, Nonlinear]:
    """By name, the different nonlinear functions that all examples together emit, each for one element."""
    found = {fingerprint(resized(op, 1)): resized(op, 1) for op in emitted_ops().values() if isinstance(op, Nonlinear)}
    parameters = {
        key: [getattr(op, f.name) for f in dataclasses.fields(op) if f.name not in ("in_shapes", "out_shape")]
        for key, op in found.items()
    }
    # Of one function of several numbers of inputs, that of the fewest: grids over more are too large.
    fewest_last = sorted(found.items(), key=lambda item: -len(item[1].in_shapes))
    return {"".join(map(str, [type(op).__name__, *parameters[key]])): op for key, op in fewest_last}


def put(library: Library, *arrays: np.ndarray) -> tuple[Array, ...]:
    """The arrays in a library, of the shapes they have."""
    return tuple(library.put(np.asarray(array)).reshape(np.shape(array)) for array in arrays)


def assert_equal_arrays(first: Array, second: Array, relative: float = 1e-12) -> None:
    """Equal up to rounding, whatever library the arrays are in."""
    a, b = to_numpy(first), to_numpy(second)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=relative, atol=relative * (1.0 + abs(b).max(initial=0.0)))
