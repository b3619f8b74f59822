"""Finding a trigger without knowing it: one perturbation that sends the most samples to one class."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.trainable import TrainableModel

# Rows of one forward pass: perturbations tried at the same time, times samples.
MOST_ROWS = 8192


@dataclass(frozen=True)
class Perturbation:
    """The same for all samples. values: [elements]; where: [elements], 1 where it applies; limits: it is added to the
    sample and the sum clamped to them, or takes its place if None; target: class; success: share of the samples of
    other classes that it sends there; about: where it lies.
    """

    values: Tensor
    where: Tensor
    limits: tuple[float, float] | None
    target: int
    success: float
    about: dict[str, Any]

    def stamp(self, x: Tensor) -> Tensor:
        """The samples [samples, *input_shape] with it."""
        return _stamp(x.reshape(len(x), -1), self.values, self.where, self.limits).reshape(x.shape)


@dataclass(frozen=True)
class TriggerSearch:
    """Signed gradient descent (Madry et al. 2018) on the mean cross-entropy towards each class, for each place at once.

    patch: side of a square that is replaced, on all channels, at every place it fits; 0 for a perturbation of the whole
    input of at most `eps` in every element (Moosavi-Dezfooli et al. 2017). low, high: of valid inputs; target: the only
    class to look at; samples: that the search is made on, drawn at random.
    """

    patch: int
    eps: float
    low: float
    high: float
    target: int | None = None
    steps: int = 20
    samples: int = 64

    def best(self, model: TrainableModel, data: Dataset, chance: torch.Generator) -> Perturbation:
        """The one that sends the greatest share of samples of other classes to its class; ties by the least loss.

        Raises InputError for a patch on samples that are no images, or a class that the model does not have.
        """
        if self.target is not None and self.target >= model.n_classes:
            raise InputError(f"target is {self.target}, the model has {model.n_classes} classes", "they count from 0")
        x, y = model.samples(data)
        chosen = torch.randperm(len(x), generator=chance)[: self.samples]
        x, y = x[chosen], y[chosen]
        size = x[0].numel()
        places = list(self._places(data, size)) if self.patch else [(torch.ones(size), {"eps": self.eps})]
        found: list[tuple[float, float, Perturbation]] = []
        for target in range(model.n_classes) if self.target is None else [self.target]:
            others = x[y != target]
            if not len(others):
                continue
            at_once = max(1, MOST_ROWS // len(others))
            for start in range(0, len(places), at_once):
                part = places[start : start + at_once]
                found.append(self._descend(model, others, target, part, chance))
        if not found:
            raise InputError(f"{data.name}: all samples are of the class that triggers are looked for", "give others")
        return max(found, key=lambda entry: entry[:2])[2]

    def _descend(
        self, model: TrainableModel, x: Tensor, target: int, places: list[tuple[Tensor, dict[str, Any]]],
        chance: torch.Generator,
    ) -> tuple[float, float, Perturbation]:  # fmt: skip
        """(success, minus its loss, the perturbation) of the best of these places."""
        low, high = (self.low, self.high) if self.patch else (-self.eps, self.eps)
        limits = None if self.patch else (self.low, self.high)
        where = torch.stack([place for place, _ in places])[:, None].to(x)
        rows = x.reshape(1, len(x), -1)
        t = low + (high - low) * torch.rand(where.shape, generator=chance).to(x)

        def losses(t: Tensor) -> tuple[Tensor, Tensor]:
            stamped = _stamp(rows, t, where, limits)
            scores = model.logits(stamped.reshape(-1, *x.shape[1:]))
            wanted = torch.full((len(scores),), target)
            loss = functional.cross_entropy(scores, wanted, reduction="none").reshape(len(places), -1).mean(1)
            return loss, (scores.argmax(1) == target).double().reshape(len(places), -1).mean(1)

        for step in range(self.steps):
            t = t.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(losses(t)[0].sum(), t)
            # Half the range at first, so that every corner is in reach, and less and less.
            t = (t.detach() - 0.5 * (high - low) * (1.0 - step / self.steps) * gradient.sign()).clamp(low, high)
        with torch.no_grad():
            loss, success = losses(t)
        best = max(range(len(places)), key=lambda i: (float(success[i]), -float(loss[i])))
        share = float(success[best])
        found = Perturbation(t[best, 0].detach(), where[best, 0], limits, target, share, places[best][1])
        return share, -float(loss[best]), found

    def _places(self, data: Dataset, size: int) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        channels, height, width = image_shape(data, size)
        if self.patch > min(height, width):
            raise InputError(f"{data.name}: a patch of {self.patch} does not fit images of {height} x {width}")
        for row in range(height - self.patch + 1):
            for column in range(width - self.patch + 1):
                where = torch.zeros(channels, height, width)
                where[:, row : row + self.patch, column : column + self.patch] = 1.0
                yield where.reshape(-1), {"row": row, "column": column, "patch": self.patch}


def _stamp(x: Tensor, values: Tensor, where: Tensor, limits: tuple[float, float] | None) -> Tensor:
    """Added to the sample and clamped to the limits, or in its place where there are none."""
    return x * (1.0 - where) + values * where if limits is None else (x + values).clamp(*limits)


def image_shape(data: Dataset, size: int) -> tuple[int, int, int]:
    """(channels, height, width) of the samples; rows of a square number of elements are grey images.

    Raises InputError for what is no image.
    """
    shape = data.x.shape[1:]
    if len(shape) >= 2:
        return int(np.prod(shape[:-2])), shape[-2], shape[-1]
    side = math.isqrt(size)
    if side * side != size or side < 2:
        message = f"{data.name}: samples of {size} numbers are no images that a patch could lie on"
        raise InputError(message, "set patch=0 to look for a perturbation of the whole input")
    return 1, side, side
