"""Unlearning: make a model forget some samples while it keeps the others, and how fast it would learn them again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from certify.dataset import Dataset, read_dataset
from certify.errors import InputError
from certify.interventions.base import Intervention, Run, setting
from certify.interventions.train import Batch, accuracy, fit
from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Unlearn(Intervention):
    """Train on retain * loss(kept samples) + forget * loss(samples to forget), the latter one of these.

    ascent: minus the cross-entropy of their class, up to `most` nats a sample (gradient ascent as in Golatkar et al.
    2020 and later; without a limit it diverges). random: cross-entropy of a wrong class, drawn anew each step, among
    those that are kept (Graves et al. 2021). The samples are those of `classes` in the data, or those of the file
    `samples`; what the data has in common with that file is not kept.

    Relearning, of a copy: steps of Adam on the kept and the forgotten samples together, until the accuracy on the
    forgotten ones is `share` of what it was before the unlearning. Few steps: it was hidden, not removed.
    """

    about = "forget classes or samples, and measure how many steps bring them back"

    by: Literal["ascent", "random"] = setting("ascent", "what is done to the samples to forget")
    classes: str | None = setting(None, "classes to forget, such as 5,6")
    samples: str | None = setting(None, "file of labelled samples to forget, instead of classes")
    forget: float = setting(1.0, "weight of the loss of the samples to forget", 0.0)
    retain: float = setting(1.0, "weight of the loss of the others", 0.0)
    most: float = setting(5.0, "ascent: cross-entropy from which on a sample counts as forgotten, nats", 0.0)
    share: float = setting(0.5, "relearning: share of the first accuracy that it goes on for", 0.0)
    relearn_steps: int = setting(200, "relearning: the most steps, 0 to leave it out", 0)

    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """Train the model in place."""
        kept, gone = self._sets(data, model.n_classes)
        every = _joined(kept, gone)
        x, y = model.samples(gone)
        x_kept, y_kept = model.samples(kept)
        first = accuracy(model, x, y)
        run.facts["samples"] = {"kept": len(kept), "forgotten": len(gone)}
        run.facts["before"] = {"kept": accuracy(model, x_kept, y_kept), "forgotten": first}
        wrong = _wrong_classes(gone.labels, kept.labels, model.n_classes)

        def loss(model: TrainableModel, batch: Batch) -> Tensor:
            out = batch.numbers >= len(kept)
            scores = model.logits(batch.x)
            values = functional.cross_entropy(scores, batch.y, reduction="none")
            if self.by == "random":
                allowed = wrong[batch.numbers[out] - len(kept)]
                drawn = torch.multinomial(allowed, 1, generator=run.chance)[:, 0] if len(allowed) else batch.y[out]
                ended = functional.cross_entropy(scores[out], drawn, reduction="none")
            else:
                ended = -values[out].clamp(max=self.most)
            return (self.retain * values[~out].sum() + self.forget * ended.sum()) / len(values)

        fit(model, every, run, loss)
        run.facts["after"] = {"kept": accuracy(model, x_kept, y_kept), "forgotten": accuracy(model, x, y)}
        if self.relearn_steps:
            run.facts["relearn"] = self._relearn(model.copy(), every, (x, y), self.share * first, run)
        return model

    def _relearn(
        self, model: TrainableModel, data: Dataset, gone: tuple[Tensor, Tensor], wanted: float, run: Run
    ) -> dict[str, Any]:  # fmt: skip
        """What it takes to bring the forgotten back; "steps" is None where the most steps were not enough."""
        x, y = model.samples(data)
        optimiser = torch.optim.Adam(model.parameters.values(), lr=run.training.lr)
        accuracies = [accuracy(model, *gone)]
        while accuracies[-1] < wanted and len(accuracies) <= self.relearn_steps:
            numbers = torch.randint(len(x), (min(run.training.batch, len(x)),), generator=run.chance)
            optimiser.zero_grad()
            value = functional.cross_entropy(model.logits(x[numbers]), y[numbers])
            value.backward()
            optimiser.step()
            accuracies.append(accuracy(model, *gone))
        reached = accuracies[-1] >= wanted
        steps = len(accuracies) - 1
        return {"wanted": wanted, "steps": steps if reached else None, "tried": steps, "accuracy_by_step": accuracies}

    def _sets(self, data: Dataset, n_classes: int) -> tuple[Dataset, Dataset]:
        """(samples to keep, samples to forget). Raises InputError where one of them is empty."""
        if (self.classes is None) == (self.samples is None):
            raise InputError("unlearn: name either the classes to forget or a file of samples", "as in classes=5,6")
        if self.classes is not None:
            try:
                chosen = np.isin(data.labels, [int(text) for text in self.classes.split(",")])
            except ValueError:
                raise InputError(f"unlearn: classes={self.classes}: expected class numbers, as in 5,6") from None
            kept, gone = data.take(np.flatnonzero(~chosen)), data.take(np.flatnonzero(chosen))
        else:
            gone = read_dataset(str(self.samples))
            known = {row.tobytes() for row in gone.flat(data.x[0].size)}
            same = [row.tobytes() in known for row in data.flat(data.x[0].size)]
            kept = data.take(np.flatnonzero(~np.array(same)))
        if not len(kept) or not len(gone):
            nothing = "keep" if not len(kept) else "forget"
            raise InputError(f"{data.name}: there is nothing to {nothing}", "name classes that some samples have")
        gone.check_labels(n_classes)
        return kept, gone


def _joined(kept: Dataset, gone: Dataset) -> Dataset:
    """Both, those to keep first."""
    x = np.concatenate([kept.x, gone.x.reshape(len(gone), *kept.x.shape[1:])])
    return replace(kept, x=x, y=np.concatenate([kept.labels, gone.labels]))


def _wrong_classes(gone: np.ndarray, kept: np.ndarray, n_classes: int) -> Tensor:
    """[samples to forget, classes]: 1 for each class that is kept and is not the sample's own.

    Where there is none, as when all but one are forgotten, for every class that is not its own.
    """
    own = np.eye(n_classes)[gone]
    wrong = np.isin(np.arange(n_classes), kept) * (1.0 - own)
    return torch.from_numpy(np.where(wrong.any(1, keepdims=True), wrong, 1.0 - own))


METHOD = Unlearn
