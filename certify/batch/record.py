"""What is kept of one instance of a campaign: one line of JSON, enough to report on, to score and to resume from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from certify.errors import ParseError

DECIDED = ("sat", "unsat")


@dataclass(frozen=True)
class Record:
    """One instance and what came of it.

    key: sha256 (hex) over the files, options and version that the result depends on. category: the benchmark's name, or
    "". networks: model file by network name ("" where the spec declares none by name). timeout: seconds allowed.
    status: sat, unsat, unknown, timeout, out-of-memory or error. wall, cpu: seconds of the whole process. stages:
    seconds by stage. bound: proven lower bound of the margin (positive means proved). witness: values by declared
    variable, flat, in declaration order. peak_mib: largest resident memory. started: UTC, ISO 8601. sha256: of each
    file, by its path. index: position in the list of instances, which results.csv keeps. trace: how
    the bound moved, [seconds, bound, subproblems] each. changes: what is worse than for the model that this one is
    compared with (regressed, weakened, slower), and in what way; empty where there is none.
    """

    key: str
    category: str
    networks: dict[str, str]
    spec: str
    timeout: float
    status: str
    reason: str = ""
    exit_code: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    bound: float | None = None
    witness: dict[str, list[float]] | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    advice: str = ""
    peak_mib: float = 0.0
    backend: str = "native"
    version: str = ""
    host: str = ""
    started: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    index: int = 0
    trace: list[list[float]] = field(default_factory=list)
    changes: dict[str, str] = field(default_factory=dict)

    @property
    def decided(self) -> bool:
        """Proved or violated."""
        return self.status in DECIDED

    def line(self) -> str:
        """The record as one line of JSON, with its newline."""
        return json.dumps(asdict(self), allow_nan=False, separators=(",", ":")) + "\n"


def read_record(line: str, file: str, number: int) -> Record:
    """The record of one line. Raises ParseError, naming file and line, for anything that is not one."""
    try:
        values = json.loads(line)
        known = {f.name for f in fields(Record)}
        return Record(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise ParseError(file, number, 1, f"not a record of a batch run: {error}", "was the line cut short?") from error
