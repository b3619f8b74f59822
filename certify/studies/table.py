"""The table of a study, as text for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from certify.studies.row import Row

HEADINGS = (
    "model",
    "accuracy",
    "tax",
    "attack",
    "absent",
    "present",
    "worst trigger",
    "robust",
    "|f-g|",
    "lost",
    "won",
)
ABOUT = """\
accuracy: on the test data; tax: points of accuracy lost against the trojaned model
attack: stamped test images of other classes sent to the target
absent: images PROVEN never to be sent to the target by any trigger at the site; present: those with one that does
worst trigger: the largest share of images that a single trigger at the site sends to the target, [attained, proven]
robust: images PROVEN to keep their class within eps; |f-g|: from the trojaned model near test images, [reached, proven]
lost, won: specifications proved for the trojaned model and not any more (refuted + open), and newly proved"""


def cells(row: Row) -> tuple[str, ...]:
    """The cells of one row, in the order of HEADINGS."""
    reached = "" if row.difference is None else f"[{row.difference[0]:.2f}, {row.difference[1]:.2f}]"
    return (
        row.name, f"{row.accuracy:.3f}", f"{row.tax:+.1f}", f"{row.attack:.3f}", f"{row.absent:.3f}",
        f"{row.present:.3f}", f"[{row.worst[0]:.2f}, {row.worst[1]:.2f}]", f"{row.certified:.3f}", reached,
        f"{row.regressed}+{row.weakened}", str(row.gained),
    )  # fmt: skip


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
