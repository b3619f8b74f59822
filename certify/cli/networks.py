"""The option `--network NAME=FILE`, which commands about several networks share."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from certify.errors import InputError


def models_by_name(networks: Sequence[str]) -> dict[str, Path]:
    """The files by network. Raises InputError for a malformed option or a repeated name."""
    models: dict[str, Path] = {}
    for text in networks:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise InputError(f"--network {text}: expected NAME=FILE", "as in --network f=first.onnx")
        if name in models:
            raise InputError(f"--network {name} is given twice", "one file for each network")
        models[name] = Path(file)
    return models


def models_and_spec(files: Sequence[Path], networks: Sequence[str]) -> tuple[Path | dict[str, Path], Path]:
    """What `[MODEL] SPEC` and --network mean together."""
    if len(files) != (1 if networks else 2):
        expected = "with --network, give the specification alone" if networks else "give a model and a specification"
        raise InputError(f"{len(files)} file(s) are given", f"{expected}; see --help")
    if networks:
        return models_by_name(networks), files[0]
    return (_models_in_list(str(files[0])) if str(files[0]).startswith("[") else files[0]), files[1]


def _models_in_list(text: str) -> dict[str, Path]:
    """The files by network of VNN-COMP's list literal, [('f', 'first.onnx'), ('g', 'second.onnx')]."""
    try:
        pairs = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pairs = []
    well_formed = isinstance(pairs, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)
    if not (pairs and well_formed and all(isinstance(part, str) and part for pair in pairs for part in pair)):
        raise InputError(
            f"{text}: not a list of networks and files", "as in [('f', 'first.onnx'), ('g', 'second.onnx')]"
        )
    return models_by_name([f"{name}={file}" for name, file in pairs])
