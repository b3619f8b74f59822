from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from certify.batch.journal import JOURNAL, Journal, identity_of, read_journal
from certify.batch.record import Record
from certify.errors import InputError, ParseError

RECORD = Record("00", "acasxu", {"": "a.onnx"}, "p.vnnlib", 60.0, "unsat")


def test_what_is_appended_is_read_again(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.append(RECORD)
        assert read_journal(tmp_path) == [RECORD]
    with Journal(tmp_path, resume=True) as journal:
        assert list(journal.records.values()) == [RECORD]


def test_the_last_record_of_an_instance_counts(tmp_path: Path):
    other = replace(RECORD, spec="q.vnnlib")
    with Journal(tmp_path) as journal:
        for record in (RECORD, other, replace(RECORD, status="sat")):
            journal.append(record)
    assert [r.status for r in read_journal(tmp_path)] == ["sat", "unsat"]


def test_a_record_of_a_changed_file_gives_way(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.append(RECORD)
        journal.append(replace(RECORD, key="01", status="sat"))
        assert len(journal.records) == 2
    assert [r.status for r in read_journal(tmp_path)] == ["sat"]


def test_a_moved_folder_is_recognised(tmp_path: Path):
    moved = replace(RECORD, networks={"": "moved/a.onnx"}, spec="moved/p.vnnlib")
    with Journal(tmp_path) as journal:
        journal.append(RECORD)
        assert identity_of(moved) in journal.records


@pytest.mark.parametrize("kept", range(1, len(RECORD.line()), 37))
def test_a_line_cut_short_is_taken_off(tmp_path: Path, kept: int):
    whole = RECORD.line()
    (tmp_path / JOURNAL).write_text(whole + whole[:kept])
    assert read_journal(tmp_path) == [RECORD]
    with Journal(tmp_path, resume=True) as journal:
        journal.append(replace(RECORD, key="01", spec="q.vnnlib"))
    assert [r.key for r in read_journal(tmp_path)] == ["00", "01"]


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path: Path):
    (tmp_path / JOURNAL).write_text(RECORD.line()[:40] + "\n" + RECORD.line())
    with pytest.raises(ParseError, match=f"{JOURNAL}:1:1"):
        Journal(tmp_path, resume=True)


def test_a_second_run_is_refused(tmp_path: Path):
    with Journal(tmp_path), pytest.raises(InputError, match=f"another run is writing there .process {os.getpid()}."):
        Journal(tmp_path)
    with Journal(tmp_path):
        pass


def test_results_are_not_overwritten(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.append(RECORD)
    with pytest.raises(InputError, match="results of 1 instances.*--resume"):
        Journal(tmp_path)
    with Journal(tmp_path, resume=True):
        pass


def test_a_full_disk_is_said(tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Journal(tmp_path) as journal:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, journal._file)
        os.close(full)
        with pytest.raises(InputError, match="cannot be written: No space left"):
            journal.append(RECORD)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        Journal(tmp_path / "file" / "campaign")
