"""The page of a study: one file that loads nothing from anywhere."""

from __future__ import annotations

import io
from pathlib import Path

from certify import __version__
from certify.errors import InputError
from certify.studies.run import Outcome
from certify.studies.table import ABOUT, HEADINGS, cells


def page(outcome: Outcome) -> str:
    """The HTML. Raises InputError where the libraries of the extra `report` are not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup

        tradeoff = Markup(_tradeoff(outcome))
    except ImportError as error:
        raise InputError(f"the page needs {error.name}", "pip install 'certify[report]'") from error
    folders = [Path(__file__).parent, Path(__file__).parent.parent / "report"]
    environment = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("study.html").render(
        version=__version__, outcome=outcome, study=outcome.study, headings=HEADINGS, about=ABOUT.splitlines(),
        rows=[(row, cells(row)) for row in outcome.rows], tradeoff=tradeoff,
    )  # fmt: skip


def _tradeoff(outcome: Outcome) -> str:
    """Tax against the share proven trojan-absent, and against the share proven robust, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    for axis, what, values in (
        (axes[0], "proven trojan-absent", [row.absent for row in outcome.rows]),
        (axes[1], f"proven robust within {outcome.study.eps:g}", [row.certified for row in outcome.rows]),
    ):
        for row, value in zip(outcome.rows, values, strict=True):
            axis.plot(row.tax, value, "o", color="#0969da" if row.method else "#6e7781")
            axis.annotate(row.name, (row.tax, value), xytext=(4, 3), textcoords="offset points", fontsize=7)
        axis.set(xlabel="tax (points of accuracy)", ylabel=f"share {what}", ylim=(-0.05, 1.08))
        axis.spines[["top", "right"]].set_visible(False)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
