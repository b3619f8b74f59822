"""Options that several commands have: one name, one meaning and one way to be refused."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from certify.errors import InputError

Target = TypeVar("Target", str, Path)


def writable(value: Any) -> Any:
    """Callback of an option that names a file to write: refused before the work, not after it."""
    if value is not None and str(value) != "-":
        from certify.files import check_writable

        check_writable(value)
    return value


def drawable(value: Path | None) -> Path | None:
    """Callback of an option that names a picture to draw."""
    if value is not None and value.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"{value}: not a kind of picture that can be drawn", "name a .png, .svg or .pdf")
    if value is not None and find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib, which is missing", "pip install jinja2 matplotlib pillow")
    return writable(value)


def finite(context: Any, parameter: Any, value: Any) -> Any:
    """Callback of every option: NaN is no number, and only the end of a range may be infinite."""
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, float) and (math.isnan(number) or (math.isinf(number) and number is value)):
            raise InputError(f"{parameter.opts[0]} {number:g}: expected a finite number", "write it like 0.5 or 60")
    return value


Data = Annotated[
    str, typer.Option(metavar="FILE", help="Samples: .npz, .npy, .csv, idx, or digits, digits:train, digits:test.")
]
Count = Annotated[int | None, typer.Option(min=1, help="The first so many samples; else all.")]
Clip = Annotated[tuple[float, float] | None, typer.Option(metavar="LO HI", help="Range of valid inputs.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of whatever is left to chance.")]
Plot = Annotated[Path | None, typer.Option(metavar="FILE", callback=drawable, help="Draw it (.png, .svg, .pdf).")]
Json = Annotated[
    str | None, typer.Option(metavar="FILE|-", callback=writable, help="Write everything as JSON; - for stdout.")
]
Rows = Annotated[int, typer.Option("--most", min=0, help="Rows of each table to print.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks of internal errors.")]
Network = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FILE", help="Model of a network that SPEC declares, instead of MODEL; repeatable."),
]
