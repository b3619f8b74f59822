"""The page of operators is what the registry says."""

from __future__ import annotations

from pathlib import Path

from certify.cli.operators import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == table(), "run: certify operators > docs/operators.md"
