"""Tiny problems with certificates, and certificates taken apart and put together again."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from certify import api
from certify.quantities.probability import probability as api_probability
from certify.search import prove
from certify.settings import Settings

# How close the bounds of the base "probability" are.
GAP = 0.02


@dataclass
class Contents:
    """A certificate in memory. raw: members that are written as they are, after all others."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]
    raw: list[tuple[str, bytes]] = field(default_factory=list)

    def copy(self) -> Contents:
        return Contents(json.loads(json.dumps(self.header)), {k: v.copy() for k, v in self.arrays.items()})

    def write(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, array in self.arrays.items():
                stream = io.BytesIO()
                np.save(stream, array, allow_pickle=array.dtype == object)
                file.writestr(_info(f"{name}.npy"), stream.getvalue())
            if not any(name == "certificate.json" for name, _ in self.raw):
                file.writestr(_info("certificate.json"), json.dumps(self.header))
            for name, data in self.raw:
                file.writestr(_info(name), data)


def _info(name: str) -> zipfile.ZipInfo:
    """The same date every time, so that a corpus made again is the same."""
    info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def read(path: Path) -> Contents:
    with zipfile.ZipFile(path) as file:
        arrays = {
            name.removesuffix(".npy"): np.load(io.BytesIO(file.read(name)))
            for name in file.namelist()
            if name.endswith(".npy")
        }
        return Contents(json.loads(file.read("certificate.json")), arrays)


def dense_model(rng: np.random.Generator, sizes: list[int], scale: float = 1.5) -> onnx.ModelProto:
    """Gemm and Relu in turns, float32."""
    nodes, weights, source = [], [], "x"
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        weight = (rng.normal(size=(m, n)) * scale / np.sqrt(n)).astype(np.float32)
        shift = (rng.normal(size=m) * 0.3).astype(np.float32)
        weights += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(shift, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [source, f"w{i}", f"b{i}"], [f"z{i}"], transB=1))
        source = f"z{i}"
        if i < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [source], [f"h{i}"]))
            source = f"h{i}"
    return model_of(nodes, weights, sizes[0], sizes[-1], source)


