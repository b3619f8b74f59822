"""Write a verdict down as a certificate (docs/certificate.md): a zip file of JSON and arrays, one after the other.

Nothing in it is believed by the checker: cuts, slopes and multipliers are choices, from which it computes all bounds.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from certify.certificate.signs import write_signs
from certify.errors import CertificateError
from certify.files import replacing
from certify.problem import Problem
from certify.search.branches import Branches
from certify.search.prove import Proof
from certify.search.tree import InputCut, SearchTree
from certify.verdict import Status, Verdict

FORMAT, VERSION = "certify-certificate", 2


class Writer:
    """Puts arrays into the file."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self.file = file

    def array(self, name: str, values: Any) -> None:
        """One .npy member."""
        with self.file.open(f"{name}.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array(stream, np.ascontiguousarray(values), allow_pickle=False)


def write_certificate(path: Path, problem: Problem, verdict: Verdict, semantics: str) -> None:
    """Write the certificate of a verdict, sat or unsat, whole or not at all.

    Raises CertificateError where there is none for this kind of proof, InputError where the file cannot be written.
    """
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "verdict": verdict.status.value,
        "semantics": semantics,
    }
    if len(problem.models) != 1 or problem.unsafe.columns is not None:
        raise CertificateError(
            "specifications about several networks, hidden values or products have no certificate yet"
        )
    assert problem.query is not None
    header |= {"model": next(iter(problem.models.values())).sha256, "spec": problem.query.sha256}
    with _opened(path) as file:
        if verdict.status is Status.SAT:
            assert verdict.witness is not None
            # The decimals that a witness is written with everywhere, which were what was replayed.
            header["witness"] = [f"{v:.17g}" for values in verdict.witness.inputs.values() for v in values.tolist()]
        elif verdict.status is Status.UNSAT:
            header |= _proof(Writer(file), problem, verdict.proof)
        else:
            raise CertificateError(f"a verdict of {verdict.status.value} has no certificate")
        file.writestr("certificate.json", json.dumps(header, allow_nan=False))


def _proof(writer: Writer, problem: Problem, proof: Proof) -> dict[str, Any]:
    """The fields of a proof; its arrays go to the writer."""
    parts = []
    for number, (_, tree) in enumerate(proof.trees):
        if tree.ground is None:
            raise CertificateError("this backend keeps no proof", "use --backend native")
        if tree.ground.obstacle:
            raise CertificateError(f"the proof cannot be written down: {tree.ground.obstacle}")
        if not tree.complete:
            raise CertificateError("the record of the search outgrew its memory", "give more memory (--memory)")
        write = _boxes if tree.ground.relaxed is None else write_signs
        parts.append(write(writer, str(number), problem, tree))
    rectifiers = [node.name for node in problem.network.nonlinear]
    return {"rectifiers": rectifiers, "parts": parts}


def _boxes(writer: Writer, name: str, problem: Problem, tree: SearchTree) -> dict[str, Any]:
    """A tree of boxes: its cuts are all there is to it."""
    cuts = [step for step in tree.steps if isinstance(step, InputCut)]
    if any((cut.below != cut.above).any() for cut in cuts):
        raise CertificateError("cuts between whole numbers, of inputs that are rounded, cannot be written down so far")
    branches = Branches.of(cuts, len(tree.roots))
    writer.array(f"{name}/cut_node", branches.node)
    writer.array(f"{name}/cut_axis", branches.ordered([cut.axis for cut in cuts]).astype(np.int32))
    writer.array(f"{name}/cut_point", branches.ordered([cut.below for cut in cuts]).astype(np.float64))
    assert tree.ground is not None
    return {"kind": "boxes", "cases": tree.ground.goals.tolist()}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file that takes the place of `path` once it is whole."""
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        yield file
