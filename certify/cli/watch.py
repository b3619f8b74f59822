"""The clock and the signals of a run, on a thread of their own: an answer comes even while the engine is busy."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from certify.interrupt import INTERRUPTED

# How long after its deadline a run may still answer by itself.
GRACE = 0.25
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class OwnProcess:
    """Handed to commands that run as a process of their own: they may watch its clock and signals, and end it."""

    started: float


@contextmanager
def answering_early() -> Iterator[None]:
    """The first SIGINT or SIGTERM uses up every budget, so that the command answers with what is proven so far.

    The second one ends it. For commands whose answer is an interval that holds whenever it stops.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        if INTERRUPTED.is_set():
            raise KeyboardInterrupt
        INTERRUPTED.set()
        os.write(2, b"certify: interrupted: what is proven so far follows (once more to end at once)\n")

    # What the parent had ignored, as a shell does for its background, stays ignored.
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in (n for n, handler in before.items() if handler != signal.SIG_IGN):
        signal.signal(number, stop)
    try:
        yield
    finally:
        INTERRUPTED.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def process_start() -> float:
    """When this process started, on the clock of time.monotonic (now, where the system does not tell)."""
    try:
        ticks = int(Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.monotonic() - age
    except (OSError, AttributeError, ValueError, IndexError):
        return time.monotonic()


def watching(process: OwnProcess | None, deadline: float, stop: Callable[[str], None]) -> AbstractContextManager[None]:
    """Watch the clock and the signals of a process of our own; in somebody else's, do nothing."""
    return nullcontext() if process is None else _watching(deadline, stop)


def _end(stop: Callable[[str], None], why: str) -> None:
    """Call stop(why); where that fails, as when nobody reads the answer any more, end the process all the same.

    Its signals are blocked, and nobody is left to take them.
    """
    try:
        stop(why)
    except Exception:
        os._exit(4)


@contextmanager
def _watching(deadline: float, stop: Callable[[str], None]) -> Iterator[None]:
    """Call stop("timeout") some time after the deadline, or stop("interrupt") on SIGINT or SIGTERM, from a thread.

    Signals are blocked in the calling thread meanwhile and restored afterwards.
    """
    done = threading.Event()
    can_wait = hasattr(signal, "sigtimedwait") and threading.current_thread() is threading.main_thread()

    def wait() -> None:
        while not done.is_set():
            left = deadline + GRACE - time.monotonic()
            if left <= 0.0:
                _end(stop, "timeout")
                return
            if not can_wait:
                done.wait(left)
            elif signal.sigtimedwait(SIGNALS, min(left, 0.2)) is not None and not done.is_set():
                _end(stop, "interrupt")
                return

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS) if can_wait else None
    thread = threading.Thread(target=wait, daemon=True, name="certify-watch")
    thread.start()
    try:
        yield
    finally:
        done.set()
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
