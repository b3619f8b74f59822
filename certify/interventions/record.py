"""What was done, as JSON beside the model that came out: enough to do it again and to trust or doubt it."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from certify import __version__
from certify.accuracy import accuracy, tax
from certify.dataset import Dataset
from certify.interventions.base import Intervention, Run

FORMAT = "certify intervention 1"
LIBRARIES = ("numpy", "onnx", "onnxruntime", "torch")


def record_of(name: str, method: Intervention, run: Run) -> dict[str, Any]:
    """The part that is about the intervention itself."""
    return {
        "format": FORMAT,
        "method": name,
        "settings": asdict(method),  # type: ignore[call-overload]
        "training": asdict(run.training),
        "facts": run.facts,
        "epochs": run.epochs,
        "versions": {"certify": __version__, "python": platform.python_version()}
        | {library: version(library) for library in LIBRARIES},
    }


def file_entry(path: str | Path, sha256: str = "") -> dict[str, str]:
    """A file by name and digest."""
    return {"file": str(path), "sha256": sha256 or hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def data_entry(data: Dataset, part: str = "all") -> dict[str, Any]:
    """A data set by name and digest. part: which of its samples were used."""
    return {"data": data.name, "sha256": data.sha256, "part": part, "samples": len(data)}


def accuracy_entry(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """What two models get right of the same samples, [samples] of bool each: shares with intervals, and the tax."""
    paid = tax(before, after)
    sides = {
        side: {"right": found.correct, "accuracy": found.share, "range": [found.low, found.high]}
        for side, found in (("before", accuracy(before)), ("after", accuracy(after)))
    }
    return {
        "samples": len(before), **sides, "lost": paid.lost, "won": paid.gained, "points": paid.points,
        "points_range": [paid.low, paid.high], "mcnemar_p": paid.p_value,
    }  # fmt: skip
