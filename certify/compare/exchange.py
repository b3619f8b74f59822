"""Counterexamples of one model tried on another: where one holds, the other is refuted at no cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from certify.batch.child import Usage
from certify.batch.lane import now, record_of
from certify.batch.record import Record
from certify.batch.task import Task
from certify.files import write_text
from certify.query.read import read_query
from certify.query.syntax import Query
from certify.witness.format import write_witness
from certify.witness.replay import Replay, Witness
from certify.witness.runtime import Runtime, Runtimes

Values = Mapping[str, list[float]]


class Replayer:
    """Tries counterexamples of one model on others. Files are opened once, for as long as this lives."""

    def __init__(self) -> None:
        self._queries: dict[str, Query] = {}
        self._runtimes: dict[tuple[str, tuple[str, ...]], Runtime] = {}

    def refute(self, task: Task, values: Values, origin: str, folder: Path) -> Record | None:
        """The record that the task ends with if a counterexample of the model called `origin` is one of this model too.

        values: of the declared inputs at least. It is kept below `folder`, as if the task had been run. None where it
        does not hold, or where files do not fit together, which a run of the task explains.
        """
        start = time.monotonic()
        witness = self._witness(task.instance.networks[""], task.instance.spec, values)
        if witness is None:
            return None
        path = task.instance.witness_path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, write_witness(witness, self._query(task.instance.spec)))
        answer = {
            "status": "sat",
            "reason": f"the counterexample of {origin} breaks it too; onnxruntime confirms it",
            "exit_code": 1,
            "witness": {name: numbers.tolist() for name, numbers in witness.values().items()},
            "statistics": {"stage": "replay", "counterexample": origin},
        }
        usage = Usage(time.monotonic() - start, 0.0, 0.0)
        return record_of(task, now(usage.wall), usage, answer, "", 1)

    def holds(self, record: Record, values: Values) -> bool:
        """Whether a counterexample is one of the record's model and specification."""
        return self._witness(record.networks[""], record.spec, values) is not None

    def _witness(self, model: str, spec: str, values: Values) -> Witness | None:
        """What onnxruntime and the specification as it is written make of the values: the one way to a refutation."""
        try:
            query = self._query(spec)
            if len(query.networks) != 1 or any(len(values.get(t.name, ())) != t.size for t in query.inputs):
                return None
            if any(tensor.initialized for tensor in query.inputs):
                return None  # what such an input must be stands in the model, not in the specification
            runtime = self._runtime(model, tuple(tensor.value for tensor in query.networks[0].hidden))
            x = np.concatenate([np.asarray(values[tensor.name], dtype=np.float64) for tensor in query.inputs])
            if runtime.n_inputs != len(x) or len(runtime(x)) != sum(tensor.size for tensor in query.computed):
                return None
            return Replay(Runtimes([runtime]), query)(x)
        except Exception:  # noqa: BLE001 - onnxruntime's share no base class; running the task says what is wrong
            return None

    def _query(self, spec: str) -> Query:
        if spec not in self._queries:
            self._queries[spec] = read_query(spec)
        return self._queries[spec]

    def _runtime(self, model: str, hidden: tuple[str, ...]) -> Runtime:
        if (model, hidden) not in self._runtimes:
            self._runtimes[model, hidden] = Runtime(model, hidden)
        return self._runtimes[model, hidden]


def contradicted(record: Record, origin: str) -> Record:
    """A proof that a counterexample contradicts, which holds when it is replayed: nothing can be said any more."""
    reason = f"proved, but the counterexample of {origin} holds for this model: one of the two is wrong"
    return replace(
        record, status="error", reason=reason, exit_code=4, bound=None, advice="please report this", witness=None
    )
