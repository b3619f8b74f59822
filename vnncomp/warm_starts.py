#!/usr/bin/env python
"""What it saves to begin a proof where that of an earlier model ended, on a folder of VNN-COMP benchmarks.

    python vnncomp/warm_starts.py FOLDER --set acasxu,mnist_fc --change prune:0.05 --change bits:8 --timeout 30

Every network is changed a little, in each of the ways given: the smallest weights of each matrix cut off, all weights
disturbed (noise:SHARE) or rounded (bits:N). For every property that holds of the network and of what came of it, prints
the subproblems and processor seconds of the second proof alone and with the splits and slopes of the first one, and a
table by benchmark and change. Attacks are off: they take the same time either way.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
from benchmark import chosen_instances
from onnx import numpy_helper

from certify import api
from certify.files import read_bytes
from certify.settings import Settings
from certify.verdict import Verdict


def changed(file: str, how: str, target: Path) -> Path:
    """The model with matrices and kernels changed: prune:SHARE, noise:SHARE or bits:N."""
    proto, rng = onnx.load_model_from_string(read_bytes(file)), np.random.default_rng(0)
    kind, _, level = how.partition(":")
    for tensor in proto.graph.initializer:
        weight = numpy_helper.to_array(tensor).copy()
        if weight.dtype != np.float32 or weight.ndim < 2 or not weight.any():
            continue
        if kind == "prune":
            weight[abs(weight) <= np.quantile(abs(weight), float(level))] = 0.0
        elif kind == "noise":
            weight *= (1.0 + float(level) * rng.standard_normal(weight.shape)).astype(np.float32)
        elif kind == "bits":
            step = abs(weight).max() / (2 ** (int(level) - 1) - 1)
            weight = (np.round(weight / step) * step).astype(np.float32)
        else:
            raise SystemExit(f"no such change: {how}")
        tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    onnx.save(proto, target)
    return target


def run(model: str | Path, spec: str, timeout: float, **settings: Path) -> tuple[Verdict, int, float]:
    """Verdict, subproblems and processor seconds."""
    began = time.process_time()
    verdict = api.check(model, spec, timeout=timeout, settings=Settings(attack=False, **settings))
    return verdict, int(verdict.statistics["subproblems"]), time.process_time() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="", help="benchmarks, comma separated (default: all)")
    parser.add_argument("--match", default="", help="only instances whose files contain this text")
    parser.add_argument("--change", action="append", help="prune:SHARE, noise:SHARE or bits:N; repeatable")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for each proof")
    parser.add_argument("--least", type=int, default=2, help="leave out properties proved with fewer subproblems")
    arguments = parser.parse_args()
    found: dict[tuple[str, str], list[tuple[int, int, float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        for instance in chosen_instances(
            arguments.folder, list(filter(None, arguments.set.split(","))), arguments.match
        ):
            if set(instance.networks) != {""}:
                continue
            model, plan = instance.networks[""], Path(scratch) / "plan.npz"
            first, before, _ = run(model, instance.spec, arguments.timeout, keep_plan=plan)
            if first.status.value != "unsat" or before < arguments.least:
                continue
            for how in arguments.change or ["prune:0.05"]:
                after = changed(model, how, Path(scratch) / "after.onnx")
                alone, cold, cold_s = run(after, instance.spec, arguments.timeout)
                again, warm, warm_s = run(after, instance.spec, arguments.timeout, follow=plan)
                name = f"{instance.category} {Path(model).name} {Path(instance.spec).name} {how}"
                words = (
                    f"{alone.status.value} {cold} {cold_s:.2f} s, following {again.status.value} {warm} {warm_s:.2f} s"
                )
                print(f"{name}: {before}; {words}", flush=True)
                if alone.status == again.status == first.status:
                    found[instance.category, how].append((cold, warm, cold_s, warm_s))
    print(
        "\n| benchmark | change | proofs | subproblems | CPU s | ratio of subproblems: mean (geometric), least, most |"
    )
    print("|---|---|---|---|---|---|")
    for (category, how), rows in found.items():
        cold, warm, cold_s, warm_s = map(sum, zip(*rows, strict=True))
        ratios = [row[1] / row[0] for row in rows]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(
            f"| {category} | {how} | {len(rows)} | {cold} -> {warm} | {cold_s:.1f} -> {warm_s:.1f} "
            f"| {mean:.2f}, {min(ratios):.2f}, {max(ratios):.2f} |"
        )


if __name__ == "__main__":
    main()
