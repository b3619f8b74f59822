"""The second process ends with the first, whatever it was doing."""

from __future__ import annotations

import subprocess
import sys

FIRST = """
import os, time
from certify.backends.second_process import SecondProcess
SecondProcess(lambda send: send(b"x" * 10_000_000))
time.sleep(0.3)
os._exit(0)
"""


def test_a_message_that_nobody_takes_does_not_keep_it_alive() -> None:
    # It holds a copy of the pipe: communicate() returns only once it is gone.
    process = subprocess.Popen([sys.executable, "-c", FIRST], stdout=subprocess.PIPE)
    process.communicate(timeout=30.0)
    assert process.returncode == 0
