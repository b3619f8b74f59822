"""A verdict as JSON values: what `certify check --json` writes and batch runs keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from certify import __version__
from certify.problem import Problem
from certify.verdict import Verdict


def as_dict(
    verdict: Verdict, model: Path | Mapping[str, Path], spec: Path, problem: Problem | None = None
) -> dict[str, Any]:
    """Everything about the verdict as JSON values. problem: None where the files could not be read in time."""
    witness = verdict.witness
    query = None if problem is None else problem.query
    return {
        "certify": __version__,
        "verdict": verdict.status.word,
        "status": verdict.status.value,
        "exit_code": verdict.status.exit_code,
        "model": str(model) if isinstance(model, Path) else {name: str(file) for name, file in model.items()},
        "model_sha256": None if problem is None else _digests(problem),
        "spec": str(spec),
        "spec_sha256": None if query is None else query.sha256,
        "reason": verdict.reason,
        "bound": verdict.bound,
        "witness": None if witness is None else {name: values.tolist() for name, values in witness.values().items()},
        "seconds": verdict.seconds,
        "statistics": verdict.statistics,
        "notes": list(verdict.notes),
        "warnings": [] if query is None else [warning.as_dict() for warning in query.warnings],
        "advice": verdict.advice,
        "trace": verdict.trace,
    }


def _digests(problem: Problem) -> str | dict[str, str]:
    """The sha256 of the model, or of each network's."""
    digests = {name: model.sha256 for name, model in problem.models.items()}
    return next(iter(digests.values())) if len(digests) == 1 else digests
