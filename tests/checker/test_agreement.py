"""The search knows nothing that the checker cannot recompute: what it closes, the checker closes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from certificates import Base, bases, below_all, certificate, dense_model, read, sha256, spec_text

from certify.bounds.intermediate import intermediate_bounds
from certify.bounds.interval import Interval
from certify.checker import boxes as checker_boxes
from certify.checker.arithmetic import Arithmetic
from certify.checker.bounds import Engine, Hidden
from certify.checker.check import check
from certify.checker.network import read_network
from certify.checker.outcome import Rejected
from certify.network.graph import Network
from certify.network.passes.drop_dead_neurons import drop_dead_neurons
from certify.network.read_onnx import load_model
from certify.search import prove, refine

ROUNDOFF = {"real": 0.0, "float32": 2.0**-24}


def random_boxes(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Six boxes [6, n], of very different sizes, so that different rectifiers are open on them."""
    center = rng.uniform(-1.0, 1.0, size=(6, n))
    radius = 10.0 ** rng.uniform(-2.0, 0.0, size=(6, 1)) * rng.uniform(0.2, 1.0, size=(6, n))
    return center - radius, center + radius


def both(model: onnx.ModelProto, folder: Path, semantics: str) -> tuple[Network, Engine]:
    """The model as the search has it and as the checker does."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    numbers = Arithmetic(float32=semantics == "float32")
    ours = replace(load_model(path).network, roundoff=ROUNDOFF[semantics])
    return ours, Engine(read_network(path, numbers), numbers)


def sides(found: Hidden, k: int) -> np.ndarray:
    """Lower bounds and negated upper ones, [batch, 2 size]."""
    return np.concatenate([found.lower[k], -found.upper[k]], axis=1)


@pytest.mark.parametrize("semantics", ROUNDOFF)
@pytest.mark.parametrize("seed", range(5))
def test_bounds_are_those_of_the_checker_whoever_shares_the_batch(seed: int, semantics: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    network, engine = both(dense_model(rng, [4, 12, 12, 12, 2]), tmp_path, semantics)
    lower, upper = random_boxes(rng, 4)
    together, theirs = intermediate_bounds(network, Interval(lower, upper)), engine.hidden(lower, upper)
    room = 1e-9 if semantics == "real" else 2e-4
    for k, node in enumerate(network.nonlinear):
        found = (side.reshape(len(lower), -1) for side in together.intervals[node.inputs[0]])
        ours = np.concatenate([sign * side for sign, side in zip((1, -1), found, strict=True)], axis=1)
        open_ = (theirs.lower[k] < 0) & (theirs.upper[k] > 0)
        assert open_.any(axis=0).sum() > open_.all(axis=0).sum() or k == 0
        np.testing.assert_allclose(ours, sides(theirs, k), rtol=room, atol=room)
        if semantics == "float32":
            assert (ours <= sides(theirs, k)).all()
        alone = [engine.hidden(lower[i : i + 1], upper[i : i + 1]) for i in range(len(lower))]
        np.testing.assert_allclose(sides(theirs, k), np.concatenate([sides(a, k) for a in alone]), rtol=room, atol=room)


@pytest.mark.parametrize("seed", range(3))
def test_what_float32_adds_up_counts_where_dead_rectifiers_are_left_out(seed: int, tmp_path: Path) -> None:
    """The model adds their zeros up all the same, and so does the checker."""
    rng = np.random.default_rng(seed)
    network, engine = both(dense_model(rng, [6, 300, 40, 2]), tmp_path, "float32")
    lower, upper = (side[:1] for side in random_boxes(rng, 6))
    theirs, whole = engine.hidden(lower, upper), intermediate_bounds(network, Interval(lower, upper))
    alive = {name: (i.upper > 0.0).reshape(-1) for name, i in whole.intervals.items()}
    small, kept = drop_dead_neurons(network, alive)
    assert kept
    ours = intermediate_bounds(small, Interval(lower, upper))
    for k, node in enumerate(network.nonlinear):
        name = node.inputs[0]
        place = kept.get(name, np.arange(node.op.out_shape[-1]))
        low, high = (side.reshape(-1) for side in ours.intervals[name])
        assert (low <= theirs.lower[k][0, place]).all()
        assert (high >= theirs.upper[k][0, place]).all()


@pytest.mark.parametrize("seed", [2, 12, 13])
def test_intervals_carry_on_what_was_refined(seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few values are bounded again at a node, and the next ones follow from them without a walk of their own."""
    for name, value in (("MOST_ELEMENTS", 3), ("LEVELS_BETWEEN", 1), ("LEVELS_AHEAD", 0), ("PATIENCE", 0)):
        monkeypatch.setattr(refine, name, value)
    monkeypatch.setattr(prove, "SHORTEST_TURN", 60.0)
    rng = np.random.default_rng(seed)
    model = dense_model(rng, [24, 12, 6, 12, 12, 2], 1.2)
    center = rng.uniform(-0.5, 0.5, 24)
    low, high = np.round(center - 0.15, 6), np.round(center + 0.15, 6)
    (rhs,) = below_all(model, low, high, np.array([[1.0, -1.0]]), 0.3)
    text = spec_text([(low, high)], 2, f"(<= Y_0 (+ Y_1 {float(rhs)!r}))")
    files = certificate(Base("refined", model.SerializeToString(), text), tmp_path, "unsat")
    assert len(read(files[2]).arrays["0/refined_node"])
    assert check(*files).startswith("unsat, real")


@pytest.mark.parametrize(
    ("semantics", "most", "violated", "accepted"),
    [
        ("float32", 8, False, True),
        ("float32", 0, False, False),
        ("float32", 8, True, False),
        ("real", 8, False, False),
    ],
)
def test_in_float32_a_leaf_that_is_open_by_little_is_halved_some_more(
    semantics: str, most: int, violated: bool, accepted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here the last cut is missing. What is violated is not accepted however often it is cut."""
    monkeypatch.setattr(checker_boxes, "MOST_OWN", most)
    contents = read(Path(__file__).parent / "corpus" / "accepted" / "boxes.cert")
    base = bases(violated)["boxes"]
    contents.header |= {"semantics": semantics, "model": sha256(base.model), "spec": sha256(base.spec.encode())}
    contents.arrays |= {name: array[:-1] for name, array in contents.arrays.items()}
    contents.write(tmp_path / "short.cert")
    files = *base.files(tmp_path), tmp_path / "short.cert"
    if accepted:
        assert check(*files).startswith("unsat")
    else:
        with pytest.raises(Rejected, match="is not refuted"):
            check(*files)
