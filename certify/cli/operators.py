"""`certify operators`: the ONNX operators that can be bounded and how, as the Markdown table of docs/operators.md."""

from __future__ import annotations

import typer

HEAD = """# Operators

Written by `certify operators > docs/operators.md`; a test holds it against the registry.

Whatever does not depend on the input is computed beforehand, whatever the operator. Of the others, *linear* ones are
exact, *exactly, as Relu* means a rewrite that search can branch on, and *planes* are bounds that tighten as intervals
do. *Takes* tells which values computed from the input an operator accepts besides floats. Places that a model computes
(starts of slices, indices, ranges) are followed through any operator that moves, adds or compares whole numbers, until
a tensor of one shape comes out, which is looked up. Everything else is refused by name; `certify inspect MODEL` shows
the first node that is.

| operator | from opset | takes | how it is handled |
|---|---|---|---|
"""


def operators() -> None:
    """List every supported ONNX operator and how it is handled, as a Markdown table."""
    typer.echo(table(), nl=False)


def table() -> str:
    """The whole page."""
    from certify.ops.registry import all_entries

    rows = []
    for entry in all_entries():
        name = f"{entry.domain}.{entry.op_type}" if entry.domain else entry.op_type
        kinds = ", ".join(kind for kind in ("int", "bool", "quantised") if kind in entry.takes)
        rows.append(f"| {name} | {entry.since if entry.since > 1 else ''} | {kinds} | {entry.handled} |\n")
    return HEAD + "".join(rows)
