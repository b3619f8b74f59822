"""Radii around hidden tensors: exact for the last layer, sound on grids, and what they say about regions of inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, run, save
from small_models import dense_file, random_layers, run_layers

import certify
from certify.bounds.ball import length
from certify.dataset import make_dataset
from certify.errors import InputError, ModelError
from certify.network.cut import cut_at
from certify.quantities.latent import latent

SIZES = (2, 7, 5, 3)


@pytest.fixture(scope="module")
def net(tmp_path_factory) -> tuple[Path, list]:
    layers = random_layers(8, SIZES)
    return dense_file(tmp_path_factory.mktemp("latent") / "net.onnx", layers), layers


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(6, 2)).astype(np.float32).astype(np.float64)


def hidden(layers: list, x: np.ndarray, depth: int) -> np.ndarray:
    for weight, bias in layers[:depth]:
        x = np.maximum(x @ weight.astype(np.float64).T + bias, 0.0)
    return x


def test_the_two_halves_are_the_model(net, points) -> None:
    path, _ = net
    for name, shape in (("h0", (1, 7)), ("pre1", (1, 5)), ("h1", (1, 5))):
        cut = cut_at(path, name)
        assert cut.shape == shape
        np.testing.assert_array_equal(run(cut.tail, run(cut.head, points)), run(path, points))


def test_a_path_around_the_tensor_is_refused(tmp_path: Path) -> None:
    weights = {"a": np.ones((2, 2), np.float32)}
    nodes = [node("MatMul", "x a", "h"), node("Add", "h x", "y")]
    path = save(tmp_path / "skip.onnx", model(nodes, {"x": [1, 2]}, ["y"], weights))
    with pytest.raises(InputError, match="without passing through 'h'"):
        cut_at(path, "h")
    with pytest.raises(InputError, match="is an output"):
        cut_at(path, "y")
    with pytest.raises(ModelError, match="no node computes"):
        cut_at(path, "nothing")


@pytest.mark.parametrize(("norm", "dual"), [("2", 2), ("inf", 1)])
def test_before_the_last_layer_the_radius_is_exact(net, points, norm, dual) -> None:
    """Without a rectifier's range, the closed form  min_j (f_y - f_j) / ||w_y - w_j||_dual."""
    path, layers = net
    found = latent(path, make_dataset(points, None), layer="pre1", norm=norm, timeout=0.0)
    assert not found.rectified
    last = dense_tail(layers)
    for each, x in zip(found.samples, points, strict=True):
        value = last["before"](x)
        assert each.radius.lower <= last["grid"](value, norm) + 1e-3
        assert each.radius.lower > 0.0
    exact = latent(path, make_dataset(points, None), layer="h1", norm=norm, timeout=0.0)
    weight = layers[-1][0].astype(np.float64)
    for each, x in zip(exact.samples, points, strict=True):
        scores, h = run_layers(layers, x[None])[0], hidden(layers, x[None], 2)[0]
        own = int(scores.argmax())
        others = np.delete(np.arange(3), own)
        free = ((scores[own] - scores[others]) / np.linalg.norm(weight[own] - weight[others], ord=dual, axis=1)).min()
        assert each.radius.lower >= free * (1 - 1e-5), "the range of a rectifier can only help"
        assert each.radius.gap <= 1e-4 * each.radius.upper
        np.testing.assert_allclose(each.size, np.linalg.norm(h, ord=float(norm)), rtol=1e-5)
        np.testing.assert_allclose(each.ratio, each.radius.lower / each.size)


def dense_tail(layers: list) -> dict:
    """What comes before the second rectifier, and how near random values of it are classified otherwise."""
    rng = np.random.default_rng(5)
    (weight, bias), (last, shift) = layers[1], layers[2]

    def before(x: np.ndarray) -> np.ndarray:
        return hidden(layers, x[None], 1)[0] @ weight.astype(np.float64).T + bias

    def scores(z: np.ndarray) -> np.ndarray:
        return np.maximum(z, 0.0) @ last.astype(np.float64).T + shift

    def nearest(z: np.ndarray, norm: str) -> float:
        move = rng.normal(size=(20000, 5)) * 3.0 * rng.uniform(size=(20000, 1))
        other = scores(z + move).argmax(axis=1) != scores(z[None]).argmax()
        return float(length(move[other], norm).min(initial=np.inf))  # type: ignore[arg-type]

    return {"before": before, "grid": nearest}


def test_movement_contains_the_grid_and_fixes_the_label(net, points) -> None:
    path, layers = net
    eps = 0.05
    found = latent(path, make_dataset(points, None), layer="h1", norm="2", region_eps=eps, clip=(0, 1), timeout=0.0)
    axis = np.linspace(-eps, eps, 41)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    fixed = attained = 0
    for each, x in zip(found.samples, points, strict=True):
        near = np.clip(x + grid, 0.0, 1.0)
        farthest = np.linalg.norm(hidden(layers, near, 2) - hidden(layers, x[None], 2), axis=1).max()
        assert each.movement is not None
        assert each.movement.lower <= each.movement.upper
        assert farthest <= each.movement.upper * (1 + 1e-6)
        attained += each.movement.lower >= 0.9 * farthest
        if each.fixed:
            fixed += 1
            assert len(set(run_layers(layers, near).argmax(axis=1))) == 1
    assert fixed > 0
    assert attained >= len(points) - 1
    wide = latent(path, make_dataset(points, None), layer="h1", norm="2", region_eps=5.0, timeout=0.0)
    answers = run_layers(layers, np.random.default_rng(1).uniform(-4, 4, size=(2000, 2))).argmax(axis=1)
    assert len(set(answers)) > 1
    assert not any(each.fixed for each in wide.samples), "the square around each has several labels"


@pytest.mark.parametrize("norm", ["2", "inf"])
def test_what_was_proven_can_be_checked_again(net, points, tmp_path: Path, norm) -> None:
    path, _ = net
    found = latent(path, make_dataset(points[:2], None), layer="h1", norm=norm, region_eps=0.02, out=tmp_path / "q")
    assert found.samples[0].radius.lower > 0
    tail = certify.check(
        tmp_path / "q" / "tail.onnx", tmp_path / "q" / "tail_0.vnnlib", timeout=20 if norm == "inf" else 1
    )
    whole = certify.check(path, tmp_path / "q" / "hidden_0.vnnlib", timeout=20)
    assert "declare-hidden" in (tmp_path / "q" / "hidden_0.vnnlib").read_text()
    assert tail.status.value in ("unsat", "unknown", "timeout")
    assert whole.status.value == "unsat"
    if norm == "inf":
        assert tail.status.value == "unsat"
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_region_of_a_specification(net, points, tmp_path: Path) -> None:
    from certify.query.robustness import robust_spec

    path, _ = net
    (tmp_path / "s.vnnlib").write_text(robust_spec(points[1], 0.01, 0, 3))
    found = latent(path, make_dataset(points, None), layer="h1", spec=tmp_path / "s.vnnlib", timeout=0.0)
    assert [each.sample for each in found.samples] == [1]
    with pytest.raises(InputError, match="none of the samples"):
        latent(path, make_dataset(points[2:3], None), layer="h1", spec=tmp_path / "s.vnnlib")
    with pytest.raises(InputError, match="one region"):
        latent(path, make_dataset(points, None), layer="h1", spec=tmp_path / "s.vnnlib", region_eps=0.1)
