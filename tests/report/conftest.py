"""A browser, where the machine has one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def browser() -> Callable[..., str]:
    """The document that headless Chromium has made of a page: browser(path, "?q=timeout#i3")."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here (Debian's package chromium)")

    def dump(page: Path, address: str = "", *options: str) -> str:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", *options]
        done = subprocess.run(
            [*command, "--dump-dom", f"{page.as_uri()}{address}"], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return dump
