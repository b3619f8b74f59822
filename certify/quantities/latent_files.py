"""Latent radii as VNN-LIB 2.0: what was proven, in a form that any verifier can check again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from certify import spec
from certify.bounds.interval import Interval
from certify.errors import InputError
from certify.quantities.classifier import Classifier
from certify.settings import Norm

if TYPE_CHECKING:
    from certify.quantities.latent import Latent


def write_queries(
    folder: Path,
    classifier: Classifier,
    layer: str,
    x: np.ndarray,
    start: np.ndarray,
    found: Sequence[Latent],
    norm: Norm,
    rectified: bool,
    box: Interval | None,
) -> None:
    """For each sample with a certified radius two files, which ask for what was proven not to exist.

    tail_N.vnnlib, for tail.onnx in the folder: a value of the tensor in the ball that the tail answers otherwise.
    hidden_N.vnnlib, for the model itself, where there is a region: an input of it whose hidden tensor lies in the ball
    and whose answer differs. x: [samples, n_inputs]; start: [samples, size of the tensor]; box: regions of inputs.
    """
    tail, whole = spec.network(folder / "tail.onnx"), spec.network(classifier.path)
    for place, each in enumerate(found):
        radius, label = each.radius.lower, each.radius.detail["label"]
        if not radius > 0.0:
            continue
        value, low = tail.input, np.maximum(start[place] - radius, 0.0) if rectified else start[place] - radius
        around = spec.all_of(value.ravel() >= low, value.ravel() <= start[place] + radius)
        near = spec.all_of(around, _in_ball(value.ravel(), start[place], radius, norm))
        comment = (
            f"the tail of {classifier.path.name} at {layer}, {norm} norm radius {radius:.9g}, sample {each.sample}"
        )
        _save(
            spec.require(_wins(tail.output, label), given=near, comment=comment), folder / f"tail_{each.sample}.vnnlib"
        )
        if box is None:
            continue
        inputs, hidden = whole.input.ravel(), whole.hidden(layer).ravel()
        inside = spec.all_of(inputs >= box.lower[place], inputs <= box.upper[place])
        near = spec.all_of(inside, _in_ball(hidden, start[place], radius, norm))
        comment = f"{layer} within {radius:.9g} ({norm} norm) of its value at sample {each.sample}"
        _save(
            spec.require(_wins(whole.output, label), given=near, comment=comment),
            folder / f"hidden_{each.sample}.vnnlib",
        )


def _in_ball(value: spec.Expression, center: np.ndarray, radius: float, norm: Norm) -> spec.Condition:
    if norm == "inf":
        return spec.all_of(value >= center - radius, value <= center + radius)
    return ((value - center) ** 2).sum() <= radius * radius


def _wins(scores: spec.Expression, label: int) -> spec.Condition:
    flat = scores.ravel()
    return spec.all_of(flat[label] > flat.without(label))


def _save(wanted: spec.Property, path: Path) -> None:
    try:
        wanted.save(path)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.hint) from error
