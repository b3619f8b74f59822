"""`certify diff`: how far two models are apart on a region, proven from above and reached from below.

The bound is that of branch and bound on both networks joined: of boxes where few inputs vary, else of hidden values.
Every bound is the smaller of a differential and a product one (`difference_problem`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from certify.backends.native import choose_library
from certify.bounds.methods import alpha_crown, crown
from certify.compare.difference_agreement import Agreement, Observe, agreements
from certify.compare.difference_bounds import bound_boxes
from certify.compare.difference_maxima import Maxima
from certify.compare.difference_query import Two
from certify.compare.difference_regions import Regions, regions_of_data, regions_of_spec
from certify.compare.difference_signs import split_signs
from certify.compare.difference_split import split_inputs
from certify.dataset import Dataset, read_dataset
from certify.errors import InputError
from certify.network.parity import check_parity
from certify.network.passes.pair_networks import Paired, pair_networks
from certify.network.read_onnx import Model, load_model
from certify.search.prove import FEW_INPUTS
from certify.settings import Budget
from certify.threads import one_blas_thread
from certify.witness.runtime import Runtime

# Regions whose boxes are compared with onnxruntime; shares of what time is left: of each attack and question of
# agreement, and of optimised slopes for regions of many inputs.
COMPARED = 3
ATTACK_SHARE = 0.1
AGREEMENT_SHARE = 0.25
SLOPES_SHARE = 0.3

Status = Literal["proved", "exceeded", "open"]
Answers = list[Agreement | None]


@dataclass(frozen=True)
class Plan:
    """What to do. gap: relative, between upper and lower bound, that is good enough; limit: what |f - g| must not
    exceed; delta: the confidence for delta-top-1; seconds: for everything.
    """

    gap: float = 0.1
    seconds: float = 60.0
    limit: float | None = None
    top1: bool = True
    delta: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class RegionDifference:
    """One region. Of |f_j - g_j|, by output [m]: reached, evaluated in float64 at points [m, n_inputs]; observed, what
    onnxruntime computes at these points; proven, an upper bound over the whole region (infinity: none was had).
    top1, confident: whether the top class agrees, everywhere and where f is confident; None if not asked.
    """

    name: str
    reached: np.ndarray
    observed: np.ndarray
    proven: np.ndarray
    points: np.ndarray
    top1: Agreement | None = None
    confident: Agreement | None = None


@dataclass(frozen=True)
class Difference:
    """All regions, and their boxes lower, upper [regions, n_inputs]. paired: whether the models were compared layer by
    layer; boxes: subproblems that inputs were split into.
    """

    before: Model
    after: Model
    plan: Plan
    paired: bool
    regions: tuple[RegionDifference, ...]
    lower: np.ndarray
    upper: np.ndarray
    boxes: int

    @property
    def reached(self) -> float:
        """The largest difference met, evaluated in float64."""
        return max(float(region.reached.max()) for region in self.regions)

    @property
    def observed(self) -> float:
        """The largest difference that onnxruntime computed."""
        return max(float(region.observed.max()) for region in self.regions)

    @property
    def proven(self) -> float:
        """What no difference in any region exceeds, in exact arithmetic on the models' weights."""
        return max(float(region.proven.max()) for region in self.regions)

    @property
    def status(self) -> Status | None:
        """What became of the limit, if one was asked for; exceeded only where onnxruntime does."""
        limit = self.plan.limit
        if limit is None:
            return None
        if self.observed > limit:
            return "exceeded"
        return "proved" if self.proven <= limit else "open"

    @property
    def exit_code(self) -> int:
        """0 proved or nothing asked, 1 exceeded, 3 open."""
        return {None: 0, "proved": 0, "exceeded": 1, "open": 3}[self.status]


def difference(
    before: str | Path,
    after: str | Path,
    *,
    region: str | Path | None = None,
    data: str | Path | Dataset | None = None,
    eps: float | None = None,
    clip: tuple[float, float] | None = None,
    index: Sequence[int] | None = None,
    count: int = 10,
    plan: Plan | None = None,
) -> Difference:
    """Certified max |f - g| of two models on the boxes of a VNN-LIB file, or within eps of samples.

    region: the file, of which only the input boxes matter; data: samples or their file, of which `index` or the first
    `count` are taken; clip: the range inputs may have. Raises InputError for whatever cannot be compared.
    """
    plan = plan or Plan()
    budget = Budget.starting_now(plan.seconds)
    with one_blas_thread():
        models = load_model(before), load_model(after)
        pair = pair_networks(models[0].network, models[1].network)
        regions = choose_regions(models[0], region, data, eps, clip, index, count)
        return compare_on(models, pair, regions, plan, budget)


