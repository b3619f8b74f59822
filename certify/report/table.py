"""A table with a title, as texts: shown by the command line, Markdown and the page alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """head: the columns; rows: as many cells each. note: what has to be known to read it, or ""."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def text(self) -> str:
        """Aligned columns: the first to the left, the others, which are numbers or marks, to the right."""
        lines = [list(self.head), *map(list, self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        aligned = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        notes = [self.note] if self.note else []
        return "\n".join([self.title, *("  " + line.rstrip() for line in aligned), *("  " + note for note in notes)])
