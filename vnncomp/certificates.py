#!/usr/bin/env python
"""Write a certificate of every verdict on a folder of VNN-COMP benchmarks, and let the checker recheck it.

    python vnncomp/certificates.py FOLDER --set acasxu,rl_benchmarks --timeout 60
    python vnncomp/certificates.py FOLDER --set acasxu --truth unsat --without -- --processes 1

One process per verification and one per check. Prints a line per instance and a table: how many verdicts were unsat,
how many certificates were written and accepted, how large they are, and what searching and checking took. With
`--without` every search is run once more without a certificate, for what writing one costs, in seconds of the
processor: an hour of the clock may be somebody else's. For proofs of float32 the search rechecks them itself, and the
seconds of that count as its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark import chosen_instances, read_table

from certify.batch.instances import Instance, networks_field

# Searches of which the slowdown is told: in shorter ones the start of Python is most of it. Seconds of the processor.
LEAST_CPU = 0.5


@dataclass(frozen=True)
class Row:
    """What came of one instance. answer: the checker's word, "" where nothing was written; reason: why not.

    Seconds of the clock (_s) and of the processor (_cpu); without_cpu: of a search without a certificate, if there was
    one that came to the same verdict.
    """

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
    search_cpu: float = 0.0
    check_cpu: float = 0.0
    without_cpu: float = 0.0


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code, what it said, its seconds of the clock and of the processor."""

    code: int
    output: str
    error: str
    wall: float
    cpu: float


def run(*arguments: str) -> Ended:
    """Run a module of certify."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as error:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=output, stderr=error)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        error.seek(0)
        said = output.read().strip(), error.read().strip()
        return Ended(process.returncode, *said, wall, usage.ru_utime + usage.ru_stime)


def measure(instance: Instance, seconds: float, given: argparse.Namespace) -> Row:
    """Search with a certificate, check it, and if so asked search without one."""
    model, spec = networks_field(instance.networks), instance.spec
    with tempfile.TemporaryDirectory() as scratch:
        report, proof = Path(scratch) / "report.json", Path(scratch) / "proof.cert"
        command = ["certify", "check", model, spec, "--timeout", str(seconds), "--json", str(report), *given.options]
        command += ["--semantics", given.semantics]
        search = run(*command, "--certificate", str(proof))
        data = json.loads(report.read_text()) if report.exists() else {}
        verdict = data.get("status", f"error {search.code}")
        size = proof.stat().st_size if proof.exists() else 0
        answer, reason = "", " ".join([data.get("reason", ""), *data.get("notes", [])]) or search.error[-200:]
        check, without = None, None
        if size:
            check = run("certify.checker", model, spec, str(proof))
            answer, _, reason = (check.output or check.error[-300:]).partition("\n")
        if given.without and verdict == "unsat":
            again = run(*command)
            without = again if json.loads(report.read_text()).get("status") == verdict else None
    stage = str(data.get("statistics", {}).get("stage", ""))
    return Row(
        instance.category,
        model,
        spec,
        verdict,
        stage,
        search.wall,
        data.get("seconds", {}).get("certificate", 0.0),
        size,
        answer,
        check.wall if check else 0.0,
        reason,
        search.cpu,
        check.cpu if check else 0.0,
        without.cpu if without else 0.0,
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


def print_slowdown(rows: list[Row]) -> None:
    """What writing costs the search, by benchmark, where that can be told from noise."""
    groups = defaultdict(list)
    for row in rows:
        if row.without_cpu > LEAST_CPU:
            groups[row.benchmark].append(row)
    for benchmark, group in groups.items():
        ratios = sorted(r.search_cpu / r.without_cpu for r in group)
        whole = sum(r.search_cpu for r in group) / sum(r.without_cpu for r in group)
        print(
            f"{benchmark}: processor time with a certificate / without, {len(group)} searches over {LEAST_CPU} s: "
            f"median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}, of the sums {whole:.2f}"
        )


def main() -> int:
    """Measure, print, and exit 1 if a certificate was refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="", help="benchmarks, separated by commas (default: all in the folder)")
    parser.add_argument("--timeout", type=float, help="seconds per instance (default: the instance's own)")
    parser.add_argument("--at-most", type=float, default=1e9, help="seconds that no instance gets more than")
    parser.add_argument("--only", default="", help="only instances whose row contains this")
    parser.add_argument("--truth", default="", help="only instances with this verdict in the folder's truth.csv")
    parser.add_argument("--without", action="store_true", help="search once more without a certificate")
    parser.add_argument("--semantics", default="real", choices=["real", "float32"])
    parser.add_argument("--out", type=Path, help="append rows as JSON lines to this file")
    parser.add_argument("options", nargs="*", help="further options of certify check, after --")
    given = parser.parse_intermixed_args()
    known = {
        (row["benchmark"], Path(row["onnx"]).name, Path(row["vnnlib"]).name): row["verdict"]
        for row in read_table(given.folder / "truth.csv")
    }
    rows = []
    for instance in chosen_instances(given.folder, [name for name in given.set.split(",") if name], given.only):
        key = instance.category, Path(networks_field(instance.networks)).name, Path(instance.spec).name
        if given.truth and known.get(key) != given.truth:
            continue
        row = measure(instance, min(given.timeout or instance.timeout or 60.0, given.at_most), given)
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
    print_slowdown(rows)
    return int(any(row.answer not in ("", "accepted", "unsupported") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
