"""Every `certify` command line in README and docs names a command and options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from bundled import ROOT
from typer.main import get_command

from certify.cli.main import app

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Blocks of a shell, and `certify ...` in running text.
BLOCK, INLINE = re.compile(r"```(?:sh|console|text|yaml)\n(.*?)```", re.S), re.compile(r"`(certify [a-z][^`]*)`")


def command_lines(page: str) -> list[str]:
    """What follows `certify` on each line, without comments."""
    blocks = "\n".join(BLOCK.findall(page)).replace("\\\n", " ")
    lines = re.findall(r"^(?:\$ |\s*- )?certify ([a-z].*)$", blocks, re.M)
    return [line.split(" #")[0] for line in lines] + [text[8:] for text in INLINE.findall(page)]


def complaint(line: str) -> str:
    """What is wrong with a command line, "" for nothing."""
    words = shlex.split(line.replace("\n", " "), comments=True)
    command, context = get_command(app), None
    while words and hasattr(command, "list_commands"):
        name = words.pop(0)
        if name.isupper():
            return ""
        command = command.get_command(context, name)
        if command is None:
            return f"there is no command {name}"
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known | {"-", "--help"}]
    return f"{command.name} has no option {unknown}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    lines = [line for line in command_lines(page.read_text()) if not line.startswith("supports")]
    assert [found for line in lines if (found := complaint(line))] == []


def test_a_wrong_line_is_found() -> None:
    assert command_lines("```sh\ncertify check M S --fast  # soon\n```") == ["check M S --fast "]
    assert "no option ['--fast']" in complaint("check M S --fast")
    assert "no command chek" in complaint("chek M S")
    assert complaint("baseline save M --specs S -o F") == ""
