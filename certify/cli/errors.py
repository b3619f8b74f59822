"""From exceptions to one line on stderr and a documented exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from certify.errors import CertifyError

INTERNAL_ERROR = 4


@contextmanager
def reported(verbose: bool = False) -> Iterator[None]:
    """Turn what the block raises into an error line and an exit code; verbose adds the traceback of internal errors."""
    try:
        yield
    except CertifyError as error:
        fail(str(error), error.exit_code)
    except (typer.Exit, typer.Abort, SystemExit, KeyboardInterrupt):
        raise
    except BrokenPipeError:
        raise typer.Exit(0) from None
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches the user
        if verbose:
            traceback.print_exc()
        name = type(error).__name__
        fail(f"internal error: {name}: {error} (please report it; -v shows the traceback)", INTERNAL_ERROR)


def fail(message: str, code: int) -> None:
    """Print the error line and leave."""
    print("certify: error: " + " ".join(message.split()), file=sys.stderr)
    raise typer.Exit(code)
