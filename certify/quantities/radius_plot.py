"""The curve of certified accuracy as a picture, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from certify.errors import InputError
from certify.quantities.picture import save
from certify.quantities.radius import Radii


def draw(found: Radii, path: str | Path) -> None:
    """The share of samples certified at each radius, and that of samples no attack broke; the truth is between.

    Raises InputError where matplotlib is missing or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("a plot needs matplotlib, which is missing", "pip install jinja2 matplotlib pillow") from error
    finite = found.attacked[np.isfinite(found.attacked)]
    at = np.linspace(0.0, 1.05 * max(finite.max(initial=0.0), found.certified.max(initial=0.0), 1e-9), 400)
    certified, unbroken = found.certified_share(at), found.unbroken_share(at)
    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(at, certified, unbroken, color="#0969da", alpha=0.15, linewidth=0, label="open")
    axes.plot(at, certified, color="#1a7f37", label="certified")
    axes.plot(at, unbroken, color="#cf222e", label="not broken by an attack")
    axes.set(xlabel=f"radius, norm {found.norm}", ylabel="share of samples", ylim=(0.0, 1.02), xlim=(0.0, at[-1]))
    axes.legend(frameon=False)
    save(figure, path, dpi=150)
