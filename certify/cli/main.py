"""The command `certify`: one file per subcommand, imported when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from certify import __version__
from certify.cli.errors import print_error
from certify.cli.leave import leave
from certify.cli.options import finite
from certify.cli.output import use_output
from certify.cli.watch import OwnProcess, process_start
from certify.errors import CertifyError, InputError
from certify.threads import limit_by_environment

INTERRUPTED = 130  # exit code, as shells have it

# Name of each command, in the order of --help, and the file that has it, where that is called otherwise.
COMMANDS = {
    "check": "", "bounds": "", "inspect": "", "spec": "",
    "batch": "", "merge": "", "report": "", "score": "",
    "harden": "", "trojan": "", "compare": "", "baseline": "", "diff": "", "suite": "",
    "radius": "", "probability": "", "trigger": "", "latent": "", "monitor": "", "capability": "",
    "export": "", "backends": "", "operators": "", "verify": "solver", "supports": "solver",
}  # fmt: skip


class Commands(TyperGroup):
    """The commands, each imported and described when it is asked for: starting one must not cost the others' time."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, None if there is none: the group `app` of its file, or its function."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"certify.cli.{COMMANDS[cmd_name] or cmd_name}")
        group = getattr(module, "app", None)
        if group is not None:
            found: Any = get_group(group)
        else:
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            alone.command(cmd_name, **getattr(module, "SETTINGS", {}).get(cmd_name, {}))(getattr(module, cmd_name))
            found = get_command(alone)
        for command in getattr(found, "commands", {"": found}).values():
            for parameter in command.params:
                parameter.callback = parameter.callback or finite
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what is wrong with its options is one line on stderr."""
        try:
            return super().invoke(ctx)
        except CertifyError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print("certify: interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    help="Formal verification of neural networks: ONNX and VNN-LIB in, a verdict with evidence out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"certify {__version__}")
        raise typer.Exit


def _show_name(wanted: bool) -> None:
    if wanted:
        typer.echo("certify")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
    name: bool = typer.Option(False, "--name", callback=_show_name, is_eager=True, help="Show the name of the tool."),
) -> None:
    """Options that come before the command."""


def run() -> NoReturn:
    """Entry point of the script. Leaves without tearing the interpreter down, once everything is flushed."""
    limit_by_environment()
    use_output()
    try:
        app(obj=OwnProcess(process_start()))
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except InputError as error:  # no room for the text of --help
        print_error(error)
        code = error.exit_code
    leave(code)