def choose_regions(
    model: Model,
    region: str | Path | None,
    data: str | Path | Dataset | None,
    eps: float | None,
    clip: tuple[float, float] | None,
    index: Sequence[int] | None,
    count: int,
) -> Regions:
    """The regions that the arguments of `difference` mean."""
    if (region is None) == (data is None):
        raise InputError("give either a specification's region or data with a radius", "--region SPEC, or --data FILE")
    if region is not None:
        return regions_of_spec(region, model.network)
    if eps is None:
        raise InputError("data comes with a radius", "--eps E, in the units of the samples")
    assert data is not None
    samples = data if isinstance(data, Dataset) else read_dataset(data)
    numbers = list(index) if index else list(range(min(count, len(samples))))
    return regions_of_data(samples, model.network, eps, clip, numbers)


def compare_on(models: tuple[Model, Model], pair: Paired, regions: Regions, plan: Plan, budget: Budget) -> Difference:
    """The comparison on these regions, once everything is read."""
    run_f, run_g = (Runtime(model.path) for model in models)
    for low, high in zip(regions.lower[:COMPARED], regions.upper[:COMPARED], strict=True):
        for model, run in zip(models, (run_f, run_g), strict=True):
            check_parity(model.network, run, low, high, plan.seed)
    maxima = Maxima(models[0].network, models[1].network, regions.lower, regions.upper)
    rng = np.random.default_rng(plan.seed)
    maxima.attack(rng, budget.share(ATTACK_SHARE))
    pair = replace(pair, network=pair.network.on(choose_library(pair.network, "auto")))

    def observe(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return run_f(x), run_g(x)

    top1, confident = _agreement(models, pair, maxima, observe, plan, budget)
    boxes = _bound(pair, maxima, plan, budget)
    maxima.attack(rng, budget.share(ATTACK_SHARE))
    observed = np.array([[abs(np.subtract(*observe(x)))[j] for j, x in enumerate(points)] for points in maxima.points])
    found = tuple(
        RegionDifference(
            name, maxima.reached[n], observed[n], maxima.proven[n], maxima.points[n], top1[n], confident[n]
        )
        for n, name in enumerate(regions.names)
    )
    return Difference(*models, plan, pair.paired, found, regions.lower, regions.upper, boxes)


def _agreement(
    models: tuple[Model, Model], pair: Paired, maxima: Maxima, observe: Observe, plan: Plan, budget: Budget
) -> tuple[Answers, Answers]:
    """For every region: whether the top class agrees, and whether it does where f is confident; None if not asked."""
    asked = [(plan.top1, None), (plan.delta is not None, plan.delta)]
    answers: list[Answers] = []
    for wanted, delta in asked:
        if not wanted or pair.n_outputs == 1:
            answers.append([None] * len(maxima.lower))
            continue
        two, share = Two(models[0].path, models[1].path), budget.share(AGREEMENT_SHARE)
        answers.append(list(agreements(pair, maxima, two, observe, share, delta=delta, seed=plan.seed)))
    return answers[0], answers[1]


def _bound(pair: Paired, maxima: Maxima, plan: Plan, budget: Budget) -> int:
    """Upper bounds of all regions, plain CROWN's whatever the time; the number of boxes that inputs were split into."""
    bound_boxes(pair, maxima, np.arange(len(maxima.lower)), crown.bound, lambda: False)
    loose = np.flatnonzero((maxima.proven > maxima.targets(plan.gap, plan.limit)).any(axis=1))
    loose = loose[np.argsort(-maxima.proven[loose].max(axis=1), kind="stable")]
    few = (maxima.upper[loose] > maxima.lower[loose]).sum(axis=1) <= FEW_INPUTS
    if not few.all():
        share = budget.share(1.0 - few.mean())
        bound_boxes(pair, maxima, loose[~few], alpha_crown.bound, share.share(SLOPES_SHARE).expired)
        split_signs(pair, maxima, loose[~few], plan.gap, plan.limit, share)
    return split_inputs(pair, maxima, loose[few], plan.gap, plan.limit, budget) if few.any() else 0
