"""The checker against certificates that are right and wrong (`make_corpus.py`): the right word for the right reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from certify.checker.__main__ import main

CORPUS = Path(__file__).parent / "corpus"
INDEX = json.loads((CORPUS / "index.json").read_text())
CODES = {"accepted": 0, "rejected": 1, "malformed": 2, "unsupported": 3}
FILES = sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob("*/*.cert"))


@pytest.mark.parametrize("entry", FILES)
def test_the_checker_says_the_right_word_for_the_right_reason(entry: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = INDEX[entry]
    problem = [str(CORPUS / "problems" / known[key]) for key in ("model", "spec")]
    code = main([*problem, str(CORPUS / entry)])
    word, _, reason = capsys.readouterr().out.partition("\n")
    assert word == entry.split("/")[0], reason
    assert code == CODES[word]
    assert known["reason"] in reason


@pytest.mark.parametrize("entry", [f for f in FILES if f.startswith("accepted/")])
def test_what_is_accepted_is_so_in_exact_arithmetic_too(entry: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem = [str(CORPUS / "problems" / INDEX[entry][key]) for key in ("model", "spec")]
    assert main([*problem, str(CORPUS / entry), "--exact"]) == 0, capsys.readouterr().out


def test_the_corpus_is_whole() -> None:
    assert set(FILES) == set(INDEX)
    refused = [entry for entry in FILES if not entry.startswith("accepted/")]
    assert len(refused) >= 60
    assert sum(entry.startswith("rejected/") for entry in refused) >= 40
