"""Pictures of worst triggers: for each target, U* over positions, and the worst trigger on the first samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from certify.dataset import Dataset, read_dataset
from certify.errors import InputError
from certify.quantities.picture import save
from certify.quantities.site import Site, TriggerReport

SHOWN = 3


def draw(report: TriggerReport, data: str | Dataset, path: Path) -> None:
    """Write the picture, in the format that the file's name ends in. Raises InputError where that cannot be done."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("a plot needs matplotlib, which is missing", "pip install jinja2 matplotlib pillow") from error
    samples = data if isinstance(data, Dataset) else read_dataset(data)
    targets = report.plan.targets
    figure = Figure(figsize=(2.2 * (2 + SHOWN), 2.2 * len(targets)), layout="constrained")
    grid = figure.subplots(len(targets), 2 + SHOWN, squeeze=False)
    for target, axes in zip(targets, grid, strict=True):
        sites = [site for site in report.sites if site.target == target]
        for axis, upper in ((axes[0], False), (axes[1], True)):
            shown = axis.imshow(_map(sites, upper), vmin=0.0, vmax=1.0, cmap="magma")
            axis.set_title(f"target {target}: U* " + ("at most" if upper else "at least"), fontsize=8)
        figure.colorbar(shown, ax=axes[1], fraction=0.05)
        site = report.worst_site(target)
        _samples(report, site, samples, axes[2:])
    save(figure, path)


def _map(sites: list[Site], upper: bool) -> np.ndarray:
    """U* by position, NaN where there was none."""
    size = np.array([site.position for site in sites]).max(axis=0) + 1
    found = np.full(tuple(size), np.nan)
    for site in sites:
        found[site.position] = site.worst.upper if upper else site.worst.lower
    return found


def _samples(report: TriggerReport, site: Site, samples: Dataset, axes: Any) -> None:
    """The worst trigger of a site, on the first of the samples that are counted there."""
    (row, column), (height, width) = site.position, report.plan.patch
    for axis, number in zip(axes, site.numbers[: len(axes)], strict=False):
        image = samples.x[number].reshape(report.plan.shape).copy()
        if site.trigger is not None:
            image[:, row : row + height, column : column + width] = site.trigger
        colour = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0)
        axis.imshow(np.clip(colour, 0.0, 1.0) if len(image) == 3 else colour, cmap="gray")
        axis.plot(
            np.array([column, column + width, column + width, column, column]) - 0.5,
            np.array([row, row, row + height, row + height, row]) - 0.5,
            color="#cf222e", linewidth=1.0,
        )  # fmt: skip
        axis.set_title(f"sample {number} at {row},{column}", fontsize=8)
    for axis in axes:
        axis.axis("off")
