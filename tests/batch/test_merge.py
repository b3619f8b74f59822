from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from certify.batch.journal import JOURNAL, read_journal
from certify.batch.merge import conflicts, merge, merge_folders
from certify.batch.record import Record
from certify.batch.results import read_results
from certify.errors import InputError

FILES = {"a.onnx": "11", "p.vnnlib": "22"}
RECORD = Record("00", "b", {"": "a.onnx"}, "p.vnnlib", 60.0, "unsat", sha256=FILES)


def numbered(index: int, status: str = "unsat") -> Record:
    spec = f"p{index}.vnnlib"
    return replace(RECORD, key=str(index), spec=spec, status=status, index=index, sha256={**FILES, spec: str(index)})


def test_shards_come_back_in_the_order_of_the_list():
    assert [r.index for r in merge([[numbered(0), numbered(2)], [numbered(1), numbered(3)]])] == [0, 1, 2, 3]


@pytest.mark.parametrize("statuses", [("timeout", "unsat"), ("unsat", "error"), ("unknown", "unsat")])
def test_what_says_most_is_kept(statuses: tuple[str, str]):
    (found,) = merge([[numbered(0, status)] for status in statuses])
    assert found.status == "unsat"


def test_a_contradiction_is_found_across_options_and_names():
    other = replace(RECORD, key="99", status="sat", networks={"": "x/b.onnx"}, spec="x/q.vnnlib")
    other = replace(other, sha256={"x/b.onnx": "11", "x/q.vnnlib": "22"})
    (found,) = conflicts([RECORD, other, numbered(1)])
    assert (found.proved, found.violated) == (RECORD, other)


def test_undecided_contradicts_nothing():
    assert conflicts([RECORD, replace(RECORD, key="99", status="timeout")]) == []
    assert conflicts([RECORD, replace(RECORD, status="sat", sha256={**FILES, "p.vnnlib": "33"})]) == []


def test_folders_become_one(tmp_path: Path):
    for name, record in (("1", numbered(1, "sat")), ("2", numbered(0))):
        (tmp_path / name / "b").mkdir(parents=True)
        (tmp_path / name / JOURNAL).write_text(record.line())
    (tmp_path / "1" / "b" / "a_p1.counterexample").write_text("((X_0 1))")
    merge_folders([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
    assert [r.index for r in read_journal(tmp_path / "all")] == [0, 1]
    assert [row.result for row in read_results(tmp_path / "all" / "results.csv")] == ["unsat", "sat"]
    assert (tmp_path / "all" / "b" / "a_p1.counterexample").exists()
    with pytest.raises(InputError, match="already"):
        merge_folders([tmp_path / "1"], tmp_path / "all")
