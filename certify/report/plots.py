"""Plots of a campaign as SVG, drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from certify.report.finding import Finding
from certify.report.pairs import Pair

COLOURS = {"proved": "#1a7f37", "violated": "#cf222e", "undecided": "#9a6700", "error": "#6e7781"}
_CYCLE = ("#0969da", "#bc4c00", "#8250df", "#1b7c83", "#bf3989", "#57606a")
# Logarithmic axes begin here; nothing is measured more finely.
SHORTEST = 1e-3


def cactus(runs: Mapping[str, Sequence[Finding]]) -> str:
    """Within how many seconds (y) each run decides how many instances (x), the quickest first.

    Of one run: proved, violated, and both.
    """
    curves = {run or "decided": [f for f in found if f.record.decided] for run, found in runs.items()}
    colours = dict(zip(curves, _CYCLE * len(curves), strict=False))
    if len(runs) == 1:
        (found,) = runs.values()
        curves |= {kind: [f for f in found if f.outcome == kind] for kind in ("proved", "violated")}
        colours |= COLOURS

    def draw(axes: Any) -> None:
        for name, found in curves.items():
            seconds = sorted(max(finding.record.wall, SHORTEST) for finding in found)
            if seconds:
                axes.step(range(1, len(seconds) + 1), seconds, where="post", color=colours[name], label=_plain(name))
                axes.plot(len(seconds), seconds[-1], "o", color=colours[name], markersize=4)
        axes.set(yscale="log", xlabel="instances decided", ylabel="seconds each")
        if axes.lines:
            axes.legend(frameon=False, loc="upper left")

    return _svg(draw, "cactus")


def scatter(found: Sequence[Pair], names: tuple[str, str], anchors: Mapping[int, str]) -> str:
    """Seconds of two runs on each instance that both have; a run that did not decide is drawn at its time limit.

    anchors: by id of the first run's finding, where a click on the point leads.
    """
    times = [_seconds(finding) for pair in found for finding in (pair.first, pair.second)] or [1.0]
    shared = {kind: [pair for pair in found if _kind(pair) == kind] for kind in COLOURS}

    def draw(axes: Any) -> None:
        for kind, mine in shared.items():
            if mine:
                x, y = ([_seconds(f) for f in side] for side in zip(*((p.first, p.second) for p in mine), strict=True))
                points = axes.scatter(x, y, s=14, color=COLOURS[kind], alpha=0.7, linewidths=0, label=kind)
                points.set_urls([anchors[id(pair.first)] for pair in mine])
        ends = (min(times) / 1.5, max(times) * 1.5)
        axes.plot(ends, ends, color="#8c959f", linewidth=0.8)
        axes.set(xscale="log", yscale="log", aspect="equal")
        axes.set_xlabel(f"seconds: {names[0]}", parse_math=False)
        axes.set_ylabel(f"seconds: {names[1]}", parse_math=False)
        if found:
            axes.legend(frameon=False, loc="upper left")

    return _svg(draw, f"scatter {names}", square=True)


def _kind(pair: Pair) -> str:
    """The outcome that at least one of two runs has."""
    decided = [f.outcome for f in (pair.first, pair.second) if f.record.decided]
    return decided[0] if decided else pair.first.outcome


def _seconds(finding: Finding) -> float:
    record = finding.record
    return max(record.wall if record.decided else max(record.timeout, record.wall), SHORTEST)


def _plain(text: str) -> str:
    """A label that matplotlib takes as it is: neither a formula ($) nor hidden (_)."""
    return text.replace("$", r"\$") if not text.startswith("_") else f" {text}".replace("$", r"\$")


def _svg(draw: Callable[[Any], None], salt: str, square: bool = False) -> str:
    """What `draw` puts on the axes, as an <svg> element; its ids are derived from the salt."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9, "font.family": "sans-serif"}):
        figure = Figure(figsize=(4.2, 4.2) if square else (6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        draw(axes)
        text = io.StringIO()
        figure.savefig(
            text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return text.getvalue()[text.getvalue().index("<svg") :]
