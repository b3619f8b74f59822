"""How far a hidden tensor can move before the answer changes, and how far a region of inputs can move it.

The rest of the network, cut off at the tensor, is a classifier of its own, whose radius is looked for around the
activation of each sample. Where that radius is at least what a region of inputs can move the tensor by, the answer is
the same on the whole region. The radius alone says little: scaling a layer up scales it too, hence the ratios.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from certify.bounds.ball import ball, length
from certify.bounds.interval import Interval
from certify.dataset import Dataset
from certify.errors import InputError, ParityError
from certify.files import write_bytes
from certify.network.cut import Cut, cut_at
from certify.network.parity import RELATIVE
from certify.quantities.classifier import Classifier, samples_of
from certify.quantities.enclosure import Enclosure
from certify.quantities.movement import movements
from certify.quantities.radius import Range, input_range, radii
from certify.settings import Norm
from certify.threads import one_blas_thread


@dataclass(frozen=True)
class Latent:
    """One sample. radius: around the tensor's value (its witness is a value of the tensor); size: the norm of that
    value; movement: of the tensor over the region of inputs, None if there is no region.
    """

    sample: int
    radius: Enclosure
    size: float
    movement: Enclosure | None

    @property
    def ratio(self) -> float:
        """Certified radius by size of the activation; infinite where that is 0."""
        return self.radius.lower / self.size if self.size > 0.0 else float("inf")

    @property
    def fixed(self) -> bool:
        """Whether the label is proven to be the same on the whole region: it cannot move the tensor out of the ball."""
        return self.movement is not None and self.radius.lower >= self.movement.upper

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        movement = None if self.movement is None else self.movement.as_dict()
        ratio = self.ratio if np.isfinite(self.ratio) else None
        return {
            "sample": self.sample, "radius": self.radius.as_dict(), "size": self.size, "ratio": ratio,
            "movement": movement, "label_fixed_on_region": self.fixed,
        }  # fmt: skip


@dataclass(frozen=True)
class LatentRadii:
    """All samples. layer: the tensor; rectified: whether balls are cut at 0; region: of the inputs, in words, or ""."""

    samples: tuple[Latent, ...]
    layer: str
    norm: Norm
    rectified: bool
    region: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "quantity": "latent radius", "layer": self.layer, "norm": self.norm, "rectified": self.rectified,
            "region": self.region, "seconds": self.seconds, "samples": [each.as_dict() for each in self.samples],
        }  # fmt: skip


def latent(
    model: str | Path,
    data: str | Path | Dataset,
    *,
    layer: str,
    norm: Norm = "2",
    region_eps: float | None = None,
    spec: str | Path | None = None,
    clip: Range | None = None,
    count: int | None = None,
    timeout: float = 0.2,
    seed: int = 0,
    out: str | Path | None = None,
) -> LatentRadii:
    """Certified radii around the activations of a hidden tensor, and its certified movement over a region of inputs.

    layer: the ONNX name of a tensor that all paths from the input to the scores pass through. norm: "2" or "inf", of
    the tensor. The region: all inputs within `region_eps` of the sample by maximum norm (and in the range `clip`), or
    the input boxes of a VNN-LIB file `spec`, where only samples inside of one count. timeout: see `radius`. out: a
    folder for the tail of the model and the properties proven, as VNN-LIB 2.0.
    Raises InputError for input that cannot be used.
    """
    if region_eps is not None and spec is not None:
        raise InputError("there is one region, of --region-eps or of --spec", "give one of them")
    if norm not in ("inf", "2"):
        raise InputError(f"there is no norm '{norm}' here", "choose 2 or inf")
    started = time.monotonic()
    classifier, samples = Classifier(model), samples_of(data, count)
    x = classifier.rows(samples)
    low, high = input_range(clip, x)
    numbers, box, region = _regions(classifier, x, region_eps, spec, (low, high))
    cut = cut_at(classifier.path, layer)
    with _folder(out) as folder, one_blas_thread():
        tail, head = _written(cut, folder)
        start = head.scores(x[numbers])
        _same(tail.scores(start), classifier.scores(x[numbers]), layer)
        rectified = cut.operator == "Relu"
        floor = np.full(start.shape[1], 0.0 if rectified else -np.inf)
        labels = None if samples.y is None else samples.y[numbers]
        ceiling = np.full(start.shape[1], np.inf)
        found = radii(tail, start, labels, norm, floor, ceiling, timeout=timeout, seed=seed)
        moves: list[Enclosure | None] = [None] * len(numbers)
        if box is not None:
            head.compare(box.lower.min(axis=0), box.upper.max(axis=0))
            moves = list(movements(head.network, head.runtime, box, start, norm, seed))
        each = tuple(
            Latent(int(number), _renumbered(radius, int(number), layer), float(length(value, norm)), move)
            for number, radius, value, move in zip(numbers, found.samples, start, moves, strict=True)
        )
        if out is not None:
            from certify.quantities.latent_files import write_queries

            write_queries(Path(out), classifier, layer, x[numbers], start, each, norm, rectified, box)
    return LatentRadii(each, layer, norm, rectified, region, time.monotonic() - started)


def _renumbered(found: Enclosure, number: int, layer: str) -> Enclosure:
    over = found.over.replace("inputs", f"values of {layer}", 1)
    return replace(found, over=over, unit="units of the tensor", detail={**found.detail, "sample": number})


def _regions(
    classifier: Classifier,
    x: np.ndarray,
    eps: float | None,
    spec: str | Path | None,
    limits: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, Interval | None, str]:
    """(samples, their boxes of inputs or None, what the region is)."""
    every = np.arange(len(x))
    if eps is not None:
        if not (eps >= 0.0 and np.isfinite(eps)):
            raise InputError(f"the radius {eps} is not a finite number of at least 0")
        return every, ball(x, np.full(len(x), eps), "inf", *limits).box, f"within {eps:g} of each sample (maximum norm)"
    if spec is None:
        return every, None, ""
    from certify.api import load_problem

    problem = load_problem(classifier.path, spec)
    if problem.unsafe.columns is not None:
        raise InputError(f"{spec}: a region of one network's inputs is wanted", "use --region-eps")
    chosen: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for goal in problem.goals():
        for number in np.flatnonzero(((x >= goal.lower) & (x <= goal.upper)).all(axis=1)):
            chosen.setdefault(int(number), (goal.lower, goal.upper))
    if not chosen:
        raise InputError(f"{spec}: none of the samples lies in its region", "give the data that it was written for")
    numbers = np.array(sorted(chosen))
    box = Interval(*(np.stack([chosen[int(n)][side] for n in numbers]) for side in (0, 1)))
    return numbers, box, f"the input region of {spec}"


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    if out is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be created: {error.strerror}", "choose another folder") from None
    yield Path(out)


def _written(cut: Cut, folder: Path) -> tuple[Classifier, Classifier]:
    """(tail, head) as files of the folder."""
    found = []
    for name, proto in (("tail", cut.tail), ("head", cut.head)):
        path = folder / f"{name}.onnx"
        write_bytes(path, proto.SerializeToString())
        found.append(Classifier(path))
    return found[0], found[1]


def _same(ours: np.ndarray, theirs: np.ndarray, layer: str) -> None:
    """The two halves, one after the other, compute what the model does."""
    if not (abs(ours - theirs) <= RELATIVE * (1e-6 + abs(theirs).max())).all():
        message = f"cut at '{layer}', the model computes something else (by {abs(ours - theirs).max():.3g})"
        raise ParityError(message, "please report the model")
