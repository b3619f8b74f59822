"""Records of a campaign that was never run, as long and as mixed as real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from certify.batch.record import Record
from certify.query.robustness import robust_spec

IMAGE = (3, 32, 32)


def campaign(folder: Path, count: int = 600, run: int = 0) -> list[Record]:
    """So many instances on images: in turn proved, violated by an image, undecided after a long search, an error."""
    rng = np.random.default_rng(run)
    specs = []
    for number in range(10):
        path = folder / f"image_{number}.vnnlib"
        center = np.random.default_rng(number).random(IMAGE)
        text = robust_spec(center, 1 / 255, number, 10, clip=(0, 1), version="2.0", shape=(1, *IMAGE))
        path.write_text(text)
        specs.append((path, center.astype(np.float32).astype(np.float64)))
    records = []
    for number in range(count):
        path, center = specs[number % 10]
        spec = folder / f"resnet_medium_prop_idx_{number}_eps_0.0039.vnnlib"
        spec.symlink_to(path)
        records.append(_record(number, spec, center, rng))
    return records


def _record(number: int, spec: Path, center: np.ndarray, rng: np.random.Generator) -> Record:
    kind = ("unsat", "unsat", "sat", "timeout")[number % 4] if number % 50 else "error"
    trace = [[0.3 * k, -20.0 / (k + 1), 40 * k] for k in range(64)]
    witness = center + rng.choice([-1, 1], center.shape) / 255
    return Record(
        key=f"{number:064x}", category=("cifar100", "tinyimagenet")[number % 2],
        networks={"": "onnx/resnet_medium.onnx"},
        spec=str(spec), timeout=100.0, status=kind, bound=None if kind == "sat" else float(rng.normal()),
        reason={"timeout": "the time ended before a decision", "error": "killed by signal 9"}.get(kind, "as it is"),
        exit_code={"unsat": 0, "sat": 1, "timeout": 3}.get(kind, 4), wall=float(rng.exponential(20.0)), cpu=1.0,
        stages={"load": 0.4, "bounds": 2.5, "attack": 1.25, "search": 11.0},
        witness={"X": witness.ravel().tolist(), "Y": rng.random(10).tolist()} if kind == "sat" else None,
        statistics={"stage": "splits of hidden values", "subproblems": number * 100, "leaves": number, "open": 3},
        notes=["out of memory: batches halved to 64"] if number % 7 == 0 else [],
        advice="give more time (--timeout), a smaller input region, or a smaller network" if kind == "timeout" else "",
        peak_mib=640.0, version="0.1.0", host="vm", started="2026-11-22T23:15:13+00:00", trace=trace,
    )  # fmt: skip