def model_of(nodes: list[Any], weights: list[Any], n_in: int, n_out: int, output: str) -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, [1, n_in])], [info(output, TensorProto.FLOAT, [1, n_out])], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def outputs(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """Of a model made by `dense_model`, in float64, [points, outputs]."""
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    last = len(weights) // 2 - 1
    for i in range(last + 1):
        x = x @ weights[f"w{i}"].T + weights[f"b{i}"]
        x = np.maximum(x, 0.0) if i < last else x
    return x


def spec_text(boxes: Any, n_out: int, condition: str) -> str:
    """VNN-LIB 1.0: the input in one of the boxes, and the condition."""
    n, boxes = len(boxes[0][0]), [(low.tolist(), high.tolist()) for low, high in boxes]
    lines = [f"(declare-const X_{i} Real)" for i in range(n)] + [f"(declare-const Y_{i} Real)" for i in range(n_out)]
    if len(boxes) == 1:
        for i in range(n):
            lines += [f"(assert (>= X_{i} {boxes[0][0][i]!r}))", f"(assert (<= X_{i} {boxes[0][1][i]!r}))"]
    else:
        parts = [
            "(and " + " ".join(f"(>= X_{i} {low[i]!r}) (<= X_{i} {high[i]!r})" for i in range(n)) + ")"
            for low, high in boxes
        ]
        lines.append("(assert (or " + "\n".join(parts) + "))")
    return "\n".join(lines) + f"\n(assert {condition})\n"


@dataclass(frozen=True)
class Base:
    """A problem whose verdict is known. turns: of splits for hidden values before any for the goal."""

    name: str
    model: bytes
    spec: str
    settings: dict[str, Any] = field(default_factory=dict)
    turns: int = 0

    def files(self, folder: Path) -> tuple[Path, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        model, spec = folder / f"{self.name}.onnx", folder / f"{self.name}.vnnlib"
        model.write_bytes(self.model)
        spec.write_text(self.spec)
        return model, spec


@contextmanager
def turns_first(count: int) -> Iterator[None]:
    """So many turns of splits for hidden values, small ones, come before the first split for a goal."""
    left = [count]

    def hopeless(self: prove.Prover, turn: Any) -> Callable[[], bool]:
        left[0] -= 1
        done = left[0] < 0
        return lambda: not done

    saved = prove.Prover._hopeless, prove.FIRST_WORK, prove.SHORTEST_TURN
    prove.Prover._hopeless, prove.FIRST_WORK, prove.SHORTEST_TURN = hopeless, 200 // 5 ** (count - 1), 60.0
    try:
        yield
    finally:
        prove.Prover._hopeless, prove.FIRST_WORK, prove.SHORTEST_TURN = saved


def certificate(base: Base, folder: Path, expected: str) -> tuple[Path, Path, Path]:
    """Files (model, spec, certificate) of a base, made by the native prover."""
    model, spec = base.files(folder)
    path = folder / f"{base.name}.cert"
    if expected == "bounded":
        api_probability(model, spec, certificate=path, gap=GAP, samples=0)
        return model, spec, path
    with turns_first(base.turns) if base.turns else nullcontext():
        verdict = api.check(model, spec, timeout=60.0, settings=Settings(certificate=path, **base.settings))
    assert verdict.status.value == expected, (base.name, verdict)
    assert path.exists(), verdict.notes
    return model, spec, path


def below_all(model: onnx.ModelProto, low: np.ndarray, high: np.ndarray, rows: np.ndarray, gap: float) -> np.ndarray:
    """Per row of coefficients, its smallest value at many points of the box, minus the gap."""
    x = np.random.default_rng(0).uniform(low, high, size=(20000, len(low)))
    return (outputs(model, x) @ rows.T).min(axis=0) - gap


def likely() -> Base:
    """A property that a quarter of the inputs break, and as many more by an atom on their own."""
    model = dense_model(np.random.default_rng(3), [2, 8, 8, 2])
    box = np.array([-1.0, -0.7]), np.array([0.9, 1.0])
    y = outputs(model, np.random.default_rng(0).uniform(*box, size=(20000, 2)))
    levels = np.quantile(y, 0.5, axis=0).tolist()
    condition = f"(and (<= Y_0 {levels[0]!r}) (or (<= Y_1 {levels[1]!r}) (>= (+ X_0 X_1) 0.9)))"
    return Base("probability", model.SerializeToString(), spec_text([box], 2, condition))


def bases(violated: bool = False) -> dict[str, Base]:
    """All bases by name; "witness" is sat, "probability" has bounds instead, the others are unsat.

    violated: the same models with properties of the same form that some point, known by sampling, breaks by little.
    """
    found = []
    wanted = (lambda gap: -0.002) if violated else (lambda gap: gap)
    rng = np.random.default_rng(3)
    model = dense_model(rng, [2, 8, 8, 2])
    box = np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    (rhs,) = below_all(model, *box, np.array([[1.0, 0.0]]), wanted(0.02))
    found.append(Base("boxes", model.SerializeToString(), spec_text([box], 2, f"(<= Y_0 {float(rhs)!r})")))

    halves = [(np.array([-1.0, -1.0]), np.array([-0.25, 1.0])), (np.array([0.25, -1.0]), np.array([1.0, 0.5]))]
    x = np.concatenate([np.random.default_rng(1).uniform(a, b, size=(20000, 2)) for a, b in halves])
    y = outputs(model, x)
    both = float(np.maximum(y[:, 0], y[:, 1]).min() - wanted(0.02))
    text = spec_text(halves, 2, f"(and (<= Y_0 {both!r}) (<= Y_1 {both!r}))")
    found.append(Base("cases", model.SerializeToString(), text))

    wide = dense_model(rng, [24, 10, 10, 3], 1.2)
    center = rng.uniform(-0.5, 0.5, 24)
    box = np.round(center - 0.12, 6), np.round(center + 0.12, 6)
    rows = np.array([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]])
    shifts = below_all(wide, *box, rows, np.array([wanted(0.51), wanted(0.56)]))
    parts = " ".join(f"(and (<= Y_0 (+ Y_{j} {float(s)!r})))" for j, s in zip((1, 2), shifts, strict=True))
    found.append(Base("signs", wide.SerializeToString(), spec_text([box], 3, f"(or {parts})")))

    deep = dense_model(rng, [24, 10, 10, 10, 2], 1.2)
    for name, gap in (("deep", 0.04), ("slopes", 0.11)):
        (rhs,) = below_all(deep, *box, np.array([[1.0, -1.0]]), wanted(gap))
        text = spec_text([box], 2, f"(<= Y_0 (+ Y_1 {float(rhs)!r}))")
        found.append(Base(name, deep.SerializeToString(), text))

    # By so little that nothing less than the last turn will do.
    for name, turns in (("rows", 1), ("turns", 2)):
        (rhs,) = below_all(deep, *box, np.array([[1.0, -1.0]]), wanted(0.0625))
        text = spec_text([box], 2, f"(<= Y_0 (+ Y_1 {float(rhs)!r}))")
        found.append(Base(name, deep.SerializeToString(), text, turns=turns))

    box = np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    (rhs,) = below_all(model, *box, np.array([[1.0, 0.0]]), -0.2)
    found.append(Base("witness", model.SerializeToString(), spec_text([box], 2, f"(<= Y_0 {float(rhs)!r})")))
    return {base.name: base for base in [*found, likely()]}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


Mutation = Callable[[Contents], None]
