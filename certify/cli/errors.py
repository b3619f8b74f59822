"""From exceptions to one line on stderr and a documented exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from certify.errors import CertifyError

INTERNAL_ERROR = 4
# Characters of an error that are printed.
LONGEST = 2000


@contextmanager
def reported(verbose: bool = False, failed: Callable[[str, int], int] = lambda message, code: code) -> Iterator[None]:
    """Turn what the block raises into an error line and an exit code; verbose adds the traceback of internal errors.

    failed: told of an error and its exit code, says which code to leave with.
    """
    try:
        yield
    except CertifyError as error:
        print_error(error)
        raise typer.Exit(failed(str(error), error.exit_code)) from None
    except (typer.Exit, typer.Abort, SystemExit, KeyboardInterrupt):
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches the user
        if verbose:
            traceback.print_exc()
        message = f"internal error: {type(error).__name__}: {error} (please report it; -v shows the traceback)"
        print_error(message)
        raise typer.Exit(failed(message, INTERNAL_ERROR)) from None


def print_error(error: object) -> None:
    """The error as one line on stderr. What it quotes of a file can be anything: unprintable characters are escaped."""
    line = " ".join(str(error).split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line[:LONGEST])
    print(f"certify: error: {shown}{' ...' if len(line) > LONGEST else ''}", file=sys.stderr)
