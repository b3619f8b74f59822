"""The comparison itself: what to compare, and everything that came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from certify import __version__
from certify.accuracy import accuracy, right, tax
from certify.batch.instances import Instance
from certify.batch.record import Record
from certify.batch.runner import Watch
from certify.batch.task import DEFAULT_TIMEOUT, Digests, Options
from certify.compare.campaign import Campaign, Exchange, Plan, kept, shared
from certify.compare.candidate import Candidate, Transition, transition
from certify.compare.pareto import dominated
from certify.compare.reuse import Reuse, Saving
from certify.compare.root import roots
from certify.compare.specs import find_specs, of_model
from certify.compare.transition import VERDICTS, Limits, Result, changes
from certify.compare.weights import count_weights
from certify.dataset import Dataset, read_dataset
from certify.errors import InputError
from certify.quantities.radius import radius as radii_of


@dataclass(frozen=True)
class Comparison:
    """models: the first is the one that the others are compared with. specs: each with its sha256."""

    models: list[Candidate]
    specs: list[tuple[str, str]]
    options: Options
    method: str
    limits: Limits
    exchanges: list[Exchange] = field(default_factory=list)
    savings: list[Saving] = field(default_factory=list)
    data: Dataset | None = None

    @cached_property
    def transitions(self) -> list[Transition]:
        """One for each model but the first."""
        return [transition(self.models[0], after) for after in self.models[1:]]

    @property
    def records(self) -> dict[str, list[Record]]:
        """By the name of the model; those of later models say what has become worse."""
        return {model.name: model.records for model in self.models}

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values; specifications are referred to by their number from 0."""
        return {
            "certify": __version__,
            "backend": self.options.backend,
            "timeout": self.options.timeout,
            "memory": self.options.memory,
            "margins_by": self.method,
            "limits": asdict(self.limits),
            "data": None if self.data is None else {"name": self.data.name, "sha256": self.data.sha256},
            "specs": [{"spec": spec, "sha256": sha256} for spec, sha256 in self.specs],
            "models": [model.as_dict() for model in self.models],
            "verdicts": VERDICTS,
            "transitions": [asdict(t) | {"monotone": t.monotone} for t in self.transitions],
            "exchanges": [asdict(exchange) for exchange in self.exchanges],
            "savings": [asdict(saving) for saving in self.savings],
        }


@dataclass(frozen=True)
class Look:
    """What to look at beside verdicts. method: of the margins (crown, alpha-crown). data: for the clean accuracy.
    radius: whether to have certified radii around its samples.
    """

    method: str = "crown"
    data: Dataset | None = None
    radius: bool = False


