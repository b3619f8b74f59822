"""Networks whose float32 behaviour differs from the ideal one: under float32 semantics they are never proved.

Rebuilt after Zombori et al. 2021 (a large weight absorbs what decides, so that exact arithmetic and floats disagree),
and Jia and Rinard 2021 (the unsafe point lies within the rounding of the decision boundary).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from certificates import Base, model_of, spec_text
from onnx import helper, numpy_helper

from certify import api
from certify.settings import Settings

UNIT = np.array([0.0]), np.array([1.0])


def chain(*layers: tuple[list[list[float]], list[float]]) -> bytes:
    """Gemm layers with Relu between them."""
    nodes, weights, source = [], [], "x"
    for i, (weight, shift) in enumerate(layers):
        arrays = np.array(weight, dtype=np.float32), np.array(shift, dtype=np.float32)
        weights += [numpy_helper.from_array(a, f"{n}{i}") for n, a in zip("wb", arrays, strict=True)]
        nodes.append(helper.make_node("Gemm", [source, f"w{i}", f"b{i}"], [f"z{i}"], transB=1))
        source = f"z{i}"
        if i < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [source], [f"h{i}"]))
            source = f"h{i}"
    return model_of(nodes, weights, len(layers[0][0][0]), len(layers[-1][0]), source).SerializeToString()


def verdict(base: Base, folder: Path, semantics: str):
    model, spec = base.files(folder)
    return api.check(model, spec, timeout=20.0, settings=Settings(semantics=semantics, recheck=True))


def absorbing(size: float) -> bytes:
    """y = relu(x + size) - size: x in exact arithmetic, a multiple of the spacing at `size` in float32."""
    return chain(([[1.0]], [size]), ([[1.0]], [-size]))


@pytest.mark.parametrize("size", [2.0**24, 2.0**26, 2.0**30])
def test_zombori_absorption(size: float, tmp_path: Path) -> None:
    """Exactly, y = x >= 0.25; in float32, y = 0 for x = 0.25."""
    box = np.array([0.25]), np.array([1.0])
    base = Base("absorbing", absorbing(size), spec_text([box], 1, "(<= Y_0 0.2)"))
    assert verdict(base, tmp_path, "float32").status.value != "unsat"
    session = onnxruntime.InferenceSession(base.model)
    assert session.run(None, {"x": np.array([[0.25]], np.float32)})[0].item() == 0.0


def test_zombori_where_the_exact_network_is_safe(tmp_path: Path) -> None:
    """In exact arithmetic the proof exists and is accepted: the semantics matter."""
    box = np.array([0.25]), np.array([1.0])
    base = Base("absorbing", absorbing(2.0**24), spec_text([box], 1, "(<= Y_0 0.2)"))
    found = api.check(*base.files(tmp_path), timeout=20.0, settings=Settings(recheck=True, attack=False))
    assert found.status.value == "unsat", found
    assert "exact arithmetic" in found.notes[-1]


@pytest.mark.parametrize("terms", [3, 5, 9, 17])
def test_the_order_of_a_sum_is_not_assumed(terms: int, tmp_path: Path) -> None:
    """2^k + x + ... - 2^k: any order may be the one that is run, so the sum is as uncertain as its largest term."""
    big = 2.0**25
    row = [big, -big, *[1.0] * (terms - 2)]
    model = chain(([row], [0.0]))
    low = np.array([1.0, 1.0, *[0.25] * (terms - 2)])
    base = Base("sum", model, spec_text([(low, low)], 1, f"(<= Y_0 {0.25 * (terms - 2) - 0.125})"))
    assert verdict(base, tmp_path, "float32").status.value != "unsat"
    exactly = api.check(*base.files(tmp_path), timeout=20.0, settings=Settings(recheck=True, attack=False))
    assert exactly.status.value == "unsat", exactly


@pytest.mark.parametrize("seed", range(6))
def test_jia_rinard_margins_within_rounding(seed: int, tmp_path: Path) -> None:
    """The threshold lies less than the rounding of float32 below the smallest value: safe in exact arithmetic only."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(12, 12)) * 3.0, rng.normal(size=(1, 12)) * 100.0]
    model = chain((weights[0].tolist(), [0.0] * 12), (weights[1].tolist(), [0.0]))
    x = np.round(rng.uniform(-1, 1, 12), 3).astype(np.float32).astype(np.float64)
    w = [part.astype(np.float32).astype(np.float64) for part in weights]
    y = (w[1] @ np.maximum(w[0] @ x, 0.0)).item()
    size = (abs(w[1]) @ (abs(w[0]) @ abs(x))).item()
    base = Base("margin", model, spec_text([(x, x)], 1, f"(<= Y_0 {y - 2.0**-25 * size!r})"))
    assert verdict(base, tmp_path, "float32").status.value != "unsat"
    exactly = api.check(*base.files(tmp_path), timeout=20.0, settings=Settings(recheck=True, attack=False))
    assert exactly.status.value == "unsat", exactly


def test_what_could_overflow_is_not_proved(tmp_path: Path) -> None:
    model = chain(([[3e38]], [0.0]), ([[1e-38]], [0.0]))
    base = Base("overflow", model, spec_text([(np.array([1.0]), np.array([2.0]))], 1, "(<= Y_0 0.5)"))
    assert verdict(base, tmp_path, "float32").status.value != "unsat"


def test_a_clear_margin_is_proved_for_float32(tmp_path: Path) -> None:
    model = chain(([[1.0], [-1.0]], [0.5, 0.5]), ([[1.0, 1.0]], [0.0]))
    base = Base("clear", model, spec_text([UNIT], 1, "(<= Y_0 0.25)"))
    found = verdict(base, tmp_path, "float32")
    assert found.status.value == "unsat", found
    assert "float32 in any order" in found.notes[-1]


def test_a_witness_of_one_semantics_is_called_that(tmp_path: Path) -> None:
    """y <= 0.2 at x = 0.25 only because float32 absorbs it."""
    box = np.array([0.25]), np.array([0.25])
    base = Base("absorbing", absorbing(2.0**24), spec_text([box], 1, "(<= Y_0 0.2)"))
    found = verdict(base, tmp_path, "float32")
    if found.status.value == "sat":
        assert "float32 only" in found.notes[-1]
    else:
        assert found.status.value == "unknown"
