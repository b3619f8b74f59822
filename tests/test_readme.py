"""What the first screen of the README shows is what its command prints, times aside."""

from __future__ import annotations

import re

from bundled import ROOT
from typer.testing import CliRunner

from certify.cli.main import app


def test_the_first_command_prints_what_is_shown(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    command, shown = block[block.index("$ certify ") + len("$ certify ") :].split("\n", 1)
    assert without_times(CliRunner().invoke(app, command.split()).stdout.splitlines()) == without_times(
        shown.splitlines()
    )


def without_times(lines: list[str]) -> list[str]:
    """The lines with every number of seconds as S."""
    return [re.sub(r"\d+\.\d+ s\b", "S", line) for line in lines]
