"""`certify.trigger`: which samples can a patch send to a class, and what is the worst that one trigger does to all?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from certify.dataset import Dataset, make_dataset, read_dataset
from certify.errors import InputError
from certify.quantities.absence import OPEN, PROVED, Absence, Game, decide_absence
from certify.quantities.classifier import Classifier
from certify.quantities.enclosure import Enclosure
from certify.quantities.patch import Patch, places
from certify.quantities.site import Plan, Site, TriggerReport, in_words
from certify.quantities.worst_trigger import WorstTrigger
from certify.settings import Budget
from certify.threads import one_blas_thread

# Boxes that deciding absence may cost before the worst trigger has its turn; what is left open waits for the end.
ABSENCE_BOXES = 4000
ABSENCE_SHARE = 0.5


class _Job:
    """One site while it is worked on."""

    def __init__(self, plan: Plan, position: tuple[int, int], target: int, numbers: np.ndarray) -> None:
        self.plan, self.position, self.target, self.numbers = plan, position, target, numbers
        self.absence = Absence(np.full(len(numbers), OPEN, dtype=object))
        self.search: WorstTrigger | None = None
        self.seconds = 0.0
        self.exhausted = False  # whether time was left over: more of it would change nothing

    @property
    def done(self) -> bool:
        """Whether the worst trigger is known as well as asked, and every sample decided."""
        return self.search is not None and self.open <= self.allowed and OPEN not in self.absence.status

    @property
    def open(self) -> int:
        """Samples between the worst trigger known and its bound."""
        return len(self.numbers) if self.search is None else self.search.bound - self.search.best

    @property
    def allowed(self) -> int:
        return int(np.floor(self.plan.gap * len(self.numbers) + 1e-9))

    def work(self, classifier: Classifier, rows: np.ndarray, rng: np.random.Generator, budget: Budget) -> None:
        """Take the site up, or go on with it, until it is done or the time is up."""
        started = time.perf_counter()
        every = np.arange(len(self.numbers))
        if self.search is None:
            patch = Patch(classifier, rows[self.numbers], places(self.plan.shape, self.plan.patch, self.position))
            low, high = np.full(patch.d, self.plan.low), np.full(patch.d, self.plan.high)
            game = Game(patch, self.target, low, high)
            self.absence = decide_absence(game, every, rng, budget.share(ABSENCE_SHARE), ABSENCE_BOXES)
            self.search = WorstTrigger(game, every[self.absence.status != PROVED])
            self.search.offer(np.array(list(self.absence.witness.values())).reshape(-1, patch.d))
            self.search.climb(rng, budget)
        self.search.advance(budget, self.allowed)
        left = every[self.absence.status == OPEN]
        if len(left) and self.open <= self.allowed and not budget.expired():
            again = decide_absence(self.search.game, left, rng, budget, 100 * ABSENCE_BOXES)
            self.absence.status[left] = again.status
            self.absence.witness |= {int(left[i]): t for i, t in again.witness.items()}
            self.absence.boxes += again.boxes
        self.exhausted = not budget.expired()
        self.seconds += time.perf_counter() - started

    def result(self) -> Site:
        """What is known now."""
        n, search = len(self.numbers), self.search
        best, bound = (0, n) if search is None else (search.best, search.bound)
        shape = (self.plan.shape[0], *self.plan.patch)
        over = in_words(self.plan, self.target, f"position {self.position[0]},{self.position[1]}")
        worst = Enclosure(
            best / n, bound / n, over, "share", "attained" if best else "trivial",
            "proven" if bound < n else "trivial", self.seconds, search.trigger if search is not None else None,
            {"samples": n, "sent": best, "at_most": bound},
        )  # fmt: skip
        trigger = None if search is None or search.trigger is None else search.trigger.reshape(shape)
        witnesses = {number: t.reshape(shape) for number, t in self.absence.witness.items()}
        boxes = self.absence.boxes + (0 if search is None else search.boxes)
        return Site(
            self.position, self.target, worst, self.absence.status, self.numbers, trigger, witnesses, boxes
        )  # fmt: skip


def trigger(
    model: str | Path,
    data: str | Path | Dataset | np.ndarray,
    *,
    patch: tuple[int, int] = (2, 2),
    position: tuple[int, int] | None = None,
    target: int | None = None,
    count: int = 100,
    low: float | None = None,
    high: float | None = None,
    image: tuple[int, int, int] | None = None,
    include_target: bool = False,
    gap: float = 0.0,
    timeout: float = 60.0,
    seed: int = 0,
) -> TriggerReport:
    """What can a patch of these pixels, set to any values of [low, high], make the model answer?

    model: ONNX file of a classifier; data: samples, a file or arrays [samples, ...]. patch: (height, width), in every
    channel; position: (row, column) of its upper left pixel, None for all; target: class, None for all. count: samples
    used per target, the first of the data whose class (or, without labels, whose answer by the model) is another;
    include_target: those too. low, high: by default the smallest and largest value in the data. image: (channels,
    height, width) where samples are flat. gap: share at which a site is done; timeout: seconds for all sites.

    Each site: U* as an `Enclosure`, its lower end counted by onnxruntime on the inputs as the model gets them, its
    upper end proven for exact arithmetic on the model's weights under every rule for ties (with room for the rounding
    of the model's own arithmetic), and per sample whether absence is proved. Triggers as in Pham and Sun (CAV 2022).
    Raises InputError for what does not fit together.
    """
    started = time.perf_counter()
    budget = Budget.starting_now(timeout)
    samples = _dataset(data)
    classifier = Classifier(model)
    shape = _shape(image, classifier, samples)
    rows = classifier.rows(samples)
    low_, high_ = (float(rows.min()) if low is None else low), (float(rows.max()) if high is None else high)
    if not (np.isfinite([low_, high_]).all() and low_ <= high_):
        raise InputError(f"a trigger's values cannot be from {low_} to {high_}", "give the smaller one first")
    plan = Plan(
        patch, _positions(shape, patch, position), _targets(classifier, target), shape, low_, high_, count, gap,
        include_target,
    )  # fmt: skip
    with one_blas_thread():
        corner = np.minimum(rows.min(axis=0), low_), np.maximum(rows.max(axis=0), high_)
        classifier.compare(*corner)
        sites = _run(plan, classifier, rows, samples.y, budget, seed)
    return TriggerReport(plan, sites, time.perf_counter() - started, samples.name, str(model))


def _run(
    plan: Plan, classifier: Classifier, rows: np.ndarray, labels: np.ndarray | None, budget: Budget, seed: int
) -> list[Site]:
    """All sites: each gets its share of the time, and what is over goes to those that are not done, nearest first."""
    rng = np.random.default_rng(seed)
    jobs = list(_jobs(plan, classifier, rows, labels))
    for place, job in enumerate(jobs):
        if budget.expired():
            break
        job.work(classifier, rows, rng, budget.share(1.0 / (len(jobs) - place)))
    left = [job for job in jobs if not job.done]
    while left and not budget.expired():
        left.sort(key=lambda job: (job.open, job.seconds))
        left[0].work(classifier, rows, rng, budget.share(0.5, at_most=max(1.0, 2.0 * left[0].seconds)))
        left = [job for job in left if not job.done and not job.exhausted]
    return [job.result() for job in jobs]


def _jobs(plan: Plan, classifier: Classifier, rows: np.ndarray, labels: np.ndarray | None) -> Iterator[_Job]:
    """One per target and position. Raises InputError where no sample is left to count."""
    if labels is not None:
        classes = labels
    elif plan.include_target:
        classes = np.full(len(rows), -1)
    else:
        classes = classifier.scores(rows).argmax(axis=1)
    for target in plan.targets:
        counted = np.arange(len(rows)) if plan.include_target else np.flatnonzero(classes != target)
        if not len(counted):
            raise InputError(f"every sample is of class {target}, the target", "--include-target counts them")
        for position in plan.positions:
            yield _Job(plan, position, target, counted[: plan.count])


def _dataset(data: str | Path | Dataset | np.ndarray) -> Dataset:
    if isinstance(data, Dataset):
        return data
    return make_dataset(data, None) if isinstance(data, np.ndarray) else read_dataset(data)


def _shape(image: tuple[int, int, int] | None, classifier: Classifier, samples: Dataset) -> tuple[int, int, int]:
    """(channels, height, width): as told, or as the samples or else the model's input are laid out."""
    for found in (image, samples.x.shape[1:], classifier.input_shape[1:]):
        if found is not None and len(found) in (2, 3):
            channels, height, width = (1, *found) if len(found) == 2 else found
            if channels * height * width != classifier.n_inputs:
                message = f"an image of {channels}x{height}x{width} does not fit {classifier.n_inputs} inputs"
                raise InputError(message, "--image CxHxW says how the input is laid out")
            return channels, height, width
    raise InputError(f"{samples.name}: neither samples nor model say what an image is", "--image CxHxW says it")


