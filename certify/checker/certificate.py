"""Reading a certificate: a zip file of `certificate.json` and .npy arrays. Anything odd is refused."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from certify.checker.outcome import Malformed, Rejected, Unsupported
from certify.checker.volume import Volume

FORMAT, VERSION = "certify-certificate", 2
HEADER = "certificate.json"
LARGEST = 2**34
# What arrays hold, and in which types.
KINDS = {"f": ("floats", "f4 f8"), "i": ("numbers >= 0", "i1 i2 i4 i8 u1 u2 u4 u8"), "b": ("bytes", "u1")}
# An object of the header.
Part = dict[str, Any]
FIELDS = {"format", "version", "verdict", "semantics", "model", "spec"}


@dataclass
class Certificate:
    """header: the JSON object; unread: members, which are read when they are asked for; left: what open leaves leave of
    cases, which must not have any if they are not in it.
    """

    header: Part
    file: zipfile.ZipFile
    unread: set[str]
    left: dict[int, Volume] = field(default_factory=dict)

    def array(self, name: str, kind: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """An array whose axes have these lengths (None: any), of one of the KINDS; floats are finite."""
        self.unread.discard(name + ".npy")
        try:
            with self.file.open(name + ".npy") as stream:
                found = np.lib.format.read_array(stream, allow_pickle=False)
        except Exception as error:  # zipfile and numpy raise what they stumble over
            raise Malformed(f"the array {name} is missing or damaged: {error}") from error
        if found.ndim != len(shape) or any(w not in (None, n) for w, n in zip(shape, found.shape, strict=True)):
            raise Malformed(f"the array {name} has the shape {found.shape}")
        what, types = KINDS[kind]
        if found.dtype.str[1:] not in types.split():
            raise Malformed(f"the array {name} does not hold {what}")
        if kind == "i" and found.size and not 0 <= int(found.min()) <= int(found.max()) < 2**62:
            raise Malformed(f"the array {name} does not hold {what}")
        if kind == "f" and not np.isfinite(found).all():
            raise Rejected(f"the array {name} holds NaN or infinity")
        return found if kind == "b" else found.astype(np.float64 if kind == "f" else np.int64)


def choices(certificate: Certificate, name: str, shape: tuple[int | None, ...], most: float = np.inf) -> np.ndarray:
    """An array of slopes (at most 1) or multipliers, none of them below zero."""
    found = certificate.array(name, "f", shape)
    if found.size and not 0.0 <= found.min() <= found.max() <= most:
        raise Rejected(f"{name} has a number outside of [0, {most}]")
    return found


def depth_first(nodes: Any, batch: int, step: Callable[[Any], Any]) -> None:
    """Refute nodes, and those that `step` cuts what it is given into, in batches, so that little is kept at a time."""
    waiting = [nodes]
    while waiting:
        nodes = waiting.pop()
        if len(nodes.node) > batch:
            waiting.append(nodes.take(np.arange(batch, len(nodes.node))))
            nodes = nodes.take(np.arange(batch))
        children = step(nodes)
        if len(children.node):
            waiting.append(children)


class Cuts:
    """The shape of trees whose first nodes are the roots: cut i makes nodes roots + 2 i and roots + 2 i + 1 of node[i].

    at: by node, the number of its cut; -1 for leaves, which is every node that is not cut.
    """

    def __init__(self, certificate: Certificate, name: str, roots: int) -> None:
        """name: what the name of the array begins with."""
        self.roots, self.node = roots, certificate.array(f"{name}cut_node", "i", (None,))
        number = np.arange(len(self.node))
        if (self.node >= roots + 2 * number).any():
            raise Malformed("a cut of a node that does not exist yet")
        self.at = np.full(roots + 2 * len(number), -1)
        self.at[self.node] = number
        if (self.at >= 0).sum() != len(number):
            raise Malformed("a node is cut twice")


def read_certificate(path: Path) -> Certificate:
    """Open a certificate and check its header, as far as that needs neither model nor specification."""
    try:
        file = zipfile.ZipFile(path)
        names = file.namelist()
        if sum(info.file_size for info in file.infolist()) > LARGEST:
            raise ValueError("it is too large")
        header = json.loads(file.read(HEADER), object_pairs_hook=_object, parse_constant=_constant)
    except Exception as error:  # zipfile and json raise what they stumble over
        raise Malformed(f"{path} is no certificate: {error}") from error
    if len(set(names)) != len(names):
        raise Malformed("two members have the same name")
    check_object(header, "the header", FIELDS, {"witness", "rectifiers", "parts", "lower", "upper"})
    if header["format"] != FORMAT:
        raise Malformed("the format is another one")
    if header["version"] != VERSION:
        raise Unsupported(f"version {header['version']} of the format")
    if header["semantics"] not in ("real", "float32"):
        raise Unsupported(f"the semantics {header['semantics']!r}")
    proofs = {"rectifiers", "parts"}
    kinds = {"sat": {"witness"}, "unsat": proofs, "probability": proofs | {"lower", "upper"}}
    wanted = kinds.get(str(header["verdict"]))
    if wanted is None or set(header) - FIELDS != wanted:
        raise Malformed(f"fields that do not belong to the verdict {header['verdict']!r}")
    return Certificate(header, file, set(names) - {HEADER})


def check_object(item: Any, what: str, needed: set[str], allowed: set[str] | None = None) -> None:
    """Raise Malformed unless the item is an object with the fields needed and no others than those allowed."""
    if not isinstance(item, dict):
        raise Malformed(f"{what} is no object")
    missing, other = needed - set(item), set(item) - needed - (allowed or set())
    if missing or other:
        raise Malformed(f"{what} lacks {sorted(missing)} or has unknown fields {sorted(other)}")


def whole(item: Any, limit: int, what: str) -> int:
    """A number in 0 .. limit - 1."""
    if type(item) is not int or not 0 <= item < limit:
        raise Malformed(f"{what} is {item!r}, not a number below {limit}")
    return item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is given twice")
    return found


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")
