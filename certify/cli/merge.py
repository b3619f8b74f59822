"""`certify merge DIR... --out DIR`: shards become one campaign."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from certify.cli.errors import reported


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that certify batch wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write, which holds no campaign yet.")],
) -> None:
    """Join campaigns or shards, and find instances that one of them proved and another one refuted.

    Exit codes: 0 joined, 1 joined, but there are such contradictions, 2 not usable.
    """
    with reported():
        from certify.batch.merge import merge_folders

        records, conflicts = merge_folders(folders, out)
        counts = ", ".join(f"{n} {status}" for status, n in sorted(Counter(r.status for r in records).items()))
        typer.echo(f"{out}: {len(records)} instances: {counts or 'none'}")
        for c in conflicts:
            models = " ".join(c.violated.networks.values())
            typer.echo(
                f"CONFLICT: {models} {c.violated.spec}: proved on {c.proved.host} ({c.proved.started}), "
                f"violated on {c.violated.host} ({c.violated.started})"
            )
        raise typer.Exit(int(bool(conflicts)))
