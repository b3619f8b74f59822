"""Check one certificate against its model and specification."""

from __future__ import annotations

from pathlib import Path

from certify.checker.arithmetic import Arithmetic
from certify.checker.bounds import Engine
from certify.checker.boxes import check_boxes
from certify.checker.certificate import check_object, read_certificate
from certify.checker.network import read_network
from certify.checker.outcome import Malformed, Rejected
from certify.checker.signs import check_signs
from certify.checker.specification import read_specification
from certify.checker.witness import check_witness


def check(model: Path, spec: Path, certificate: Path, exact: bool = False) -> str:
    """What was checked, in a few words. Raises Rejected, Malformed or Unsupported if it is not accepted."""
    proof = read_certificate(certificate)
    header = proof.header
    numbers = Arithmetic(exact, header["semantics"] == "float32")
    network = read_network(model, numbers)
    query = read_specification(spec, network.n_inputs, network.n_outputs)
    for what, claimed, actual in (("model", header["model"], network.sha256), ("spec", header["spec"], query.sha256)):
        if claimed != actual:
            raise Rejected(f"the certificate is about another {what} (sha256 {str(claimed)[:12]}, not {actual[:12]})")
    if header["verdict"] == "sat":
        check_witness(model, network, query, header["witness"], header["semantics"])
        return f"sat, {header['semantics']}: the witness breaks the property"
    engine = Engine(network, numbers)
    done: list[int] = []
    if not isinstance(header["parts"], list) or not isinstance(header["rectifiers"], list):
        raise Malformed("parts and rectifiers are lists")
    for number, part in enumerate(header["parts"]):
        kind = part.get("kind") if isinstance(part, dict) else None
        if kind == "boxes":
            check_object(part, "a part", {"kind", "cases"})
            done += check_boxes(engine, query, proof, str(number), part)
        elif kind == "signs":
            check_object(part, "a part", {"kind", "case", "clauses", "hidden", "root", "clips"})
            done.append(check_signs(engine, query, proof, str(number), part))
        else:
            raise Malformed(f"a part of unknown kind {kind!r}")
    missing = set(range(len(query.cases))) - set(done)
    if missing:
        raise Rejected(f"case {min(missing)} of the specification has no proof")
    if len(done) != len(set(done)):
        raise Malformed("a case has two proofs")
    if proof.unread:
        raise Malformed(f"members that nothing refers to: {sorted(proof.unread)[:3]}")
    exactly = ", in exact arithmetic" if exact else ""
    return (
        f"unsat, {header['semantics']}: {len(query.cases)} case(s) refuted in {len(header['parts'])} part(s){exactly}"
    )
