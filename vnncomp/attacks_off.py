"""The soundness gate: with every attack switched off, no instance that is known to be violated may come out proved.

    python vnncomp/attacks_off.py FOLDER [--seconds 4] [--set acasxu,mnist_fc] [--processes 2]

FOLDER holds one folder per benchmark and truth.csv (columns benchmark, onnx, vnnlib, verdict). Prints a table, and ends
with exit code 1 if a violated instance was "proved".
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

from certify.api import load_problem
from certify.backends.native import NativeProver, choose_library
from certify.errors import CertifyError
from certify.search.branch_and_bound import Progress
from certify.settings import Budget


def outcome(model: Path, spec: Path, seconds: float, processes: int) -> str:
    """What the search alone says: closed (wrong, here), open, or unreadable."""
    try:
        problem = load_problem(model, spec)
    except CertifyError:
        return "unreadable"
    budget = Budget.starting_now(seconds)
    prover = NativeProver(problem, choose_library(problem.network, "cpu"), budget, Progress())
    prover.processes = processes
    prover.screen()
    return "CLOSED" if prover.search(lambda points: None).outcome.closed else "open"


def main() -> int:
    """Run over the violated instances."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="per instance")
    parser.add_argument("--processes", type=int, default=1, help="2: splits of rectifiers are shared by two")
    parser.add_argument("--set", default="", help="benchmarks, separated by commas (default: all)")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.set.split(",")))
    counts: Counter[tuple[str, str]] = Counter()
    with (arguments.folder / "truth.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["verdict"] == "sat"]
    for row in rows:
        name = row["benchmark"]
        if wanted and name not in wanted:
            continue
        folder = arguments.folder / name
        model, spec = folder / row["onnx"], folder / row["vnnlib"]
        found = outcome(model, spec, arguments.seconds, arguments.processes)
        counts[name, found] += 1
        if found == "CLOSED":
            print(f"WRONG: {name} {row['onnx']} {row['vnnlib']} is violated, but was proved", flush=True)
    print(f"{'benchmark':20s} {'open':>6s} {'CLOSED':>6s} {'unreadable':>10s}")
    for name in sorted({benchmark for benchmark, _ in counts}):
        print(f"{name:20s} {counts[name, 'open']:6d} {counts[name, 'CLOSED']:6d} {counts[name, 'unreadable']:10d}")
    return int(any(found == "CLOSED" for _, found in counts))


if __name__ == "__main__":
    sys.exit(main())
