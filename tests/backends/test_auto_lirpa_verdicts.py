"""Verdicts that rest on auto_LiRPA's bounds: what it may decide, and that nothing rests on an answer gone wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pytest

from certify.api import check
from certify.backends import auto_lirpa_network
from certify.backends.auto_lirpa import BACKEND
from certify.settings import Settings
from certify.verdict import Status, Verdict

pytestmark = pytest.mark.skipif(BACKEND.missing() is not None, reason=f"auto_LiRPA is missing: {BACKEND.missing()}")


Files = Callable[[float | str], tuple[Path, Path]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """y = relu(x) - relu(x + 0.5) + 0.5 and a spec that asks for y <= limit on [-1, 1].

    True is y >= 0; CROWN and intervals prove y >= -1, and optimised slopes y >= -0.25.
    """
    weights = {
        "w": np.float32([[1.0, 1.0]]),
        "b": np.float32([0.0, 0.5]),
        "v": np.float32([[1.0], [-1.0]]),
        "c": np.float32([0.5]),
    }
    nodes = [
        onnx_files.node("Gemm", "x w b", "h"),
        onnx_files.node("Relu", "h", "a"),
        onnx_files.node("Gemm", "a v c", "y"),
    ]
    model = onnx_files.save(tmp_path / "m.onnx", onnx_files.model(nodes, {"x": [1, 1]}, ["y"], weights))

    def write(limit: float | str) -> tuple[Path, Path]:
        spec = tmp_path / "s.vnnlib"
        spec.write_text(
            "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
            f"(assert (>= X_0 -1.0))\n(assert (<= X_0 1.0))\n(assert (<= Y_0 {limit}))\n"
        )
        return model, spec

    return write


def decide(files: tuple[Path, Path], **options: Any) -> Verdict:
    return check(*files, timeout=60.0, settings=Settings(backend="auto-lirpa", **options))


@pytest.mark.parametrize(("limit", "method"), [(-1.2, "CROWN"), (-0.5, "alpha-CROWN")])
def test_a_property_that_holds(limit: float, method: str, files: Files) -> None:
    verdict = decide(files(limit))
    assert verdict.status is Status.UNSAT
    assert [name for name, _ in verdict.proof.trees] == [f"auto-lirpa {method}"]
    assert verdict.bound is not None
    assert 0.0 < verdict.bound <= -limit


@pytest.mark.parametrize("attack", [True, False])
def test_a_property_that_fails(files: Files, attack: bool) -> None:
    verdict = decide(files(0.4), attack=attack)
    assert verdict.status is Status.SAT
    assert verdict.witness is not None


def test_a_property_that_only_search_could_decide(files: Files) -> None:
    verdict = decide(files(-0.01))
    assert verdict.status is Status.UNKNOWN
    assert verdict.notes == ()
    assert verdict.bound is not None
    assert verdict.bound <= 0.0
    assert check(*files(-0.01), timeout=60.0).status is Status.UNSAT


@pytest.mark.parametrize(("limit", "status"), [("X_0", Status.SAT), ("(- X_0 2.5)", Status.UNSAT)])
def test_a_condition_on_inputs_and_outputs(limit: str, status: Status, files: Files) -> None:
    assert decide(files(limit)).status is status


def test_no_time_is_a_timeout(files: Files) -> None:
    verdict = check(*files(-0.01), timeout=0.0, settings=Settings(backend="auto-lirpa", attack=False))
    assert verdict.status is Status.TIMEOUT


def broken(answer: Any) -> Any:
    raise RuntimeError("the library gave up")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda answer: (answer[0] * np.nan, *answer[1:]), id="NaN"),
        pytest.param(lambda answer: (answer[0] + np.inf, *answer[1:]), id="infinite"),
        pytest.param(lambda answer: (answer[0] + 9.0, *answer[1:]), id="beyond what is attained"),
        pytest.param(lambda answer: (answer[1] + 1.0, answer[0], *answer[2:]), id="crossed"),
        pytest.param(broken, id="error"),
    ],
)
def test_an_answer_that_cannot_be_right_proves_nothing(
    spoil: Callable[[Any], Any], files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = auto_lirpa_network.ask
    monkeypatch.setattr(auto_lirpa_network, "ask", lambda *arguments: spoil(original(*arguments)))
    verdict = decide(files(-1.2))
    assert verdict.status is Status.UNKNOWN
    assert any(note.startswith("auto-lirpa CROWN:") for note in verdict.notes)


def test_a_nan_inside_the_library_proves_nothing(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    from certify.backends import auto_lirpa_shims

    module = auto_lirpa_shims.load().BoundedModule
    original = module.backward_general

    def spoiled(self: Any, *arguments: Any, **options: Any) -> Any:
        answer = original(self, *arguments, **options)
        return (*(None if bound is None else bound * np.nan for bound in answer[:2]), *answer[2:])

    monkeypatch.setattr(module, "backward_general", spoiled)
    verdict = decide(files(-0.5))
    assert verdict.status is Status.UNKNOWN
    assert any("NaN" in note for note in verdict.notes)


def test_the_library_keeps_nan() -> None:
    """Left alone, 0.3 turns a bias that is NaN into 0 and goes on."""
    import torch

    from certify.backends import auto_lirpa_shims

    with auto_lirpa_shims.working():
        auto_lirpa_shims.load()
        from auto_LiRPA.operators.base import Bound

        node = Bound()
        node.batch_dim = 0
        assert node.get_bias(torch.zeros(1, 1, 2), torch.full((1, 2), torch.inf)).isnan().all()
