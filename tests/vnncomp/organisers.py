"""What the organisers of VNN-COMP do with a tool's scripts, and with what comes of them, written anew for the tests.

After run_all_categories.sh and run_single_instance.sh of the benchmark repository of 2026, and the reading parts of the
scoring scripts.
"""

from __future__ import annotations

import ast
import csv
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

# Written out as the scoring scripts have them, apart from the product's own table.
SUBSTITUTIONS = [
    ("unsat", "holds"), ("sat", "violated"), ("no_result_in_file", "unknown"), ("prepare_instance_error_", "unknown"),
    ("run_instance_timeout", "timeout"), ("prepare_instance_timeout", "timeout"), ("error_exit_code_", "error"),
    ("error_nonmaximal", "unknown"),
]  # fmt: skip


@dataclass
class Harness:
    """Runs a tool's scripts in the folder of the benchmarks. grace: seconds after the time before it is killed."""

    tool: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    grace: float = 60.0

    def run_category(self, category: str, version: str = "2.0") -> Path:
        """All instances of a category, then test_nano with a plain path under the same category."""
        out = self.folder / "out.csv"
        base = f"./benchmarks/{category}/{version}"
        witnesses = self.folder / "counterexamples" / category
        witnesses.mkdir(parents=True, exist_ok=True)
        with (self.folder / base / "instances.csv").open(newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(cell.strip() for cell in row)]
        for onnx, vnnlib, seconds in rows:
            networks, stem = self._prefixed(base, onnx)
            witness = witnesses / f"{stem}_{Path(vnnlib).stem}.counterexample"
            self.run_instance(category, networks, self._path(base, vnnlib), seconds, out, witness)
        nano = f"./benchmarks/test/{version}"
        self.run_instance(category, f"{nano}/onnx/test_nano.onnx", f"{nano}/vnnlib/test_nano.vnnlib", "120", out, None)
        return out

    def _prefixed(self, base: str, onnx: str) -> tuple[str, str]:
        if not onnx.startswith("["):
            return self._path(base, onnx), Path(onnx).stem
        pairs = ast.literal_eval(onnx)
        return repr([(name, self._path(base, path)) for name, path in pairs]), "_".join(name for name, _ in pairs)

    def _path(self, base: str, path: str) -> str:
        return f"./{os.path.normpath(Path(base) / path)}"

    def run_instance(
        self, category: str, onnx: str, vnnlib: str, seconds: str, out: Path, witness: Path | None
    ) -> str:  # fmt: skip
        """One instance: prepare, run, read the result file; one row more in the csv."""
        code, prepared = self._script("prepare_instance.sh", ["v1", category, onnx, vnnlib], 600.0)
        seconds_run, result = -1.0, f"prepare_instance_error_{code}"
        if code == 0:
            text = self.folder / "out.txt"
            text.write_text("no_result_in_file\n")
            arguments = ["v1", category, onnx, vnnlib, "out.txt", seconds]
            code, seconds_run = self._script("run_instance.sh", arguments, float(seconds) + self.grace)
            first, _, rest = text.read_text().replace("sat (", "sat\n(", 1).partition("\n")
            result = "".join(first.split()) or "no_result_in_file"
            result = "run_instance_timeout" if code == 124 else f"error_exit_code_{code}" if code else result
            if result == "sat" and witness is not None:
                witness.write_text(rest)
        with out.open("a", newline="") as file:
            row = [category, onnx, vnnlib, f"{prepared:.9f}", result, f"{seconds_run:.9f}"]
            csv.writer(file, lineterminator="\n").writerow(row)
        return result

    def _script(self, name: str, arguments: list[str], limit: float) -> tuple[int, float]:
        """(exit code, seconds) as under `timeout`: 124 if it had to be ended."""
        start = time.monotonic()
        process = subprocess.Popen(
            [str(self.tool / name), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **self.environment},
        )  # fmt: skip
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            code = 124
        return code, time.monotonic() - start


def load(path: Path) -> dict[str, list[tuple[str, str, str, float]]]:
    """Rows by category: (networks, property, holds | violated | timeout | error | unknown, seconds). Strict."""
    found: dict[str, list[tuple[str, str, str, float]]] = {}
    with path.open(newline="") as file:
        for category, network, prop, prepare, result, seconds in csv.reader(file):
            result = result.lower()
            for beginning, word in SUBSTITUTIONS:
                if result == "":
                    result = "unknown"
                elif result.startswith(beginning):
                    result = word
            assert result in ("holds", "violated", "timeout", "error", "unknown"), result
            assert float(prepare) >= 0.0
            if not ("test_nano" in network or "test_tiny" in network):
                found.setdefault(category, []).append((network, prop, result, float(seconds)))
    return found


def read_counterexample(text: str) -> tuple[list[float], list[float]]:
    """X and Y of a counterexample of version 1.0, with every assertion that the organisers' reader makes."""
    content = text.replace("\n", " ").strip()
    assert content[0] == "(" and content[-1] == ")"
    values: dict[str, list[float]] = {"X_": [], "Y_": []}
    for part in content[1:-1].split(")"):
        part = part.strip()
        if not part:
            continue
        while "  " in part:
            part = part.replace("  ", " ")
        assert part[0] == "("
        name, number = part[1:].split(" ")
        assert int(name[2:]) == len(values[name[:2]])
        values[name[:2]].append(float(number))
    return values["X_"], values["Y_"]
