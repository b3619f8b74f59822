#!/usr/bin/env python
"""Write a certificate of every verdict on a folder of VNN-COMP benchmarks, and let the checker recheck it.

    python vnncomp/certificates.py FOLDER --set acasxu,rl_benchmarks --timeout 60

One process per verification and one per check. Prints a line per instance and a table: how many verdicts were unsat,
how many certificates were written and accepted, how large they are, and what searching and checking took.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark import Instance, read_instances


@dataclass(frozen=True)
class Row:
    """What came of one instance. answer: the checker's word, "" where nothing was written; reason: why not."""

    benchmark: str
    onnx: str
    vnnlib: str
    verdict: str
    stage: str
    search_s: float
    write_s: float
    bytes: int
    answer: str
    check_s: float
    reason: str


def measure(folder: Path, instance: Instance, timeout: float | None, semantics: str) -> Row:
    """Search with a certificate, then check it."""
    base = folder / instance.benchmark
    model, spec = str(base / instance.onnx), str(base / instance.vnnlib)
    with tempfile.TemporaryDirectory() as scratch:
        report, proof = Path(scratch) / "report.json", Path(scratch) / "proof.cert"
        command = [sys.executable, "-m", "certify", "check", model, spec, "--timeout", str(timeout or instance.timeout)]
        command += ["--json", str(report), "--certificate", str(proof), "--semantics", semantics]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        search = time.perf_counter() - start
        data = json.loads(report.read_text()) if report.exists() else {}
        verdict = data.get("status", f"error {done.returncode}")
        size = proof.stat().st_size if proof.exists() else 0
        answer, check, reason = "", 0.0, " ".join(data.get("notes", [])) or done.stderr.strip()[-200:]
        if size:
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "certify.checker", model, spec, str(proof)], capture_output=True, text=True
            )
            check = time.perf_counter() - start
            answer, _, reason = (done.stdout.strip() or done.stderr.strip()[-300:]).partition("\n")
        writing = data.get("seconds", {}).get("certificate", 0.0)
    stage = str(data.get("statistics", {}).get("stage", ""))
    return Row(
        instance.benchmark, instance.onnx, instance.vnnlib, verdict, stage, search, writing, size, answer, check, reason
    )


def print_table(rows: list[Row]) -> None:
    """One line per benchmark and verdict."""
    groups = defaultdict(list)
    for row in rows:
        if row.verdict in ("sat", "unsat"):
            groups[row.benchmark, row.verdict].append(row)
    header = (
        "benchmark",
        "verdict",
        "n",
        "written",
        "accepted",
        "median kB",
        "most kB",
        "search s",
        "check s",
        "ratio",
        "write",
    )
    print("\n{:18}{:>8}{:>5}{:>9}{:>10}{:>11}{:>9}{:>10}{:>9}{:>7}{:>7}".format(*header))
    for (benchmark, verdict), group in groups.items():
        written = [r for r in group if r.bytes]
        accepted = sum(r.answer == "accepted" for r in group)
        if not written:
            print(f"{benchmark:18}{verdict:>8}{len(group):5d}{0:9d}{0:10d}")
            continue
        sizes = [r.bytes / 1000 for r in written]
        ratio = statistics.median(r.check_s / r.search_s for r in written)
        write = statistics.median(r.write_s / r.search_s for r in written)
        print(
            f"{benchmark:18}{verdict:>8}{len(group):5d}{len(written):9d}{accepted:10d}{statistics.median(sizes):11.1f}"
            f"{max(sizes):9.0f}{statistics.median(r.search_s for r in written):10.2f}"
            f"{statistics.median(r.check_s for r in written):9.2f}{ratio:7.2f}{write:7.2f}"
        )
    failed = [(r.benchmark, r.reason) for r in rows if r.verdict == "unsat" and r.answer != "accepted"]
    for (benchmark, reason), count in Counter(failed).items():
        print(f"{count} x {benchmark}: {reason}")


def main() -> int:
    """Measure, print, and exit 1 if a certificate was refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="", help="benchmarks, separated by commas (default: all in the folder)")
    parser.add_argument("--timeout", type=float, help="seconds per instance (default: the instance's own)")
    parser.add_argument("--only", default="", help="only instances whose row contains this")
    parser.add_argument("--semantics", default="real", choices=["real", "float32"])
    parser.add_argument("--out", type=Path, help="append rows as JSON lines to this file")
    given = parser.parse_args()
    rows = []
    for instance in read_instances(given.folder, [name for name in given.set.split(",") if name], given.only):
        row = measure(given.folder, instance, given.timeout, given.semantics)
        rows.append(row)
        if given.out:
            with given.out.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        print(
            f"{row.benchmark:16} {Path(row.onnx).name[:32]:32} {Path(row.vnnlib).name[:36]:36} {row.verdict:8}"
            f"{row.search_s:7.2f} s {row.bytes:9d} B {row.answer:9} {row.check_s:7.2f} s  "
            f"{row.stage} {row.reason[:90]}",
            flush=True,
        )
    print_table(rows)
    return int(any(row.answer not in ("", "accepted", "unsupported") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