def _positions(
    shape: tuple[int, int, int], patch: tuple[int, int], position: tuple[int, int] | None
) -> list[tuple[int, int]]:
    """Where the patch goes. Raises InputError where it does not fit."""
    rows, columns = shape[1] - patch[0], shape[2] - patch[1]
    if min(patch) < 1 or rows < 0 or columns < 0:
        raise InputError(f"a patch of {patch[0]}x{patch[1]} does not fit an image of {shape[1]}x{shape[2]}")
    if position is None:
        return [(row, column) for row in range(rows + 1) for column in range(columns + 1)]
    if not (0 <= position[0] <= rows and 0 <= position[1] <= columns):
        message = f"a patch of {patch[0]}x{patch[1]} does not fit at row {position[0]}, column {position[1]}"
        raise InputError(message, f"rows go from 0 to {rows}, columns from 0 to {columns}")
    return [position]


def _targets(classifier: Classifier, target: int | None) -> list[int]:
    if classifier.n_classes < 2:
        raise InputError(f"{classifier.path}: a model with one output has no classes to choose from")
    if target is None:
        return list(range(classifier.n_classes))
    if not 0 <= target < classifier.n_classes:
        raise InputError(f"there is no class {target}", f"the model has the classes 0 to {classifier.n_classes - 1}")
    return [target]
