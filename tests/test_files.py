"""Files are written whole or not at all, and nothing that is no file is replaced by one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from certify.errors import InputError
from certify.files import check_writable, replacing, write_bytes, write_text


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_bytes(pipe, b"answer")
    reader.join(10)
    assert got == [b"answer"]
    assert pipe.is_fifo()


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "real.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "c.json")
    assert not (tmp_path / "a").exists()
    write_text(tmp_path / "a" / "b" / "c.json", "x")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.json"]


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["folder", "file/x.json"])
def test_what_cannot_be_written_is_refused_before_and_after(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for write in (check_writable, lambda path: write_text(path, "x")):
        with pytest.raises(InputError, match="cannot be written"):
            write(tmp_path / name)