def compare(
    before: str | Path,
    after: str | Path | Sequence[str | Path],
    specs: str | Path | Sequence[str | Path],
    *,
    timeout: float | None = None,
    memory: float | None = None,
    backend: str = "native",
    jobs: int = 1,
    warm: bool = False,
    recheck: bool = False,
    reuse: Reuse = "off",
    data: str | Path | Dataset | None = None,
    radius: bool = False,
    method: str = "crown",
    limits: Limits | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Comparison:
    """Check the same specifications, with the same budget and backend, for one model and those that came of it.

    specs: files, folders, patterns or an instances.csv, see `certify.compare.specs`. timeout: seconds for each
    specification and model, by default what the list says, else 60; memory: MiB; jobs: at once; warm: workers that
    stay; recheck: whether the checker must accept every proof; reuse: off, on or measured, whether later models begin
    where the proofs of the first one ended. data: labelled samples for the clean accuracy; radius:
    whether to certify radii around them too. method: of the margins, crown or alpha-crown. out: a folder to keep the
    campaigns in, which `resume` goes on with.
    Raises InputError for input that cannot be used.
    """
    several = [after] if isinstance(after, str | Path) else list(after)
    sources = [specs] if isinstance(specs, str | Path) else list(specs)
    models = names_of([str(before), *map(str, several)])
    samples = read_dataset(data) if isinstance(data, str | Path) else data
    with kept(out) as folder:
        plan = Plan(folder, shared(timeout, memory, backend, jobs, warm, recheck, reuse), jobs, warm, resume, reuse)
        instances = find_specs(sources, next(iter(models.values())))
        return run(models, instances, plan, Look(method, samples, radius), limits or Limits())


def run(
    models: Mapping[str, str], instances: Sequence[Instance], plan: Plan, look: Look, limits: Limits,
    watch: Watch | None = None,
) -> Comparison:  # fmt: skip
    """The comparison of models, files by name, on the specifications of the instances. Raises as `compare`."""
    if look.radius and look.data is None:
        raise InputError("certified radii are around samples, and there are none", "give --data")
    hits = {} if look.data is None else {name: right(file, look.data) for name, file in models.items()}
    found, campaign = examine(models, instances, plan, look.method, watch)
    found = [found[0], *(judged(found[0].results, candidate, limits) for candidate in found[1:])]
    if look.data is not None:
        found = _priced(found, hits)
    if look.radius and look.data is not None:
        found = [replace(candidate, radii=radii_of(candidate.file, look.data).certified) for candidate in found]
    specs = [(record.spec, record.sha256[record.spec]) for record in found[0].records]
    exchanges = list(campaign.exchanges.values())
    return Comparison(found, specs, plan.options, look.method, limits, exchanges, campaign.savings, look.data)


def examine(
    models: Mapping[str, str], instances: Sequence[Instance], plan: Plan, method: str, watch: Watch | None = None
) -> tuple[list[Candidate], Campaign]:
    """Every model with its verdicts, margins and weights, and the campaign that they come from."""
    digests = Digests()
    sha256 = {name: digests(file) for name, file in models.items()}
    for instance in instances:
        digests(instance.spec)  # what cannot be read is one error now, not one per model
    weights = {name: count_weights(file) for name, file in models.items()}
    campaign = Campaign(plan)
    campaign.run(models, instances, watch or Watch())
    timeout = DEFAULT_TIMEOUT if plan.options.timeout is None else plan.options.timeout
    found = []
    for name, file in models.items():
        own = roots(of_model(instances, file), method, timeout)
        found.append(Candidate(name, file, sha256[name], campaign.records[name], own, weights[name]))
    return found, campaign


def names_of(files: Sequence[str]) -> dict[str, str]:
    """Model files by name: what stands before "=", else the file's name without ending, else, where two have the same,
    the path. Raises InputError where fewer than two are given, or two are called the same.
    """
    if len(files) < 2:
        raise InputError("there is nothing to compare with", "give BEFORE and at least one AFTER")
    stems = [Path(file).name.removesuffix(".gz").removesuffix(".onnx") for file in files]
    found: dict[str, str] = {}
    for text, stem in zip(files, stems, strict=True):
        name, equals, file = text.partition("=")
        given = bool(equals) and not Path(text).exists()
        name = name if given else stem if stems.count(stem) == 1 else text
        if name in found:
            raise InputError(f"two models are called {name}", "name them: certify compare before=A.onnx after=B.onnx")
        found[name] = file if given else text
    return found


def judged(before: Sequence[Result], after: Candidate, limits: Limits) -> Candidate:
    """The candidate, with records that say what has become worse."""
    worse = [changes(first, second, limits) for first, second in zip(before, after.results, strict=True)]
    records = [replace(record, changes=change) for record, change in zip(after.records, worse, strict=True)]
    return replace(after, records=records)


def _priced(models: Sequence[Candidate], hits: Mapping[str, np.ndarray]) -> list[Candidate]:
    """The candidates with accuracy, tax and whether they are dominated."""
    first = hits[models[0].name]
    taxes = [tax(first, hits[model.name]) for model in models]
    worse = dominated([(t.points, model.certified) for t, model in zip(taxes, models, strict=True)])
    return [
        replace(model, accuracy=accuracy(hits[model.name]), tax=taxes[i], dominated=worse[i])
        for i, model in enumerate(models)
    ]
