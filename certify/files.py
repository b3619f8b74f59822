"""Reading and writing the user's files: gzip is transparent both ways, and a failure is one clear error."""

from __future__ import annotations

import gzip
import zlib
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
    """Write a file whole or not at all (through a temporary file beside it). Raises InputError if that fails."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}", "check the folder and disk"
        ) from error
