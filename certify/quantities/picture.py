"""A figure of matplotlib as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from certify.errors import InputError
from certify.files import replacing


def save(figure: Any, path: str | Path, **options: Any) -> None:
    """Write the figure in the format that the file's name ends in. Raises InputError where that cannot be done."""
    try:
        with replacing(path) as part:
            figure.savefig(part, format=Path(path).suffix.removeprefix("."), **options)
    except ValueError as error:
        raise InputError(f"{path}: cannot be drawn: {error}", "a name that ends in .png, .svg or .pdf") from error
