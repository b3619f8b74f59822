from __future__ import annotations

from pathlib import Path

import pytest

from certify.batch.record import Record
from certify.batch.results import read_results, results_csv
from certify.errors import ParseError

ROWS = [
    Record("0", "acasxu", {"": "./onnx/a.onnx"}, "./vnnlib/p.vnnlib", 60.0, "unsat", wall=1.25),
    Record("1", "mono", {"f": "a.onnx", "g": "b.onnx"}, "q.vnnlib", 60.0, "out-of-memory", index=1),
]


def test_the_text_is_that_of_the_organisers():
    assert results_csv(reversed(ROWS)) == (
        "acasxu,./onnx/a.onnx,./vnnlib/p.vnnlib,0.0,unsat,1.25\n"
        "mono,\"[('f', 'a.onnx'), ('g', 'b.onnx')]\",q.vnnlib,0.0,unknown,0.0\n"
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("unsat", "unsat"), ("sat", "sat"), ("holds", "unsat"), ("violated", "sat"), ("SAT", "sat"), ("", "unknown"),
        ("timeout(X_0", "timeout"), ("timed-out", "timeout"), ("no_result_in_file", "unknown"),
        ("prepare_instance_error_1", "unknown"), ("run_instance_timeout", "timeout"),
        ("prepare_instance_timeout", "timeout"), ("error_exit_code_139", "error"), ("error_nonmaximal", "unknown"),
        ("error", "error"), ("unknown", "unknown"), ("run_single_instance_error", "error"),
    ],
)  # fmt: skip
def test_words_of_the_organisers_scripts(tmp_path: Path, text: str, word: str):
    (tmp_path / "r.csv").write_text(f"acasxu,a.onnx,p.vnnlib,2.0,{text},5.5\r\n")
    (row,) = read_results(tmp_path / "r.csv")
    assert (row.result, row.run_time) == (word, 5.5)


@pytest.mark.parametrize("row", ["a,b,c,1,perhaps,2", "a,b,c,sat,2", "a,b,c,1,sat,long"])
def test_a_bad_row_is_named(tmp_path: Path, row: str):
    (tmp_path / "r.csv").write_text(f"a,b,c,1,sat,2\n{row}\n")
    with pytest.raises(ParseError, match=r"r.csv:2:1: not a row of results"):
        read_results(tmp_path / "r.csv")
