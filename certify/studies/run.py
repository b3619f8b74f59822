"""The corridor of a study: the test bed, the interventions, the same specifications for all, the table."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from certify import __version__
from certify.batch.instances import Instance
from certify.compare.campaign import Plan, shared
from certify.compare.candidate import Candidate
from certify.compare.comparison import Comparison, Look
from certify.compare.comparison import run as compare_models
from certify.compare.transition import Limits
from certify.dataset import Dataset
from certify.studies.bed import ABSENCE, ROBUST, Bed, make_bed, make_folder
from certify.studies.quantities import Quantities, quantify
from certify.studies.row import Row
from certify.studies.sample import Sampled, sample_proofs
from certify.studies.study import Study, Variant

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A study that is done. rows: the trojaned model, the clean reference, then the variants; quantities: by row;
    seconds: by stage.
    """

    study: Study
    seed: int
    bed: Bed
    rows: list[Row]
    quantities: list[Quantities]
    comparison: Comparison
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        study = self.study
        data = {part: {"name": d.name, "sha256": d.sha256, "samples": len(d)} for part, d in _parts(study)}
        return {
            "certify": __version__, "suite": study.name, "seed": self.seed, "data": data, "eps": study.eps,
            "near": study.near, "images": study.images, "seconds_per_spec": study.seconds,
            "trigger": asdict(study.trigger),
            "rows": [row.as_dict() for row in self.rows], "comparison": self.comparison.as_dict(),
            "quantities": [found.as_dict() for found in self.quantities], "seconds": self.seconds,
        }  # fmt: skip


@dataclass
class _Clock:
    """Seconds by stage, and the stage said aloud."""

    say: Say
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = 0.0

    def begin(self, stage: str) -> None:
        """The next stage begins."""
        self.end()
        self.stage, self.began = stage, time.perf_counter()
        self.say(stage)

    def end(self) -> None:
        """The stage is over."""
        if self.began:
            self.seconds[self.stage] = time.perf_counter() - self.began


def run(
    study: Study, out: Path, *, seed: int = 0, jobs: int = 1, samples: int = 1000, say: Say = lambda line: None
) -> Outcome:
    """Do the study; models, specifications, records and campaigns are kept in the folder `out`.

    seed: of all training; jobs: processes; samples: random points drawn in every proved region. say: told of each
    stage. Raises InputError for a folder that cannot be used.
    """
    clock = _Clock(say)
    clock.begin("train the clean reference and the trojaned model")
    bed = make_bed(study, out, seed)
    clock.begin(f"intervene: {len(study.variants)} variants")
    models = {"trojaned": bed.trojaned, "clean reference": bed.reference}
    models |= intervene(study, bed, out, seed, jobs)
    clock.begin(f"certify: {len(bed.specs)} specifications for each of {len(models)} models")
    comparison = certify_all(study, bed, models, out, jobs)
    clock.begin("certified quantities: triggers, radii, probabilities, differences")
    absence = [file for category, file in bed.specs if category == ABSENCE]
    few = _small(study)
    quantities = _all(jobs, quantify, [(few, bed.trojaned, file, absence) for file in models.values()])
    clock.begin(f"look for violations of what is proved: {samples} points in each region")
    proofs = [(candidate.file, _proved(candidate), samples) for candidate in comparison.models]
    sampled = _all(jobs, _sampled, proofs)
    clock.end()
    rows = [_row(study, bed, comparison, n, quantities[n], sampled[n]) for n in range(len(models))]
    return Outcome(study, seed, bed, rows, quantities, comparison, clock.seconds)


