"""The pictures of a study as SVG, drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from certify.studies.quantities import Quantities
from certify.studies.row import Row

RED, GREEN, GREY = "#cf222e", "#1a7f37", "#6e7781"


def tradeoff(rows: Sequence[Row], eps: float) -> str:
    """Tax against the share proven trojan-absent, and against the share proven robust."""

    def draw(left: Any, right: Any) -> None:
        for axis, what, values in (
            (left, "proven trojan-absent", [row.absent for row in rows]),
            (right, f"proven robust within {eps:g}", [row.certified for row in rows]),
        ):
            for row, value in zip(rows, values, strict=True):
                axis.plot(row.tax, value, "o", color="#0969da" if row.method else GREY)
                axis.annotate(row.name, (row.tax, value), xytext=(4, 3), textcoords="offset points", fontsize=7)
            axis.set(xlabel="tax (points of accuracy)", ylabel=f"share {what}", ylim=(-0.05, 1.08))

    return _svg(draw, 2, (9.0, 3.8))


def radii(rows: Sequence[Row], found: Sequence[Quantities]) -> str:
    """The share of images that is certified (solid) and that no attack broke (dashed) within each radius."""

    def draw(axis: Any) -> None:
        for (row, each), colour in zip(zip(rows, found, strict=True), _colours(len(rows)), strict=True):
            for column, style in ((0, "-"), (1, ":")):
                values = np.sort(np.minimum(each.radii[:, column], 1.0))
                share = 1.0 - np.arange(len(values)) / len(values)
                label = row.name if column == 0 else None
                axis.step(values, share, where="post", color=colour, linestyle=style, linewidth=1.1, label=label)
        axis.set(xlabel="radius (maximum norm)", ylabel="share of images", ylim=(0.0, 1.02))
        axis.set_xlim(left=0.0)
        axis.legend(frameon=False, fontsize=7)

    return _svg(draw, 1, (7.0, 4.2))


def probabilities(rows: Sequence[Row], found: Sequence[Quantities]) -> str:
    """The interval of the probability that a random trigger on a random image ends in the target."""

    def draw(axis: Any) -> None:
        for place, each in enumerate(found):
            low, high = each.law
            axis.plot([low, high], [place, place], color="#0969da", linewidth=5, solid_capstyle="butt")
            axis.plot([low, high], [place, place], "|", color="#0550ae", markersize=9)
        axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
        axis.invert_yaxis()
        axis.set(xlabel="probability, proven to be in the interval", xlim=(-0.01, 1.01))

    return _svg(draw, 1, (6.5, 0.6 + 0.28 * len(rows)))


def maps(rows: Sequence[Row], found: Sequence[Quantities]) -> str:
    """The largest share of images that any trigger at each position is proven not to exceed."""
    columns = 5

    def draw(*axes: Any) -> None:
        for axis, row, each in zip(axes, rows, found, strict=False):
            axis.imshow(each.map[..., 1], vmin=0.0, vmax=1.0, cmap="magma")
            worst = float(np.nanmax(each.map[..., 1]))
            axis.set_title(f"{row.name}: at most {worst:.2f}", fontsize=7)
            axis.set_xticks([])
            axis.set_yticks([])
        for axis in axes[len(rows) :]:
            axis.set_visible(False)

    lines = -(-len(rows) // columns)
    return _svg(draw, (lines, columns), (9.0, 1.9 * lines))


def latents(rows: Sequence[Row], found: Sequence[Quantities]) -> str:
    """Certified radius of the last hidden tensor against its size: a radius that only grew with it protects nothing."""

    def draw(axis: Any) -> None:
        for (row, each), colour in zip(zip(rows, found, strict=True), _colours(len(rows)), strict=True):
            label = f"{row.name}: median {each.ratio:.3f}"
            axis.plot(each.latent[:, 1], each.latent[:, 0], "o", color=colour, markersize=3, label=label)
        axis.set(xlabel="norm of the activation", ylabel="certified radius around it")
        axis.legend(frameon=False, fontsize=7)

    return _svg(draw, 1, (7.0, 4.2))


def _colours(count: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["tab20"](i % 20) for i in range(count)]


def _svg(draw: Callable[..., None], axes: int | tuple[int, int], size: tuple[float, float]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    rows, columns = (1, axes) if isinstance(axes, int) else axes
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in grid:
        axis.spines[["top", "right"]].set_visible(False)
    draw(*grid)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
