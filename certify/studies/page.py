"""The page of a study: one file that loads nothing from anywhere."""

from __future__ import annotations

from pathlib import Path

from certify import __version__
from certify.errors import InputError
from certify.studies import pictures
from certify.studies.run import Outcome
from certify.studies.table import ABOUT, HEADINGS, cells


def page(outcome: Outcome) -> str:
    """The HTML. Raises InputError where the libraries of the extra `report` are not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup

        drawn = [(title, Markup(svg)) for title, svg in _pictures(outcome)]
    except ImportError as error:
        raise InputError(f"the page needs {error.name}", "pip install jinja2 matplotlib pillow") from error
    folders = [Path(__file__).parent, Path(__file__).parent.parent / "report"]
    environment = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("study.html").render(
        version=__version__, outcome=outcome, study=outcome.study, headings=HEADINGS, about=ABOUT.splitlines(),
        rows=[(row, cells(row)) for row in outcome.rows], pictures=drawn,
    )  # fmt: skip


def _pictures(outcome: Outcome) -> list[tuple[str, str]]:
    """(what it shows, SVG) of each."""
    rows, found = outcome.rows, outcome.quantities
    shown = [
        ("What an intervention buys, and its price", pictures.tradeoff(rows, outcome.study.eps)),
        ("Radius curves: certified (solid), attacked (dotted)", pictures.radii(rows, found)),
        ("P[a uniformly drawn trigger sends an image to the target]", pictures.probabilities(rows, found)),
        ("Certified latent radius against the norm of the activation", pictures.latents(rows, found)),
    ]
    if outcome.study.map:
        title = "Worst trigger by position: no more than this share of images is sent to the target"
        shown.append((title, pictures.maps(rows, found)))
    return shown