def intervene(study: Study, bed: Bed, out: Path, seed: int, jobs: int) -> dict[str, Path]:
    """The model of each variant, by its name."""
    found: dict[str, Path] = {}
    waiting = list(study.variants)
    folder = make_folder(out / "models")
    while waiting:
        ready = [variant for variant in waiting if variant.start in ("", *found)]
        starts = [found.get(variant.start, bed.trojaned) for variant in ready]
        files = [folder / f"{variant.name.replace(' ', '_').replace('%', 'percent')}.onnx" for variant in ready]
        given = [(study, v, start, file, seed) for v, start, file in zip(ready, starts, files, strict=True)]
        found |= dict(zip([v.name for v in ready], _all(jobs, _intervene, given), strict=True))
        waiting = [variant for variant in waiting if variant not in ready]
    return {variant.name: found[variant.name] for variant in study.variants}


def certify_all(study: Study, bed: Bed, models: dict[str, Path], out: Path, jobs: int) -> Comparison:
    """Every specification for every model, with the same budget; what the folder holds of the very same is kept."""
    files = {name: str(file) for name, file in models.items()}
    instances = [
        Instance(category, {"": files["trojaned"]}, str(spec), study.seconds, number)
        for number, (category, spec) in enumerate(bed.specs)
    ]
    plan = Plan(out / "campaigns", shared(study.seconds, None, "native", jobs, True), jobs, True, resume=True)
    return compare_models(files, instances, plan, Look("crown", study.test), Limits())


def _row(study: Study, bed: Bed, comparison: Comparison, number: int, found: Quantities, drawn: Sampled) -> Row:
    candidate = comparison.models[number]
    absence, robust = _shares(candidate, ABSENCE), _shares(candidate, ROBUST)
    change = comparison.transitions[number - 1] if number else None
    assert candidate.accuracy is not None and candidate.tax is not None
    method = {variant.name: variant.method for variant in study.variants}.get(candidate.name, "")
    return Row(
        candidate.name, candidate.file, method,
        accuracy=candidate.accuracy.share, accuracy_range=(candidate.accuracy.low, candidate.accuracy.high),
        tax=candidate.tax.points, attack=bed.attack(candidate.file),
        absent=absence["proved"], present=absence["refuted"], worst=(found.site.worst.lower, found.site.worst.upper),
        certified=robust["proved"], refuted=robust["refuted"], difference=found.difference, radius=found.radius,
        latent=found.ratio, law=found.law,
        regressed=len(change.regressed) if change else 0, weakened=len(change.undecided) if change else 0,
        gained=len(change.gained) if change else 0,
        seconds=candidate.seconds, samples=drawn.points, violations=drawn.violations,
    )  # fmt: skip


def _shares(candidate: Candidate, category: str) -> dict[str, float]:
    """The share of the specifications of a category that has each verdict."""
    mine = [
        r.verdict for r, record in zip(candidate.results, candidate.records, strict=True) if record.category == category
    ]
    return {verdict: mine.count(verdict) / len(mine) for verdict in ("proved", "refuted")}


def _proved(candidate: Candidate) -> list[str]:
    pairs = zip(candidate.results, candidate.records, strict=True)
    return [record.spec for result, record in pairs if result.verdict == "proved"]


def _small(study: Study) -> Study:
    """The study without the data to train on: what processes are given is copied."""
    one = study.test.take(slice(0, 1))
    return replace(study, train=one, repair=one)


def _parts(study: Study) -> list[tuple[str, Dataset]]:
    return [("train", study.train), ("repair", study.repair), ("test", study.test)]


def _all(jobs: int, function: Callable[[Any], Any], things: Sequence[Any]) -> list[Any]:
    """The function's value for each thing, in processes of their own where several may run at once."""
    if jobs == 1:
        return list(map(function, things))
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(function, things))


def _intervene(given: tuple[Study, Variant, Path, Path, int]) -> Path:
    from certify.interventions.harden import harden

    study, variant, start, file, seed = given
    training = dict(variant.training) | {"seed": seed}
    harden(
        variant.method, start, study.repair, file, test=study.test, settings=dict(variant.settings), training=training
    )
    return file


def _sampled(given: tuple[str, list[str], int]) -> Sampled:
    file, specs, samples = given
    return sample_proofs(file, specs, samples)
