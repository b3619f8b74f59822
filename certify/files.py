"""Reading and writing the user's files: gzip is transparent both ways, and a failure is one clear error."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from certify.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"


def resolve(path: str | Path) -> Path:
    """The path, or `path.gz` where only that exists (benchmarks name files without it)."""
    path = Path(path)
    packed = path.with_name(path.name + ".gz")
    return packed if not path.exists() and packed.exists() else path


def read_bytes(path: str | Path) -> bytes:
    """The file's bytes, decompressed if they are gzip. Raises InputError for a missing, empty or damaged file."""
    path = resolve(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "check the path") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if data.startswith(GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: not a whole gzip file: {error}", "copy or download it again") from error
    if not data:
        raise InputError(f"{path}: the file is empty", "copy, download or export it again")
    return data


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all. Raises InputError if that fails."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises InputError if that fails."""
    with replacing(path) as part:
        part.write_bytes(data)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` once the block is done: whole or not at all.

    Folders that are missing are made. A symbolic link stays, and what it points to is replaced. What is no regular
    file, such as /dev/null or a pipe, is written to. Raises InputError where it cannot be written.
    """
    target = Path(os.path.realpath(path))
    special = target.exists() and not target.is_file()
    part = target if special else target.with_name(f".{target.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if not special:
            part.replace(target)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}", "check the folder and disk"
        ) from error
    finally:
        if not special:
            with suppress(OSError):
                part.unlink()


def check_writable(path: str | Path) -> None:
    """Raise InputError where `path` cannot be written, so that this is known before the work and not after it."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{path}: cannot be written: it is a folder", "name a file")
    at = target if target.exists() and not target.is_file() else target.parent
    while not at.exists():
        at = at.parent
    if at != target and not at.is_dir():
        raise InputError(f"{path}: cannot be written: {at} is not a folder", "choose another folder")
    if not os.access(at, os.W_OK):
        raise InputError(f"{path}: cannot be written: no permission to write to {at}", "choose another folder")
