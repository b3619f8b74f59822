"""`certify.probability`: how likely is it, under a law of the inputs, that a specification is violated?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from certify.api import Files, load_problem
from certify.arrays import NUMPY
from certify.certificate.probability import ROOM_OF_GAP
from certify.dataset import Dataset
from certify.errors import InputError
from certify.network.evaluate import evaluate
from certify.network.parity import check_parity
from certify.problem import Problem, worst_margin
from certify.proportion import Proportion, clopper_pearson
from certify.quantities.enclosure import Enclosure
from certify.quantities.law_file import read_law
from certify.quantities.mass import Product, normal_box, uniform_box
from certify.quantities.partition import Partition
from certify.quantities.pieces import Piece, pieces
from certify.quantities.probability_proof import Proof, prove, require_uniform
from certify.query.syntax import Query
from certify.settings import Budget
from certify.threads import one_blas_thread
from certify.witness.replay import Replay, runtimes

SAMPLES = 20_000
ASSUMED = "scipy's cumulative probabilities are assumed right to a relative 1e-11, which the interval makes room for"


@dataclass(frozen=True)
class Probability:
    """certified: bounds of P[unsafe], proven; estimate: what samples of the law say, a confidence interval; population:
    what a data set says, likewise, or None; law: in words; boxes: how many were bounded; mass: of the law within the
    specification's regions, at most (what is outside is not unsafe); proof: its certificate, or None.
    """

    certified: Enclosure
    estimate: Proportion | None
    population: Proportion | None
    law: str
    boxes: int
    mass: float
    proof: Proof | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        certified = {key: value for key, value in self.certified.as_dict().items() if key != "witness"}
        return {
            "certified": certified, "law": self.law, "boxes": self.boxes, "mass_in_regions": self.mass,
            "assumed": ASSUMED,
            "sample_estimate": None if self.estimate is None else self.estimate.as_dict(),
            "population": None if self.population is None else self.population.as_dict(),
            "certificate": None if self.proof is None else asdict(self.proof),
        }  # fmt: skip


def probability(
    model: Files,
    spec: str | Path | Query,
    *,
    law: str | Path | Sequence[Product] = "uniform",
    gap: float = 0.01,
    timeout: float = 60.0,
    samples: int = SAMPLES,
    population: Dataset | None = None,
    seed: int = 0,
    certificate: str | Path | None = None,
    recheck: bool = False,
) -> Probability:
    """Bounds of the probability that an input drawn from a law satisfies the specification's assertions (is unsafe).

    model, spec: as for `certify.check`. law: `uniform` over the spec's region, `normal` (about its middle, a sixth of
    each side as standard deviation, conditioned on the region), a file (see `law_file`), or components [Product] whose
    weights add up to 1. gap: at which upper - lower is good enough; timeout: seconds; samples: for the estimate beside
    the bounds, 0 for none. population: samples to replay in onnxruntime, for a Clopper-Pearson interval. certificate:
    file to write one to; recheck: whether the bounds are those that the checker accepted. Both need a uniform law on
    the region (see `probability_proof`).

    The bounds hold for exact arithmetic on the model's weights; ASSUMED says what is taken from elsewhere. A set of
    probability zero (an equality) gets an upper bound that shrinks to 0, and no lower one.
    Raises InputError for what cannot be used, CertificateError where the checker does not accept.
    """
    started = time.perf_counter()
    budget = Budget.starting_now(timeout)
    problem = load_problem(model, spec)
    components, words = _law(law, problem)
    proven = certificate is not None or recheck
    if proven:
        require_uniform(problem, components)
    with one_blas_thread():
        found = pieces(problem, components)
        _check_parity(problem, found)
        partition = Partition(problem, components, found)
        mass = float(partition.boxes.high.sum())
        partition.refine(gap / (1.0 + 2.0 * ROOM_OF_GAP) if proven else gap, budget)
        estimate = _estimate(problem, components, found, samples, seed) if samples and components else None
        replayed = None if population is None else _replayed(problem, population)
    seconds, found_proof, ends = time.perf_counter() - started, None, (partition.lower, partition.upper)
    if proven:
        found_proof = prove(problem, partition, None if certificate is None else Path(certificate), recheck, timeout)
        ends = (found_proof.lower, found_proof.upper) if recheck else ends
    certified = Enclosure(
        *ends, f"unsafe under {words}", "probability",
        "proven" if ends[0] > 0.0 else "trivial", "proven" if ends[1] < 1.0 else "trivial", seconds,
    )  # fmt: skip
    return Probability(certified, estimate, replayed, words, partition.bounded, min(1.0, mass), found_proof)


def _law(law: str | Path | Sequence[Product], problem: Problem) -> tuple[list[Product], str]:
    """The law's components and what it is in words."""
    n = problem.network.n_inputs
    if not isinstance(law, str | Path):
        components = list(law)
        if any(len(component.marginals) != n for component in components):
            raise InputError(f"the law is not one of {n} inputs", "one marginal for each input")
        if abs(sum(component.weight for component in components) - 1.0) > 1e-9:
            raise InputError("the weights of the law's components do not add up to 1")
        return components, f"a law of {len(components)} component(s)"
    if str(law) not in ("uniform", "normal"):
        return read_law(law, n), f"the law of {law}"
    boxes = {(region.lower.tobytes(), region.upper.tobytes()): region for region in problem.unsafe.regions}
    if not boxes:
        return [], "any law, as no input is in a region"
    if len(boxes) != 1:
        message = f"the specification has {len(boxes)} different input regions, so `{law}` does not say what is meant"
        raise InputError(message, "--law FILE with a product or a mixture does")
    (region,) = boxes.values()
    make = uniform_box if str(law) == "uniform" else normal_box
    words = {"uniform": "the uniform law on the region", "normal": "the normal law conditioned on the region"}
    return [make(region.lower, region.upper)], words[str(law)]


