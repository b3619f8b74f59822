"""Before and after: the same specifications, budget and backend for several models, and what has changed.

`certify.compare(BEFORE, [AFTER...], SPECS)` is this room: a room of that name and a call of that name would otherwise
hide each other.
"""

from __future__ import annotations

from sys import modules
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A package that can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from certify.compare.comparison import compare

        return compare(*args, **kwargs)


modules[__name__].__class__ = _Room
