"""The table of a study, as text for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from certify.studies.row import Row

HEADINGS = (
    "model", "accuracy", "tax", "attack", "absent", "present", "worst trigger", "P[trigger]", "robust", "radius",
    "latent", "|f-g|", "lost", "won",
)  # fmt: skip
ABOUT = """\
accuracy: on the test data; tax: points of accuracy lost against the trojaned model
attack: stamped test images of other classes sent to the target
absent: images PROVEN never to be sent to the target by any trigger at the site; present: those with one that does
worst trigger: the largest share of images that a single trigger at the site sends to the target, [attained, proven]
P[trigger]: PROVEN bounds of the probability that a trigger drawn uniformly sends an image to the target
robust: images PROVEN to keep their class within eps; radius: median, [certified, attacked]
latent: median certified radius of the last hidden tensor, in units of its norm
|f-g|: from the trojaned model near test images, [reached, proven]
lost, won: specifications proved for the trojaned model and not any more (refuted + open), and newly proved"""


def cells(row: Row) -> tuple[str, ...]:
    """The cells of one row, in the order of HEADINGS."""
    return (
        row.name, f"{row.accuracy:.3f}", f"{row.tax:+.1f}", f"{row.attack:.3f}", f"{row.absent:.3f}",
        f"{row.present:.3f}", _interval(row.worst, 2), _interval(row.law, 3), f"{row.certified:.3f}",
        _interval(row.radius, 3), f"{row.latent:.3f}", "" if row.difference is None else _interval(row.difference, 2),
        f"{row.regressed}+{row.weakened}", str(row.gained),
    )  # fmt: skip


def _interval(ends: tuple[float, float], digits: int) -> str:
    return f"[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def text(rows: Sequence[Row]) -> str:
    """Columns of even width."""
    table = [HEADINGS, *map(cells, rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADINGS))]
    lines = []
    for line in table:
        name, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join([name, *others]))
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """A table for a README."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" + "|---:" * (len(HEADINGS) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(cells(row)) + " |" for row in rows)]).replace("|f-g|", "\\|f-g\\|")
