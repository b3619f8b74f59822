"""One instance as the page shows it: what stands in the table's row, and what opens below it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from certify.batch.origin import Box, origin_of
from certify.report.finding import Finding, shown
from certify.report.pictures import Picture, pictures

# All pictures together, so that a page of many violated instances still opens at once.
PICTURE_BYTES = 1_000_000
MOST_MOVED = 6
MOST_OUTPUTS = 12


@dataclass(frozen=True)
class Curve:
    """How a proven bound moved, for an SVG of WIDTH x HEIGHT. zero: where the proof would be reached."""

    WIDTH = 320
    HEIGHT = 70
    points: str
    zero: float
    sentence: str


@dataclass
class Entry:
    """A finding, with an anchor for links. values: lines about the witness. left_out: pictures that found no room."""

    finding: Finding
    anchor: str
    curve: Curve | None = None
    pictures: list[Picture] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    left_out: bool = False


def entries(findings: list[Finding]) -> list[Entry]:
    """The entries of a page, with pictures as long as there is room for them."""
    found, room = [], PICTURE_BYTES
    for number, finding in enumerate(findings):
        entry = Entry(finding, f"i{number}", _curve(finding))
        _add_witness(entry)
        size = sum(len(picture.uri) for picture in entry.pictures)
        if size > room:
            entry.pictures, entry.left_out = [], True
        else:
            room -= size
        found.append(entry)
    return found


def _add_witness(entry: Entry) -> None:
    witness = entry.finding.record.witness
    if not witness:
        return
    origin = origin_of(entry.finding.record, boxes=True)
    boxes = {} if origin is None else origin.boxes
    for name, numbers in witness.items():
        values, box = np.asarray(numbers, dtype=np.float64), boxes.get(name)
        if box is None or len(box.lower) != len(values):
            entry.values.append(f"{name} = {shown(numbers, MOST_OUTPUTS)}")
            continue
        entry.pictures += pictures(box, values)
        entry.values.append(_moved(name, values, box))
    if origin is None:
        name = Path(entry.finding.record.spec).name
        entry.values.append(f"The region around it is not shown: {name} is not here any more, or has changed")


def _moved(name: str, values: np.ndarray, box: Box) -> str:
    """The elements that lie farthest from the middle of the region."""
    center = box.center
    if center is None:
        return f"{name} = {shown(values.tolist(), MOST_OUTPUTS)}"
    change = values - center
    order = np.argsort(-np.abs(change), kind="stable")[:MOST_MOVED]
    listed = ", ".join(f"{name}[{i}] {center[i]:.6g} → {values[i]:.6g}" for i in order.tolist() if change[i] != 0.0)
    n_moved = int(np.count_nonzero(change))
    if not n_moved:
        return f"{name} is the middle of the region"
    return f"{name}: {n_moved} of {len(values)} values are moved from the middle of the region, most of all {listed}"


def _curve(finding: Finding) -> Curve | None:
    """The record's trace: [seconds, bound, subproblems] each."""
    trace = np.asarray(finding.record.trace, dtype=np.float64)
    if trace.ndim != 2 or len(trace) < 2 or trace.shape[1] != 3 or not np.isfinite(trace).all():
        return None
    seconds, bound, subproblems = trace.T
    low, high = min(bound.min(), 0.0), max(bound.max(), 0.0)
    x = (seconds - seconds[0]) / max(seconds[-1] - seconds[0], 1e-9) * Curve.WIDTH
    y = (high - np.stack([bound, np.zeros_like(bound)])) / max(high - low, 1e-300) * Curve.HEIGHT
    points = " ".join(f"{a:.4g},{b:.4g}" for a, b in zip(x.tolist(), y[0].tolist(), strict=True))
    sentence = f"proven margin {bound[0]:.4g} after {seconds[0]:.2f} s, {bound[-1]:.4g} after {seconds[-1]:.2f} s"
    return Curve(points, float(y[1, 0]), f"{sentence} and {int(subproblems[-1])} subproblems")
