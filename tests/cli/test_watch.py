"""The watch ends the process whatever becomes of the answer."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import time
from certify.cli.watch import OwnProcess, watching

def stop(why):
    raise BrokenPipeError

with watching(OwnProcess(0.0), time.monotonic() + {left}, stop):
    print("watched", flush=True)
    time.sleep(50)
"""


def started(left: float) -> subprocess.Popen[str]:
    """A process that is busy, whose answer nobody reads."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(left=left)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "watched\n"
    return process


def test_at_the_deadline() -> None:
    process = started(0.0)
    assert process.wait(timeout=30) == 4


def test_on_a_signal() -> None:
    process = started(1000.0)
    process.terminate()
    assert process.wait(timeout=30) == 4
