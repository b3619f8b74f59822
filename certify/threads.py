"""One BLAS thread per process: for matrices of this size two threads that spin cost up to ten times more than one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "OPENBLAS_NUM_THREADS"


def limit_by_environment() -> None:
    """Ask for one thread; only works before numpy is imported, and leaves the user's own choice alone.

    Threads of torch are to sleep while they wait: where other processes want the cores too, spinning ones hold each
    other up. Measured with two threads at a load of ten on two cores: 1 s instead of 15 s for a walk.
    """
    os.environ.setdefault(VARIABLE, "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_wanted() -> int:
    """For libraries that use several: what the user asked for by OMP_NUM_THREADS, else every core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked)) if asked.isdigit() else cores()


def keep_freed_memory() -> None:
    """Reuse freed memory instead of handing it back after every large array: page faults cost as much as arithmetic.

    For a process of our own, where the C library is glibc; elsewhere nothing happens.
    """
    import ctypes

    trim_threshold, mmap_threshold = -1, -3
    try:
        c_library = ctypes.CDLL(None)
        c_library.mallopt(mmap_threshold, 2**30)
        c_library.mallopt(trim_threshold, 2**31 - 1)
    except (OSError, AttributeError, TypeError):
        return


def limit_memory(n_bytes: int) -> None:
    """Make allocations beyond so many bytes fail, where the system can (Linux)."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = n_bytes if hard == resource.RLIM_INFINITY else min(n_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """The same for code that runs inside somebody else's process."""
    if os.environ.get(VARIABLE):
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
