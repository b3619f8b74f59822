"""The option `--network NAME=FILE`, which commands about several networks share."""

from __future__ import annotations

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
    """What `[MODEL] SPEC` and --network mean together. MODEL may be a list of networks and files."""
    if len(files) != (1 if networks else 2):
        expected = "with --network, give the specification alone" if networks else "give a model and a specification"
        given = ", ".join(map(str, files)) or "nothing"
        raise InputError(f"{given}: not what is expected", f"{expected}; see --help")
    if networks:
        return models_by_name(networks), files[0]
    if ".vnnlib" in files[0].suffixes and ".onnx" in files[1].suffixes:
        raise InputError(
            f"{files[0]} is given as the model and {files[1]} as the specification", "the model comes first"
        )
    return (_listed(str(files[0])) if str(files[0]).startswith("[") else files[0]), files[1]


def _listed(text: str) -> dict[str, Path]:
    """The files by network, for a model given as instances.csv of VNN-COMP has several: [('f', 'a.onnx'), ...]."""
    from certify.batch.instances import parse_networks

    try:
        return {name: Path(file) for name, file in parse_networks(text).items()}
    except ValueError as error:
        raise InputError(str(error), "as in \"[('f', 'a.onnx'), ('g', 'b.onnx')]\"") from None
