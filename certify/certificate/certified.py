"""A verdict with its certificate: written down, and rechecked where that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from certify.certificate.write import write_certificate
from certify.errors import CertificateError
from certify.problem import Problem
from certify.settings import Budget, Settings
from certify.verdict import Status, Verdict

ABOUT = {
    "real": "exact arithmetic on the model's weights",
    "float32": "float32 in any order of summation, with or without fused multiply-add; not for TF32, float16, Winograd "
    "or FFT convolutions, or weights that are folded or quantised",
}
# Nothing here imports it: it is run in a process of its own.
CHECKER = ".".join(("certify", "checker"))
ANSWERS = {0: "accepted", 1: "rejected", 2: "malformed", 3: "unsupported", 4: "bounded"}


def certified(verdict: Verdict, problem: Problem, settings: Settings, budget: Budget) -> Verdict:
    """The verdict, its certificate written if that was asked for.

    Where the checker has the last word and does not accept, unsat becomes unknown. Without it a certificate that cannot
    be written leaves the verdict as it is, with a note. A witness was replayed by onnxruntime in float32 already; what
    the checker says of it, in exact arithmetic, is a note.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = settings.certificate or Path(folder) / "proof.cert"
        # A witness is what onnxruntime computes, in float32.
        semantics = "float32" if verdict.status is Status.SAT else settings.semantics
        try:
            began = time.perf_counter()
            write_certificate(path, problem, verdict, semantics)
            seconds = time.perf_counter() - began
        except CertificateError as error:
            return _doubted(verdict, str(error)) if settings.checked else _noted(verdict, str(error))
        size = path.stat().st_size
        verdict = _noted(verdict, f"certificate: {size} bytes, written in {seconds:.3f} s")
        if verdict.status is Status.SAT:
            return (
                _noted(verdict, _exactly(problem, verdict, Path(folder) / "exact.cert", budget))
                if settings.checked
                else verdict
            )
        if not settings.checked:
            return verdict
        word, reason, seconds = recheck(problem, path, budget.remaining())
    if word == "accepted":
        about = ABOUT[settings.semantics]
        return _noted(verdict, f"the checker accepted the proof in {seconds:.3f} s; it holds for {about}")
    return _doubted(verdict, f"the checker did not accept the proof ({word}: {reason})")


def recheck(problem: Problem, certificate: Path, seconds: float) -> tuple[str, str, float]:
    """What the checker, in a process of its own, says of a certificate: (word, reason, seconds it took)."""
    assert problem.query is not None
    model = next(iter(problem.models.values())).path
    command = [sys.executable, "-m", CHECKER, str(model), problem.query.file, str(certificate)]
    began = time.perf_counter()
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=max(0.1, seconds), env=os.environ | {"PYTHONPATH": paths}
        )
    except subprocess.TimeoutExpired:
        return "timeout", "the time ended before it was checked", time.perf_counter() - began
    word, _, reason = done.stdout.partition("\n")
    if ANSWERS.get(done.returncode) != word:
        return "failed", done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer", 0.0
    return word, reason.strip(), time.perf_counter() - began


def _exactly(problem: Problem, verdict: Verdict, path: Path, budget: Budget) -> str:
    """What the checker says of a witness in exact arithmetic."""
    write_certificate(path, problem, verdict, "real")
    word, _, _ = recheck(problem, path, budget.remaining())
    if word == "accepted":
        return "the witness breaks the property in exact arithmetic too"
    if word == "rejected":
        return "the witness breaks the property in float32 only, not in exact arithmetic"
    return f"whether the witness breaks the property in exact arithmetic too was not found out ({word})"


def _noted(verdict: Verdict, note: str) -> Verdict:
    return replace(verdict, notes=(*verdict.notes, note))


def _doubted(verdict: Verdict, reason: str) -> Verdict:
    """Without an accepted certificate the answer stays open."""
    if verdict.status is Status.SAT:
        return _noted(verdict, reason)
    advice = "leave out --recheck, or raise --timeout"
    return replace(verdict, status=Status.UNKNOWN, reason=reason, proof=None, bound=None, advice=advice)
