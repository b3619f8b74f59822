#!/usr/bin/env python
"""Make the corpus of certificates again: `PYTHONPATH=. python tests/checker/make_corpus.py`.

corpus/accepted, bounded, rejected, malformed, unsupported: certificates by what the checker must say of them;
corpus/problems: their models and specifications; corpus/index.json: which belong together, and a part of the reason
that must be given.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from certificates import bases, certificate, read, sha256
from mutations import apply, dumps, mutations

CORPUS = Path(__file__).parent / "corpus"
EXPECTED = {"witness": "sat", "probability": "bounded"}


def main() -> None:
    """Everything anew."""
    shutil.rmtree(CORPUS, ignore_errors=True)
    for folder in ("problems", "accepted", "bounded", "rejected", "malformed", "unsupported"):
        (CORPUS / folder).mkdir(parents=True)
    every = bases()
    index: dict[str, dict[str, str]] = {}
    contents = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, base in every.items():
            _, _, path = certificate(base, Path(scratch), EXPECTED.get(name, "unsat"))
            contents[name] = read(path)
            word = "bounded" if name == "probability" else "accepted"
            _store(index, f"{word}/{name}.cert", {"model": base.model, "spec": base.spec.encode()}, "")
            contents[name].write(CORPUS / word / f"{name}.cert")
    for mutation in mutations(every):
        files, changed = apply(mutation, every[mutation.base], contents[mutation.base])
        entry = f"{mutation.word}/{mutation.name}.cert"
        assert entry not in index, entry
        _store(index, entry, files, mutation.reason)
        changed.write(CORPUS / entry)
        (CORPUS / entry).write_bytes(mutation.data((CORPUS / entry).read_bytes()))
    (CORPUS / "index.json").write_text(dumps(index))


def _store(index: dict[str, dict[str, str]], entry: str, files: dict[str, bytes], reason: str) -> None:
    """Write the problem's files, each once, under the beginning of its hash."""
    names = {}
    for kind, ending in (("model", "onnx"), ("spec", "vnnlib")):
        names[kind] = f"{sha256(files[kind])[:10]}.{ending}"
        (CORPUS / "problems" / names[kind]).write_bytes(files[kind])
    index[entry] = {**names, "reason": reason}


if __name__ == "__main__":
    main()
