"""Certificates of bounds of a probability: for which laws there are any, and what the checker says of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from certify.certificate.certified import recheck as rechecked
from certify.certificate.probability import Claim, write_probability
from certify.errors import CertificateError, InputError
from certify.problem import Problem
from certify.quantities.law import Uniform
from certify.quantities.mass import CORNERS, Product
from certify.quantities.partition import Partition
from certify.quantities.pieces import inexact_input_bounds

# The checker bounds every node of two trees, in exact volumes; it may take so many times as long as the search.
PATIENCE, SHORTEST = 10.0, 60.0


@dataclass(frozen=True)
class Proof:
    """lower, upper: what the certificate claims; file: where it is, None if it was not to be kept; size: bytes;
    checked: seconds that the checker took to accept it, None if it was not asked.
    """

    lower: float
    upper: float
    file: str | None
    size: int
    checked: float | None

    def __str__(self) -> str:
        where = "" if self.file is None else f" in {self.file}"
        by = "not rechecked" if self.checked is None else f"the checker accepted it in {self.checked:.2f} s"
        return f"P[unsafe] in [{self.lower:.6g}, {self.upper:.6g}], {self.size} bytes{where}; {by}"


def require_uniform(problem: Problem, components: Sequence[Product]) -> None:
    """Raise InputError for a law that no certificate can be about: the checker knows one law only."""
    boxes = {(region.lower.tobytes(), region.upper.tobytes()): region for region in problem.unsafe.regions}
    if len(boxes) != 1:
        raise InputError(
            f"a certificate is about one input region, and the specification has {len(boxes)}", "leave it out"
        )
    if problem.query is not None and inexact_input_bounds(problem.query, calculated=False):
        raise InputError("a certificate of a probability is about closed boxes", "write <= and >= between inputs")
    (region,) = boxes.values()
    sides = list(zip(region.lower.tolist(), region.upper.tolist(), strict=True))
    uniform = len(components) == 1 and all(
        marginal.support == side and (isinstance(marginal, Uniform) or side[0] == side[1])
        for marginal, side in zip(components[0].marginals, sides, strict=True)
    )
    if not uniform:
        hint = "leave the certificate out, or write a specification whose region is the law's box"
        raise InputError("only a law that is uniform on the specification's region has a certificate", hint)
    varying = len(components[0].varying)
    if varying > CORNERS:
        message = f"{varying} inputs vary, and a certificate needs exact volumes, of {CORNERS} inputs at most"
        raise InputError(message, "fix inputs in the specification, or leave the certificate out")


def prove(problem: Problem, partition: Partition, file: Path | None, recheck: bool, timeout: float) -> Proof:
    """Write the certificate of what a partition shows, and recheck it if asked.

    Raises CertificateError where there is none, or where the checker does not accept it; InputError where the file
    cannot be written.
    """
    claim = Claim.about(partition.lower, partition.upper)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proof.cert" if file is None else file
        write_probability(path, problem, partition.cuts, claim)
        size, seconds = path.stat().st_size, None
        if recheck:
            word, reason, seconds = rechecked(problem, path, max(SHORTEST, PATIENCE * timeout))
            if word != "bounded":
                message = f"the checker did not accept the certificate of the bounds ({word}: {reason})"
                raise CertificateError(message, "leave out --recheck, or report it where it was rejected")
    return Proof(claim.lower, claim.upper, None if file is None else str(file), size, seconds)
