"""Thousands of cases of a disjunction are worked on together: told by counting calls, not by the clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import model, node, run, save

import certify.attack.candidate
import certify.attack.crowd
import certify.bounds.backward
import certify.bounds.intermediate
from certify.api import check
from certify.attack.crowd import Crowd
from certify.search.prove import FEW_INPUTS
from certify.verdict import Status

CASES = 10_000
FEW, MANY = 3, FEW_INPUTS + 4


class Counter:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's own result."""
        self.calls += 1
        return self.function(*args, **kwargs)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter]:
    """Backward walks, and evaluations of the network by attacks."""
    walks = Counter(certify.bounds.backward.backward)
    for name in ("certify.bounds.intermediate", "certify.search.input_split", "certify.bounds.optimise"):
        module = __import__(name, fromlist=["backward"])
        if hasattr(module, "backward"):
            monkeypatch.setattr(module, "backward", walks)
    evaluations = Counter(certify.attack.candidate.evaluate)
    monkeypatch.setattr(certify.attack.candidate, "evaluate", evaluations)
    monkeypatch.setattr(certify.attack.crowd, "evaluate", evaluations)
    return {"walks": walks, "evaluations": evaluations}


def net(path: Path, n: int) -> Path:
    """[1, n] -> 8 rectifiers -> [1, 2]."""
    rng = np.random.default_rng(0)
    weights = {"a": rng.normal(size=(n, 8)), "b": rng.normal(size=8), "c": rng.normal(size=(8, 2))}
    nodes = [node("Gemm", "x a b", "pre"), node("Relu", "pre", "act"), node("MatMul", "act c", "y")]
    arrays = {name: array.astype(np.float32) for name, array in weights.items()}
    return save(path, model(nodes, {"x": [1, n]}, ["y"], arrays))


def head(n: int) -> str:
    names = [f"X_{i}" for i in range(n)] + ["Y_0", "Y_1"]
    return "\n".join(f"(declare-const {name} Real)" for name in names) + "\n"


def boxes(centres: np.ndarray, radius: float, atom: str) -> str:
    """One case for each centre, with a box of its own."""
    found = []
    for centre in centres.tolist():
        sides = [f"(>= X_{i} {c - radius:.4f}) (<= X_{i} {c + radius:.4f})" for i, c in enumerate(centre)]
        found.append(f"(and {' '.join(sides)} {atom})")
    return "(assert (or " + "\n".join(found) + "))\n"


def decide(tmp_path: Path, n: int, text: str) -> Any:
    spec = tmp_path / "spec.vnnlib"
    spec.write_text(head(n) + text)
    return check(net(tmp_path / "m.onnx", n), spec, timeout=120.0)


@pytest.mark.parametrize("n", [FEW, MANY])
def test_cases_over_outputs_are_one_goal(n: int, tmp_path: Path, counted: dict[str, Counter]) -> None:
    box = "".join(f"(assert (>= X_{i} 0.0))(assert (<= X_{i} 0.1))\n" for i in range(n))
    cases = " ".join(f"(and (>= Y_0 {1000 + k}) (<= Y_1 {k}))" for k in range(CASES))
    verdict = decide(tmp_path, n, f"{box}(assert (or {cases}))")
    assert verdict.status is Status.UNSAT
    assert counted["walks"].calls < 20
    assert counted["evaluations"].calls < 20


@pytest.mark.parametrize("n", [FEW, MANY])
def test_cases_with_boxes_of_their_own_share_batches(n: int, tmp_path: Path, counted: dict[str, Counter]) -> None:
    count = CASES if n == FEW else 2000
    centres = np.random.default_rng(1).uniform(size=(count, n))
    verdict = decide(tmp_path, n, boxes(centres, 0.01, "(>= Y_0 1000)"))
    assert verdict.status is Status.UNSAT
    assert verdict.statistics["leaves"] == count
    assert counted["walks"].calls < count / 10
    assert counted["evaluations"].calls < count / 10


@pytest.mark.parametrize("n", [FEW, MANY])
def test_the_one_case_that_can_be_met_is_found(n: int, tmp_path: Path) -> None:
    """The threshold is above all cases but one, at any place in the list, and is met there at a corner only."""
    centres = np.random.default_rng(2).uniform(size=(300, n))
    file = net(tmp_path / "m.onnx", n)
    tops = run(file, centres)[:, 0]
    best = int(tops.argmax())
    runner_up = float(np.sort(tops)[-2])
    limit = (tops[best] + runner_up) / 2.0
    verdict = decide(tmp_path, n, boxes(centres, 1e-4, f"(>= Y_0 {limit:.6f})"))
    assert verdict.status is Status.SAT
    assert verdict.witness is not None
    assert abs(verdict.witness.values()["X"] - centres[best]).max() < 2e-4


def test_points_find_the_boxes_that_hold_them() -> None:
    from certify.attack.candidate import Target
    from certify.problem import Goal

    rng = np.random.default_rng(3)
    lower = rng.uniform(size=(200, 4))
    lower[:, 0] = 0.25  # tells nothing apart
    upper = lower + rng.uniform(0.1, 0.5, size=lower.shape)
    goals = [Goal(a, b, np.array([0]), 0) for a, b in zip(lower, upper, strict=True)]
    crowd = Crowd([Target(None, goal, None) for goal in goals])  # type: ignore[arg-type]
    points = rng.uniform(size=(500, 4))
    inside = (points[:, None] >= lower) & (points[:, None] <= upper)
    expected = set(zip(*(part.tolist() for part in np.nonzero(inside.all(axis=2))), strict=True))
    point, owner = crowd.containing(points)
    assert set(zip(point.tolist(), owner.tolist(), strict=True)) == expected
    assert len(expected) > 100
