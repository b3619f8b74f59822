"""What a backend is: one file in this folder with a `BACKEND`; the command line names it as the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from certify.errors import BackendError
from certify.problem import Problem
from certify.search.branch_and_bound import Progress
from certify.settings import Budget, Settings
from certify.verify import Prover

# Backends in the order in which they are listed. The file of "auto-lirpa" is auto_lirpa.py.
NAMES = ("native", "highs", "auto-lirpa")


@dataclass(frozen=True)
class Backend:
    """A way to prove.

    about: one line for `certify backends`; methods: bound methods for `certify bounds`; missing: None if it can run
    here, else the command that installs what is missing; prover: made for one problem, raises UnsupportedOp or
    BackendError where it cannot take it.
    """

    name: str
    about: str
    complete: bool
    missing: Callable[[], str | None]
    prover: Callable[[Problem, Settings, Budget, Progress], Prover]


def load_backend(name: str) -> Backend:
    """The backend of this name. Raises BackendError if there is none, or if it is not installed."""
    backend = find_backend(name)
    command = backend.missing()
    if command is not None:
        raise BackendError(f"backend '{name}' is not installed", f"install it with: {command}")
    return backend


def find_backend(name: str) -> Backend:
    """The backend of this name, installed or not."""
    if name not in NAMES:
        raise BackendError(f"there is no backend '{name}'", f"choose one of: {', '.join(NAMES)}")
    backend: Backend = import_module(f"certify.backends.{name.replace('-', '_')}").BACKEND
    return backend