def _check_parity(problem: Problem, found: Sequence[Piece]) -> None:
    """Our graph must compute what onnxruntime does, where the law is. Raises ParityError."""
    if found and problem.query is not None:
        replay = Replay(runtimes(problem), problem.query, problem.unsafe.columns)
        check_parity(problem.network.on(NUMPY), replay.observed, found[0].lower, found[0].upper)


def _estimate(
    problem: Problem, components: Sequence[Product], found: Sequence[Piece], count: int, seed: int
) -> Proportion:
    """How many samples of the law our graph takes to the unsafe set: an estimate beside the bounds."""
    rng = np.random.default_rng(seed)
    weights = np.array([component.weight for component in components])
    share = rng.multinomial(count, weights / weights.sum())
    hits = 0
    for number, size in enumerate(share.tolist()):
        if size:
            x = components[number].sample(rng, size)
            mine = [piece for piece in found if piece.component == number]
            hits += int(unsafe(problem, mine, x).sum())
    return clopper_pearson(hits, count)


def unsafe(problem: Problem, found: Sequence[Piece], x: np.ndarray) -> np.ndarray:
    """Mask [points] of the inputs x [points, n_inputs] that our graph says are unsafe in one of these pieces."""
    y = evaluate(problem.network, x)
    hit = np.zeros(len(x), dtype=bool)
    for piece in found:
        inside = ((x >= piece.lower) & (x <= piece.upper)).all(axis=1)
        if inside.any():
            margins = problem.margins(x[inside], y[inside], piece.goal.atoms)
            hit[inside] |= worst_margin(piece.goal.formula, margins) <= 0.0
    return hit


def _replayed(problem: Problem, population: Dataset) -> Proportion:
    """How many samples of a data set violate the specification, as onnxruntime says."""
    assert problem.query is not None
    replay = Replay(runtimes(problem), problem.query, problem.unsafe.columns)
    rows = population.flat(problem.network.n_inputs).astype(np.float32).astype(np.float64)
    return clopper_pearson(sum(replay(x) is not None for x in rows), len(rows))
