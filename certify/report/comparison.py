"""A comparison of models as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from certify.compare.candidate import Candidate, Transition
from certify.compare.comparison import Comparison
from certify.compare.transition import VERDICTS
from certify.report.table import Table

MOST_NAMED = 5


def tables(comparison: Comparison) -> list[Table]:
    """The models side by side, each transition with the specifications that it is about, and replayed
    counterexamples.
    """
    found = [_models(comparison)]
    for transition in comparison.transitions:
        found.append(_matrix(transition))
        rows = list(_changed(transition, comparison))
        if rows:
            found.append(
                Table(
                    f"What changed from {transition.before} to {transition.after}",
                    ("", "number", "specifications"),
                    rows,
                )
            )
    exchanged = [(e.origin, e.target, str(e.tried), str(e.held)) for e in comparison.exchanges if e.tried]
    if exchanged:
        found.append(
            Table("Counterexamples of one model replayed on another", ("of", "on", "replayed", "hold"), exchanged)
        )
    if comparison.savings:
        found.append(_savings(comparison))
    return found


def _savings(comparison: Comparison) -> Table:
    """What it took to prove with the plans of the first model."""
    rows = []
    for saving in comparison.savings:
        works = {comparison.models[0].name: saving.first, "anew": saving.alone, "from there": saving.after}
        for i, (how, work) in enumerate((how, work) for how, work in works.items() if work is not None):
            name, count = (saving.model, str(saving.followed)) if i == 0 else ("", "")
            rows.append((name, count, how, str(work.subproblems), f"{work.cpu:.2f}"))
    return Table(
        f"Proofs that begin where those of {comparison.models[0].name} ended",
        ("", "specifications", "", "subproblems", "CPU seconds"),
        rows,
    )


def _models(comparison: Comparison) -> Table:
    """One row per quantity, one column per model."""
    models = comparison.models
    rows = [(name, *cells) for name, cells in _quantities(models) if any(cells)]
    notes = [f"margins: {comparison.method}, no splits, median over the specifications"]
    if comparison.data is not None:
        notes.append(f"accuracy on {len(comparison.data)} samples of {comparison.data.name}, 95 % Clopper-Pearson")
    return Table(
        f"{len(comparison.specs)} specifications", ("", *(model.name for model in models)), rows, "; ".join(notes)
    )


def _quantities(models: Sequence[Candidate]) -> Iterator[tuple[str, list[str]]]:
    """Name and cells; a cell is empty where the quantity is not known."""
    for verdict in VERDICTS:
        yield (
            verdict,
            [str(model.counts[verdict]) if verdict != "error" or model.counts[verdict] else "" for model in models],
        )
    yield "certified", [_percent(model.certified) for model in models]
    yield "margin", ["" if not m.margins else f"{np.median(m.margins):.4g}" for m in models]
    yield "certified radius", ["" if m.radii is None else f"{np.median(m.radii):.4g}" for m in models]
    yield "unstable", ["" if m.unstable is None else _percent(m.unstable) for m in models]
    yield "parameters", [str(m.weights.parameters) for m in models]
    yield "nonzero weights", [f"{m.weights.nonzero} ({_percent(m.weights.density)})" for m in models]
    yield "verification time", [f"{m.seconds:.2f} s" for m in models]
    yield "accuracy", ["" if m.accuracy is None else _percent(m.accuracy.share) for m in models]
    yield (
        "  interval",
        ["" if m.accuracy is None else f"{_percent(m.accuracy.low)} - {_percent(m.accuracy.high)}" for m in models],
    )
    yield "tax, points", ["" if m.tax is None else f"{m.tax.points:.1f}" for m in models]
    yield "  p (McNemar)", ["", *("" if m.tax is None else f"{m.tax.p_value:.2g}" for m in models[1:])]
    yield "Pareto front", ["" if m.dominated is None else "dominated" if m.dominated else "yes" for m in models]


def _matrix(transition: Transition) -> Table:
    rows = [
        (verdict, *(str(count) if count else "-" for count in counts))
        for verdict, counts in zip(VERDICTS, transition.matrix, strict=True)
    ]
    note = "no proof is lost" if transition.monotone else ""
    return Table(f"{transition.before} (rows) to {transition.after} (columns)", ("", *VERDICTS), rows, note)


def _changed(transition: Transition, comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    named = {
        "proved -> refuted": transition.regressed,
        "proved -> undecided": transition.undecided,
        "lower margin": transition.weaker,
        "newly proved": transition.gained,
        "slower": transition.slower,
    }
    for what, numbers in named.items():
        names = [Path(comparison.specs[i][0]).name for i in numbers[:MOST_NAMED]]
        more = [f"and {len(numbers) - MOST_NAMED} more"] if len(numbers) > MOST_NAMED else []
        if numbers:
            yield what, str(len(numbers)), ", ".join([*names, *more])


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"
