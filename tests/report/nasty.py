"""Records whose texts try to break out of every format."""

from __future__ import annotations

from certify.batch.record import Record

NAME = "a<b>&\"'`|*_[x](y)\n::error::,%25 ]]> \x00\x1b{{ 7*7 }}</script><script>alert(1)</script>=é\ud800"
STATUSES = ("unsat", "sat", "timeout", "out-of-memory", "error")


def nasty() -> list[Record]:
    """One record per status, every text of it hostile."""
    return [
        Record(
            key=f"={status}",
            category=f"={NAME}",
            networks={"f": f"f{NAME}.onnx", "g": f"g{NAME}.onnx"},
            spec=f"{status}{NAME}.vnnlib",
            timeout=10.0,
            status=status,
            reason=f"why {NAME}",
            exit_code=4,
            wall=1.5,
            stages={NAME: 1.0},
            bound=-0.5,
            witness={NAME: [0.25, -1.5]} if status == "sat" else None,
            statistics={NAME: NAME},
            notes=[NAME],
            advice=f"next {NAME}",
            backend=NAME,
            version="1",
            host=NAME,
            started="2026-11-22T23:15:13+00:00",
        )  # fmt: skip
        for status in STATUSES
    ]
