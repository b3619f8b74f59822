#!/usr/bin/env python
"""Run instances of a folder of VNN-COMP benchmarks, one process each, and print what came of it beside known results.

    python vnncomp/benchmark.py FOLDER --set acasxu,rl_benchmarks --timeout 60

FOLDER holds one sub-folder per benchmark with instances.csv (model, spec, seconds), and optionally truth.csv (the
consensus of a competition) and peers.csv (other tools on a machine like this one). Nothing here is part of the tests:
it measures.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

DECIDED = ("sat", "unsat")
SURE = ("certain", "high")


@dataclass(frozen=True)
class Instance:
    """One row of an instances.csv; paths relative to the benchmark's folder."""

    benchmark: str
    onnx: str
    vnnlib: str
    timeout: float

    @property
    def key(self) -> tuple[str, str, str]:
        """How truth.csv and peers.csv name it."""
        return self.benchmark, Path(self.onnx).name, Path(self.vnnlib).name


@dataclass(frozen=True)
class Result:
    """What one process said. verdict: its word, or "error N" for exit code N."""

    benchmark: str
    onnx: str
    vnnlib: str
    verdict: str
    seconds: float
    cpu_seconds: float
    memory_mib: float
    detail: str
    truth: str = ""
    confidence: str = ""

    @property
    def contradicted(self) -> bool:
        """Whether the published verdict is the opposite."""
        return {self.verdict, self.truth} == set(DECIDED)


def read_instances(folder: Path, names: list[str], pattern: str) -> Iterator[Instance]:
    """The instances of the benchmarks named (all, if none is), whose row contains the pattern."""
    for benchmark in names or sorted(p.parent.name for p in folder.glob("*/instances.csv")):
        with (folder / benchmark / "instances.csv").open(newline="") as file:
            for row in csv.reader(file):
                if row and pattern in ",".join(row):
                    yield Instance(benchmark, row[0].strip(), row[1].strip(), float(row[2]))


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a csv file with a header; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(folder: Path, instance: Instance, timeout: float | None, options: list[str]) -> Result:
    """One instance in a process of its own; killed 60 s after its time, as the organisers do."""
    limit = timeout or instance.timeout
    base = folder / instance.benchmark
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "certify", "check", str(base / instance.onnx), str(base / instance.vnnlib)]
        command += ["--timeout", str(limit), "--json", str(report), *options]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, error, usage = _wait(process, limit + 60.0)
        seconds = time.perf_counter() - start
        data = json.loads(report.read_text()) if report.exists() else {}
    words = out.split()
    verdict = words[0] if words and process.returncode in (0, 1, 3) else f"error {process.returncode}"
    if verdict in DECIDED and seconds > limit + 1.0:
        verdict = "timeout"
    detail = error.strip()[:200] or ", ".join(f"{k} {v}" for k, v in data.get("statistics", {}).items() if v)
    cpu = usage.ru_utime + usage.ru_stime
    return Result(
        *instance.key[:1], instance.onnx, instance.vnnlib, verdict, seconds, cpu, usage.ru_maxrss / 1024, detail
    )


def _wait(process: subprocess.Popen[str], limit: float):  # type: ignore[no-untyped-def]
    """(stdout, stderr, resource usage) of the finished or killed process. Its output is small enough for the pipes."""
    deadline = time.monotonic() + limit
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.005)
    assert process.stdout is not None and process.stderr is not None
    return process.stdout.read(), process.stderr.read(), usage


def print_table(results: list[Result]) -> None:
    """One line per benchmark: solved, contradicted, undecided, errors, seconds, memory."""
    header = ("benchmark", "n", "solved", "sat", "unsat", "contra", "undecided", "errors", "median s", "total s", "MiB")
    print("\n" + "{:22}{:>6}{:>8}{:>6}{:>7}{:>8}{:>11}{:>8}{:>10}{:>10}{:>8}".format(*header))
    groups = defaultdict(list)
    for result in results:
        groups[result.benchmark].append(result)
    if len(groups) > 1:
        groups["all"] = results
    for name, rows in groups.items():
        verdicts = [r.verdict for r in rows]
        solved = [v for v in verdicts if v in DECIDED]
        errors = sum(v.startswith("error") for v in verdicts)
        sure = sum(r.contradicted and r.confidence in SURE for r in rows)
        other = sum(r.contradicted and r.confidence not in SURE for r in rows)
        print(
            f"{name:22}{len(rows):6d}{len(solved):8d}{verdicts.count('sat'):6d}{verdicts.count('unsat'):7d}"
            f"{f'{sure}+{other}?' if other else str(sure):>8}{len(rows) - len(solved) - errors:11d}{errors:8d}"
            f"{statistics.median(r.seconds for r in rows):10.3f}{sum(r.seconds for r in rows):10.1f}"
            f"{max(r.memory_mib for r in rows):8.0f}"
        )


