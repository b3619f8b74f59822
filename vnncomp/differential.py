#!/usr/bin/env python
"""Random networks and properties, decided by every backend that is installed, and every proof rechecked.

    python vnncomp/differential.py --minutes 60 --out disagreements

The native prover, `highs` (a linear program at every node, complete on small networks) and auto-lirpa share bounds or
none; the checker shares nothing with any of them. A disagreement is: sat here and unsat there, a proof that the checker
does not accept, or a crash. Each is stored with its model, its specification and what everybody said, ready to become
a case in tests/regressions. Exit code 1 if there was any.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from certify import api
from certify.backends.base import NAMES, find_backend
from certify.checker.check import check
from certify.checker.outcome import Refusal
from certify.settings import Settings

SECONDS = 5.0


def random_model(rng: np.random.Generator) -> onnx.ModelProto:
    """A few dense layers; sometimes an input shift, a residual addition or dead neurons."""
    sizes = [
        int(rng.integers(1, 26 if rng.random() < 0.3 else 5)),
        *rng.integers(2, 9, size=rng.integers(1, 4)).tolist(),
    ]
    sizes.append(int(rng.integers(1, 4)))
    nodes, weights, source = [], [], "x"

    def constant(name: str, array: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    if rng.random() < 0.3:
        nodes.append(helper.make_node("Sub", [source, constant("mean", rng.normal(size=sizes[0]))], ["shifted"]))
        source = "shifted"
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        scale = 10.0 ** rng.uniform(-1, 1) / np.sqrt(n)
        weight, shift = rng.normal(size=(n, m)) * scale, rng.normal(size=m) * rng.choice([0.0, 0.3, 3.0])
        nodes.append(helper.make_node("MatMul", [source, constant(f"w{i}", weight)], [f"p{i}"]))
        nodes.append(helper.make_node("Add", [f"p{i}", constant(f"b{i}", shift)], [f"z{i}"]))
        before, source = source, f"z{i}"
        if i < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [source], [f"h{i}"]))
            source = f"h{i}"
            if n == m and rng.random() < 0.5:
                nodes.append(helper.make_node("Add", [source, before], [f"r{i}"]))
                source = f"r{i}"
    info = helper.make_tensor_value_info
    given, found = info("x", TensorProto.FLOAT, [1, sizes[0]]), info(source, TensorProto.FLOAT, [1, sizes[-1]])
    graph = helper.make_graph(nodes, "random", [given], [found], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def random_spec(rng: np.random.Generator, model: onnx.ModelProto) -> str:
    """One or two boxes, and a formula whose thresholds lie near the smallest values that sampling finds."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    n = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    m = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    boxes = []
    for _ in range(1 if rng.random() < 0.7 else 2):
        low = np.round(rng.uniform(-1, 1, n), 3)
        boxes.append((low, np.round(low + rng.uniform(0, 1, n) * (rng.random(n) < 0.8), 3)))
    x = np.concatenate([rng.uniform(low, high, size=(300, n)) for low, high in boxes]).astype(np.float32)
    y = np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])
    atoms = []
    for _ in range(int(rng.integers(1, 4))):
        row = np.round(rng.normal(size=m), 2)
        values = y @ row
        gap = rng.choice([0.3, 0.05, 0.01, -0.01, -0.1]) * max(1e-3, float(np.ptp(values)))
        # Powers of two as factors: the checker takes coefficients that are float64 numbers only.
        terms = " ".join(f"(* {float(np.float32(w))!r} Y_{j})" for j, w in enumerate(np.round(row * 64) / 64))
        atoms.append(f"(<= (+ {terms}) {float(values.min() - gap)!r})")
    word = rng.choice(["and", "or"])
    lines = [f"(declare-const X_{i} Real)" for i in range(n)] + [f"(declare-const Y_{j} Real)" for j in range(m)]
    cases = [
        "(and "
        + " ".join(f"(>= X_{i} {a!r}) (<= X_{i} {b!r})" for i, (a, b) in enumerate(zip(low, high, strict=True)))
        + ")"
        for low, high in ((low.tolist(), high.tolist()) for low, high in boxes)
    ]
    lines += [f"(assert (or {' '.join(cases)}))", f"(assert ({word} {' '.join(atoms)}))"]
    return "\n".join(lines) + "\n"


def opinions(model: Path, spec: Path, certificate: Path) -> dict[str, str]:
    """What everybody says."""
    found = {}
    for name in NAMES:
        if find_backend(name).missing() is not None:
            continue
        settings = Settings(backend=name, certificate=certificate if name == "native" else None)
        try:
            verdict = api.check(model, spec, timeout=SECONDS, settings=settings)
            found[name] = verdict.status.value
        except Exception as error:  # noqa: BLE001 - any crash is a finding
            found[name] = f"error {type(error).__name__}: {str(error)[:200]}"
    if certificate.exists():
        try:
            check(model, spec, certificate)
            found["checker"] = "accepted"
        except Refusal as refusal:
            found["checker"] = f"{refusal.word}: {refusal}"
        except Exception as error:  # noqa: BLE001
            found["checker"] = f"error {type(error).__name__}: {str(error)[:200]}"
    return found


def disagree(found: dict[str, str]) -> bool:
    """Whether that cannot all be right."""
    words = set(found.values())
    wrong = {"sat", "unsat"} <= words or any(word.startswith("error") for word in words)
    return wrong or found.get("checker", "accepted").split(":")[0] in ("rejected", "malformed")


def main() -> int:
    """Try problems until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first problem; the next ones follow")
    parser.add_argument("--out", type=Path, default=Path("disagreements"))
    given = parser.parse_args()
    end, seed, counts = time.monotonic() + 60.0 * given.minutes, given.seed, Counter[str]()
    stored = 0
    while time.monotonic() < end:
        rng = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory() as scratch:
            model, spec = Path(scratch) / "model.onnx", Path(scratch) / "spec.vnnlib"
            proto = random_model(rng)
            model.write_bytes(proto.SerializeToString())
            spec.write_text(random_spec(rng, proto))
            found = opinions(model, spec, Path(scratch) / "proof.cert")
            counts.update(f"{who} {what.split(':')[0]}" for who, what in found.items())
            if disagree(found):
                folder = given.out / f"seed_{seed}"
                shutil.copytree(scratch, folder, dirs_exist_ok=True)
                (folder / "opinions.json").write_text(json.dumps(found, indent=1) + "\n")
                stored += 1
                print(f"seed {seed}: {found}", flush=True)
        seed += 1
    print(f"{seed - given.seed} problems, {stored} disagreement(s)")
    for what, count in sorted(counts.items()):
        print(f"  {what}: {count}")
    return int(stored > 0)


if __name__ == "__main__":
    sys.exit(main())
