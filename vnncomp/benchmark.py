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
import statistics
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from certify.batch.cold import ColdLane
from certify.batch.instances import LIST, Instance, networks_field, read_instances
from certify.batch.record import DECIDED, Record
from certify.batch.runner import run
from certify.batch.task import Options, make_tasks

SURE = ("certain", "high")


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


def chosen_instances(folder: Path, names: list[str], pattern: str) -> list[Instance]:
    """The instances of the benchmarks named (all, if none is), whose row contains the pattern."""
    lists = [folder / name / LIST for name in names] or sorted(folder.glob(f"*/{LIST}"))
    return [i for i in read_instances(lists) if pattern in f"{networks_field(i.networks)},{i.spec}"]


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a csv file with a header; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def result_of(record: Record) -> Result:
    """The record in this table's terms; a verdict later than its time is none."""
    verdict = f"error {record.exit_code}" if record.status == "error" else record.status
    if record.decided and record.wall > record.timeout + 1.0:
        verdict = "timeout"
    found = ", ".join(f"{k} {v}" for k, v in record.statistics.items() if v)
    detail = record.reason[:200] if record.status == "error" else found
    names = (Path(networks_field(record.networks)).name, Path(record.spec).name)
    return Result(record.category, *names, verdict, record.wall, record.cpu, record.peak_mib, detail)


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
    ours = {(r.benchmark, r.onnx, r.vnnlib): r for r in results}
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
    arguments = parser.parse_intermixed_args()
    names = [name for name in arguments.set.split(",") if name]
    instances = chosen_instances(arguments.folder, names, arguments.only)
    tasks = make_tasks(instances, Options(arguments.timeout, extra=tuple(arguments.options)))
    truth = {
        (row["benchmark"], Path(row["onnx"]).name, Path(row["vnnlib"]).name): row
        for row in read_table(arguments.folder / "truth.csv")
    }
    results = []
    for record in run(tasks, [ColdLane() for _ in range(arguments.jobs)]):
        result = result_of(record)
        known = truth.get((result.benchmark, result.onnx, result.vnnlib), {})
        result = replace(result, truth=known.get("verdict", ""), confidence=known.get("confidence", ""))
        results.append(result)
        if arguments.out:
            with arguments.out.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
        if not arguments.quiet:
            mark = " CONTRADICTED" if result.contradicted else ""
            print(
                f"{result.benchmark:18} {result.onnx[:34]:34} {result.vnnlib[:40]:40} "
                f"{result.verdict:8} {result.seconds:7.2f} s  {result.detail}{mark}",
                flush=True,
            )
    if results:
        print_table(results)
        print_peers(results, read_table(arguments.folder / "peers.csv"), truth)
    return int(any(r.contradicted and r.confidence in SURE for r in results))


if __name__ == "__main__":
    sys.exit(main())
