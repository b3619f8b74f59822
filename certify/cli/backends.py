"""`certify backends`: what can prove here."""

from __future__ import annotations

import typer

from certify.cli.errors import reported


def backends() -> None:
    """List the backends, whether each is installed, and the command that installs what is missing."""
    with reported():
        from certify.backends.base import NAMES, find_backend

        for name in NAMES:
            backend = find_backend(name)
            command = backend.missing()
            kind = "complete" if backend.complete else "incomplete"
            state = "installed" if command is None else f"not installed: {command}"
            typer.echo(f"{name:12} {kind:10} {backend.about}\n{'':24}{state}")
