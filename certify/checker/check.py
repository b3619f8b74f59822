"""Check one certificate against its model and specification."""

from pathlib import Path

from certify.checker.arithmetic import Arithmetic
from certify.checker.bounds import Engine
from certify.checker.boxes import check_boxes
from certify.checker.certificate import read_certificate
from certify.checker.network import read_network
from certify.checker.outcome import Bounded, Malformed, Rejected
from certify.checker.signs import check_signs
from certify.checker.specification import read_specification
from certify.checker.volume import Volume, check_claim
from certify.checker.witness import check_witness


def check(model: Path, spec: Path, certificate: Path, exact: bool = False) -> str:
    """What was checked, in a few words. Raises Rejected, Malformed or Unsupported if it is not accepted.

    Raises Bounded, with what was checked, where that is no verdict but bounds of a probability.
    """
    proof = read_certificate(certificate)
    header = proof.header
    numbers = Arithmetic(exact, header["semantics"] == "float32")
    network = read_network(model, numbers)
    likely = header["verdict"] == "probability"
    query = read_specification(spec, network.n_inputs, network.n_outputs, halves=likely)
    for what, claimed, actual in (("model", header["model"], network.sha256), ("spec", header["spec"], query.sha256)):
        if claimed != actual:
            raise Rejected(f"the certificate is about another {what} (sha256 {str(claimed)[:12]}, not {actual[:12]})")
    if header["verdict"] == "sat":
        check_witness(model, network, query, header["witness"], header["semantics"])
        return f"sat, {header['semantics']}: the witness breaks the property"
    engine = Engine(network, numbers)
    done: list[int] = []
    proof.left = {number: Volume(case) for number, case in enumerate(query.cases)} if likely else {}
    if not isinstance(header["parts"], list) or not isinstance(header["rectifiers"], list):
        raise Malformed("parts and rectifiers are lists")
    for number, part in enumerate(header["parts"]):
        kind = part.get("kind") if isinstance(part, dict) else None
        if kind not in ("boxes", "signs"):
            raise Malformed(f"a part of unknown kind {kind!r}")
        done += (check_boxes if kind == "boxes" else check_signs)(engine, query, proof, str(number), part)
    if missing := set(range(len(query.cases))) - set(done):
        raise Rejected(f"case {min(missing)} of the specification has no proof")
    if len(done) != len(set(done)):
        raise Malformed("a case has two proofs")
    if proof.unread:
        raise Malformed(f"members that nothing refers to: {sorted(proof.unread)[:3]}")
    exactly = ", in exact arithmetic" if exact else ""
    if likely:
        raise Bounded(f"{check_claim(proof.left, header)}, {header['semantics']}{exactly}")
    parts = len(header["parts"])
    return f"unsat, {header['semantics']}: {len(done)} case(s) refuted in {parts} part(s){exactly}"
