"""The door to specifications: a file or a text in, a `Query` out, whichever version of VNN-LIB it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from certify.errors import ParseError
from certify.files import read_bytes
from certify.query.collector import paused_collector
from certify.query.read_v1 import read_v1
from certify.query.read_v2 import read_v2
from certify.query.syntax import Query
from certify.query.tokens import Source

_BYTE_ORDER_MARK = "\ufeff"


def read_query(path: str | Path, *, strict: bool = False) -> Query:
    """Read a .vnnlib file, plain or gzipped; `sha256` is that of the uncompressed bytes.

    By default what other generators write outside the standard is read too, with an entry in `Query.warnings`; `strict`
    refuses it. Raises InputError for a file that is missing, empty or damaged, ParseError with file, line and column
    for what is in it.
    """
    file = str(path)
    data = read_bytes(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line_start = data.rfind(b"\n", 0, error.start) + 1
        place = data.count(b"\n", 0, error.start) + 1, error.start - line_start + 1
        raise ParseError(file, *place, "this byte is not UTF-8", "save the file as UTF-8 text", "V0101") from None
    return _parse(Source(file, text, strict), hashlib.sha256(data).hexdigest())


def parse_query(text: str, file: str = "<string>", *, strict: bool = False) -> Query:
    """The query that a text holds; see `read_query`."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return _parse(Source(file, text, strict), digest)


def _parse(source: Source, sha256: str) -> Query:
    if source.text.startswith(_BYTE_ORDER_MARK):
        source = Source(source.file, source.text[1:], source.strict)
        source.tolerate("V1101", 0, "a byte order mark")
    if not source.code.strip():
        raise source.error(
            "V0102", 0, "the file is empty", "a specification declares inputs and outputs and asserts something"
        )
    second = "vnnlib-version" in source.code or "declare-network" in source.code
    with paused_collector():
        return read_v2(source, sha256) if second else read_v1(source, sha256)
