"""What is certified of one model beside verdicts: numbers with a proven side and an attained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from certify.compare.difference import Plan, difference
from certify.network.read_onnx import read_proto
from certify.quantities.latent import latent
from certify.quantities.probability import probability
from certify.quantities.radius import radius
from certify.quantities.trigger import Site, trigger
from certify.studies.study import Study

# Seconds for each model: the worst trigger at the site, at all other positions together, the difference, and, for each
# image, a radius and a probability.
SITE_SECONDS, MAP_SECONDS, DIFFERENCE_SECONDS, RADIUS_SECONDS, LAW_SECONDS = 10.0, 20.0, 10.0, 0.1, 0.5
LAW_GAP = 0.02


@dataclass(frozen=True)
class Quantities:
    """Of one model. Every pair is [proven or reached from below, from above].

    site: the worst trigger where the trojan was planted; map: U* by position, [rows, columns, 2], NaN where nothing was
    asked; difference: largest |f - g| from the trojaned model near the test images, [reached, proven], None for itself;
    radii: [images, 2] certified and attacked; latent: [images, 2] certified radius of the last hidden tensor (Euclidean
    norm) and the size of that tensor; probability: [images, 2] bounds of the probability that a trigger drawn uniformly
    sends the image to the target.
    """

    site: Site
    map: np.ndarray
    difference: tuple[float, float] | None
    radii: np.ndarray
    latent: np.ndarray
    probability: np.ndarray

    @property
    def ratio(self) -> float:
        """Median certified latent radius, in units of the size of the activation."""
        return float(np.median(self.latent[:, 0] / np.maximum(self.latent[:, 1], 1e-12)))

    @property
    def law(self) -> tuple[float, float]:
        """Bounds of the probability that image and trigger, drawn uniformly, end in the target."""
        low, high = self.probability.mean(axis=0)
        return float(low), float(high)

    @property
    def radius(self) -> tuple[float, float]:
        """Median certified radius, median attacked one."""
        low, high = np.median(self.radii, axis=0)
        return float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        finite = lambda values: [[v if np.isfinite(v) else None for v in row] for row in values.tolist()]  # noqa: E731
        return {
            "site": self.site.as_dict(), "map": [finite(row) for row in self.map], "difference": self.difference,
            "radii": finite(self.radii), "latent": finite(self.latent), "probability": finite(self.probability),
        }  # fmt: skip


def quantify(given: tuple[Study, Path, Path, Sequence[Path]]) -> Quantities:
    """The quantities of a model. given: the study, the trojaned model, the model, specifications of absence."""
    study, trojaned, file, specs = given
    planted, test = study.trigger, study.test
    asked = partial(
        trigger, file, test, patch=(planted.size, planted.size), target=planted.target, low=study.clip[0],
        high=study.clip[1],
    )  # fmt: skip
    site = asked(position=planted.position, count=study.images, timeout=SITE_SECONDS).sites[0]
    positions = asked(count=study.measured, timeout=MAP_SECONDS).sites if study.map else []
    measured = test.take(slice(0, study.measured))
    radii = radius(file, measured, clip=study.clip, timeout=RADIUS_SECONDS)
    hidden = latent(file, measured, layer=last_hidden(file), timeout=RADIUS_SECONDS)
    chances = [
        probability(file, spec, gap=LAW_GAP, timeout=LAW_SECONDS, samples=0).certified
        for spec in specs[: study.measured]
    ]
    return Quantities(
        site,
        _map(positions),
        None if file == trojaned else _difference(study, trojaned, file),
        np.stack([radii.certified, radii.attacked], axis=1),
        np.array([(found.radius.lower, found.size) for found in hidden.samples]),
        np.array([(found.lower, found.upper) for found in chances]),
    )  # fmt: skip


def last_hidden(file: Path) -> str:
    """The tensor that the last layer reads, by its ONNX name."""
    graph = read_proto(file)[0].graph
    source = {name: node for node in graph.node for name in node.output}
    node = source[graph.output[0].name]
    while node.op_type not in ("Gemm", "MatMul", "Conv"):
        node = source[next(name for name in node.input if name in source)]
    return next(name for name in node.input if name in source)


def _difference(study: Study, before: Path, after: Path) -> tuple[float, float]:
    plan = Plan(gap=0.5, seconds=DIFFERENCE_SECONDS, top1=False)
    found = difference(
        before, after, data=study.test, eps=study.near, clip=study.clip, count=study.regions, plan=plan
    )  # fmt: skip
    return found.reached, found.proven


def _map(sites: Sequence[Site]) -> np.ndarray:
    """U* by position, [rows, columns, 2]."""
    size = np.array([site.position for site in sites] or [(0, 0)]).max(axis=0) + 1
    found = np.full((*size, 2), np.nan)
    for site in sites:
        found[site.position] = site.worst.lower, site.worst.upper
    return found
