from __future__ import annotations

import pytest

from certify.batch.record import Record, read_record
from certify.errors import ParseError

RECORD = Record("00", "acasxu", {"": "a.onnx"}, "p.vnnlib", 60.0, "sat", witness={"X": [0.1, -1.5]}, bound=-2.5)


def test_a_record_survives_its_line():
    assert read_record(RECORD.line(), "results.jsonl", 1) == RECORD


@pytest.mark.parametrize("line", ["", RECORD.line()[:-20], "[]", '{"key": "00"}', "null"])
def test_a_damaged_line_is_named(line: str):
    with pytest.raises(ParseError, match=r"results.jsonl:7:1: not a record"):
        read_record(line, "results.jsonl", 7)