def print_peers(results: list[Result], peers: list[dict[str, str]], truth: dict[tuple[str, str, str], dict[str, str]]):
    """Against each tool of peers.csv, and the competition's own figures, on the instances both ran."""
    ours = {(r.benchmark, Path(r.onnx).name, Path(r.vnnlib).name): r for r in results}
    tools: dict[str, list[tuple[Result, str, float]]] = defaultdict(list)
    for row in peers:
        key = row["benchmark"], row["onnx"], row["vnnlib"]
        if key in ours:
            tools[f"{row['tool']} (2 cores)"].append((ours[key], row["verdict"], float(row["wall_s"])))
    for key, result in ours.items():
        row = truth.get(key, {})
        if row.get("abcrown_gpu_s"):
            tools["abcrown (GPU)"].append((result, row["verdict"], float(row["abcrown_gpu_s"])))
    if tools:
        print(
            f"\n{'peer':22}{'both ran':>9}{'we solve':>10}{'it solves':>10}{'both':>6}{'speed-up (geometric mean)':>27}"
        )
    for tool, rows in sorted(tools.items()):
        both = [(r, s) for r, v, s in rows if r.verdict in DECIDED and v in DECIDED]
        ratio = math.exp(statistics.fmean(math.log(s / r.seconds) for r, s in both)) if both else float("nan")
        we, it = sum(r.verdict in DECIDED for r, _, _ in rows), sum(v in DECIDED for _, v, _ in rows)
        print(f"{tool:22}{len(rows):9d}{we:10d}{it:10d}{len(both):6d}{ratio:27.2f}")


def main() -> int:
    """Run, print, and exit 1 if a sure verdict was contradicted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="", help="benchmarks, separated by commas (default: all in the folder)")
    parser.add_argument("--timeout", type=float, help="seconds per instance (default: the instance's own)")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--only", default="", help="only instances whose row contains this")
    parser.add_argument("--out", type=Path, help="append results as JSON lines to this file")
    parser.add_argument("--quiet", action="store_true", help="no line per instance")
    parser.add_argument("options", nargs="*", help="further options of certify check, after --")
    arguments = parser.parse_args()
    names = [name for name in arguments.set.split(",") if name]
    instances = list(read_instances(arguments.folder, names, arguments.only))
    truth = {
        (row["benchmark"], Path(row["onnx"]).name, Path(row["vnnlib"]).name): row
        for row in read_table(arguments.folder / "truth.csv")
    }
    results = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = partial(run, arguments.folder, timeout=arguments.timeout, options=arguments.options)
        for instance, result in zip(instances, pool.map(jobs, instances), strict=True):
            known = truth.get(instance.key, {})
            result = Result(**{**asdict(result), "truth": known.get("verdict", ""),
                               "confidence": known.get("confidence", "")})  # fmt: skip
            results.append(result)
            if arguments.out:
                with arguments.out.open("a") as file:
                    file.write(json.dumps(asdict(result)) + "\n")
            if not arguments.quiet:
                mark = " CONTRADICTED" if result.contradicted else ""
                print(
                    f"{result.benchmark:18} {Path(result.onnx).name[:34]:34} {Path(result.vnnlib).name[:40]:40} "
                    f"{result.verdict:8} {result.seconds:7.2f} s  {result.detail}{mark}",
                    flush=True,
                )
    if results:
        print_table(results)
        print_peers(results, read_table(arguments.folder / "peers.csv"), truth)
    return int(any(r.contradicted and r.confidence in SURE for r in results))


if __name__ == "__main__":
    sys.exit(main())
