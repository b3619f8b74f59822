"""One BLAS thread per process: for matrices of this size two threads that spin cost up to ten times more than one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "OPENBLAS_NUM_THREADS"


def limit_by_environment() -> None:
    """Ask for one thread; only works before numpy is imported, and leaves the user's own choice alone."""
    os.environ.setdefault(VARIABLE, "1")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """The same for code that runs inside somebody else's process."""
    if os.environ.get(VARIABLE):
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
