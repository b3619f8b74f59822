#!/usr/bin/env python
"""How fast the largest specifications of a folder are read, in constraints (comparisons) a second.

    python vnncomp/reading.py FOLDER [--most 20]

FOLDER is searched for .vnnlib and .vnnlib.gz. Every file is read and lowered a few times, of which the least
CPU time is printed. Nothing here is part of the tests: it measures.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from certify.files import read_bytes
from certify.query.normal_form import lower
from certify.query.read import read_query

T = TypeVar("T")
_COMPARISON = re.compile(rb"\(\s*[<>=!]=?\s")


def main() -> None:
    """Print one row per file, the largest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=20, help="how many of the largest files to read")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    found = (path for path in options.folder.rglob("*.vnnlib*") if path.is_file())
    largest = sorted(found, key=lambda path: path.stat().st_size, reverse=True)
    print(f"{'constraints':>11} {'MB':>7} {'read s':>7} {'lower s':>7} {'read/s':>9} {'both/s':>9}  file")
    for path in largest[: options.most]:
        data = read_bytes(path)
        count = len(_COMPARISON.findall(data))
        reading, query = best(lambda path=path: read_query(path), options.repeat)
        lowering, _ = best(lambda query=query: lower(query), options.repeat)
        rates = f"{count / reading:9.0f} {count / (reading + lowering):9.0f}"
        print(f"{count:11} {len(data) / 1e6:7.2f} {reading:7.3f} {lowering:7.3f} {rates}  {path.name}", flush=True)


def best(work: Callable[[], T], repeat: int) -> tuple[float, T]:
    """The least CPU time of several runs, in seconds, and the result: other processes must not count."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return min(seconds), result


if __name__ == "__main__":
    main()
