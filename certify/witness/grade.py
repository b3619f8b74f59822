"""How the organisers of VNN-COMP grade a counterexample, year by year, tolerances and all.

For scoring what tools said in a competition, and for nothing else: no verdict of ours rests on this (see replay.py).
Sources: counterexamples.py in the result repositories of 2022 to 2026, and the notes on the rules of 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from certify.errors import InputError
from certify.problem import files_by_network
from certify.query.read import read_query
from certify.query.syntax import Assertion, Connective, Constant, Query, Term, Variable
from certify.witness.read_assignment import read_values
from certify.witness.runtime import Runtime, Runtimes
from certify.witness.satisfies import Values, exact

CORRECT = "correct"
TOLERATED = "correct_up_to_tolerance"
NO_CE = "no_ce"
MISMATCH = "exec_doesnt_match"
NOT_VIOLATED = "spec_not_violated"
WRONG_SHAPE = "wrong_shape"
MALFORMED = "malformed_ce"
UNSUPPORTED = "unsupported"

SLACK = 1e-4
# How far the outputs in the file may be from those of onnxruntime, in the maximum norm; relative to them from 2023 on.
OUTPUTS = {2022: 1e-4, 2023: 1e-3, 2024: 1e-3, 2025: 1e-3}


@dataclass(frozen=True)
class Slack:
    """By how much a comparison may fail: one of inputs alone, and any other. inputs_as: type of the inputs, or None
    where bounds on them are taken as they are written.
    """

    inputs: float = 0.0
    others: float = 0.0
    inputs_as: type | None = None


def grade(models: str | Path | Mapping[str, str | Path], spec: str | Path, witness: Path | None, year: int) -> str:
    """The organisers' word for the counterexample in a file; year: from 2022 on, before that nobody looked.

    Raises InputError where models or specification cannot be used.
    """
    query = read_query(spec)
    if witness is None or not witness.exists() or witness.stat().st_size < 2:
        return NO_CE
    if (year >= 2026 and any(n.hidden for n in query.networks)) or any(t.initialized for t in query.inputs):
        return UNSUPPORTED
    files = files_by_network(models, query)
    run = Runtimes([Runtime(files[n.name], tuple(t.value for t in n.hidden)) for n in query.networks])
    try:
        given = read_values(witness, query)
    except InputError:
        return WRONG_SHAPE if query.version == "1.0" else MALFORMED
    if any(len(given.get(tensor.name, ())) != tensor.size for tensor in query.inputs):
        return WRONG_SHAPE if query.version == "1.0" else MALFORMED
    return _by_replay(query, run, given) if year >= 2026 else _by_file(query, run, given, year)


def _by_replay(query: Query, run: Runtimes, given: dict[str, list[float]]) -> str:
    """From 2026 on: outputs are those of onnxruntime; only comparisons of inputs alone have slack."""
    if query.version != "1.0" and any(len(given.get(t.name, ())) != t.size for t in query.computed):
        return MALFORMED
    types = {i.type for part in run.parts for i in part.inputs}
    kind = np.float64 if types == {"tensor(double)"} else np.float32
    values = {t.name: np.array(given[t.name]).astype(kind).astype(np.float64) for t in query.inputs}
    values |= _outputs(query, run, values)
    if satisfies_within(query, values, Slack(inputs_as=kind)):
        return CORRECT
    return TOLERATED if satisfies_within(query, values, Slack(SLACK, inputs_as=kind)) else NOT_VIOLATED


def _by_file(query: Query, run: Runtimes, given: dict[str, list[float]], year: int) -> str:
    """Until 2025: outputs are those in the file, which must be near those of onnxruntime; everything has slack."""
    values = {tensor.name: np.array(given[tensor.name]) for tensor in query.inputs}
    computed = _outputs(query, run, values)
    if any(len(given.get(tensor.name, ())) != tensor.size for tensor in query.computed):
        return MISMATCH
    values |= {tensor.name: np.array(given[tensor.name]) for tensor in query.computed}
    away = max(float(np.abs(computed[name] - values[name]).max()) for name in computed)
    if year >= 2023:
        size = max(float(np.abs(values[name]).max()) for name in computed)
        away = 0.0 if size < 1e-6 else away / size
    if not away <= OUTPUTS[year]:
        return MISMATCH
    if not satisfies_within(query, values, Slack(SLACK, SLACK)):
        return NOT_VIOLATED
    return CORRECT if year < 2024 or (away == 0.0 and satisfies_within(query, values, Slack())) else TOLERATED


def _outputs(query: Query, run: Runtimes, values: Values) -> dict[str, np.ndarray]:
    """What onnxruntime computes, by declared tensor."""
    flat = run(np.concatenate([values[tensor.name] for tensor in query.inputs]))
    ends = np.cumsum([tensor.size for tensor in query.computed])
    return {t.name: flat[end - t.size : end] for t, end in zip(query.computed, ends, strict=True)}


def satisfies_within(query: Query, values: Values, slack: Slack) -> bool:
    """Whether all assertions hold, or fail by no more than the slack. values: by tensor name, flat float64 arrays."""
    inputs = {tensor.name for tensor in query.inputs}
    for bounds in query.bounds:
        found, own = values[bounds.tensor][bounds.index], bounds.tensor in inputs
        room = slack.inputs if own else slack.others
        limit = np.where(bounds.upper, bounds.value + room, bounds.value - room)
        if own and slack.inputs_as is not None:
            limit = limit.astype(slack.inputs_as)
        if not np.where(bounds.upper, found <= limit, found >= limit).all():
            return False
    return all(_holds(assertion, values, inputs, slack) for assertion in query.assertions)


def _holds(assertion: Assertion, values: Values, inputs: set[str], slack: Slack) -> bool:
    if isinstance(assertion, Connective):
        parts = (_holds(part, values, inputs, slack) for part in assertion.operands)
        return all(parts) if assertion.operator == "and" else any(parts)
    own = _tensors(assertion.left) | _tensors(assertion.right) <= inputs
    room = slack.inputs if own else slack.others
    left, right = (_value(term, values, own, slack.inputs_as) for term in (assertion.left, assertion.right))
    return _RELATIONS[assertion.relation](left - right, Fraction(room))


def _value(term: Term, values: Values, own: bool, kind: type | None) -> Fraction:
    if own and kind is not None and isinstance(term, Constant):
        return Fraction(float(kind(term.value)))
    return exact(term, values)


def _tensors(term: Term) -> set[str]:
    if isinstance(term, Variable):
        return {term.tensor}
    return set() if isinstance(term, Constant) else set().union(*(_tensors(part) for part in term.operands))


# Of the difference between left and right, and the slack.
_RELATIONS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<=": lambda d, room: d <= room,
    ">=": lambda d, room: d >= -room,
    "<": lambda d, room: d < room if room == 0 else d <= room,
    ">": lambda d, room: d > room if room == 0 else d >= -room,
    "==": lambda d, room: abs(d) <= room,
    "!=": lambda d, room: d != 0,
}
