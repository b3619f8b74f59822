"""Write bounds of a probability down: one tree of boxes, for what is unsafe and for what is not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from certify.certificate.write import Writer, header_of, opened, write_boxes
from certify.problem import Problem
from certify.search.tree import InputCut

# The checker computes bounds of its own, which in some boxes are weaker than those of the search (on ACAS Xu property 2
# by 4 % of the gap) and stronger in others. A share of the gap on either side is for that, and the rest for rounding.
ROOM_OF_GAP, ROOM = 0.1, 1e-12


@dataclass(frozen=True)
class Claim:
    """lower <= P[unsafe] <= upper, under the uniform law on the specification's box."""

    lower: float
    upper: float

    @classmethod
    def about(cls, lower: float, upper: float) -> Claim:
        """What can be claimed where a search found these bounds: less, but for the ends that are trivial."""
        room = ROOM_OF_GAP * (upper - lower)
        low = max(0.0, lower - room - ROOM * lower)
        return cls(float(low), float(min(1.0, upper + room + ROOM * upper)))


def write_probability(path: Path, problem: Problem, cuts: list[InputCut], claim: Claim) -> None:
    """Write a certificate of the claim, whole or not at all. cuts: of the specification's box, node 0.

    The checker refutes what it can of both cases in the same tree, and adds up the open leaves of each.
    Raises CertificateError where there is none for this kind of problem, InputError where it cannot be written.
    """
    header = header_of(problem, "probability", "real")
    with opened(path) as file:
        parts = [write_boxes(Writer(file), str(case), cuts, [case]) for case in (0, 1)]
        names = [node.name for node in problem.network.nonlinear]
        header |= {"lower": claim.lower, "upper": claim.upper, "rectifiers": names, "parts": parts}
        file.writestr("certificate.json", json.dumps(header, allow_nan=False))
