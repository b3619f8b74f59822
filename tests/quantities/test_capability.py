"""Removed classes: caps of confidence against grids, relearning against the edit itself and a solver, edit locality."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from small_models import dense_file, random_layers, run_layers

from certify.bounds.ball import ball
from certify.bounds.interval import Interval
from certify.cli.capability import _classes
from certify.dataset import make_dataset
from certify.errors import InputError
from certify.network.read_onnx import load_model
from certify.quantities import capability as capability_module
from certify.quantities import locality
from certify.quantities.capability import capability
from certify.quantities.locality import equal_on
from certify.quantities.relearning import distance, edit

EPS, REMOVED = 0.08, (2, 3)


@pytest.fixture(scope="module")
def net(tmp_path_factory) -> tuple[Path, list]:
    layers = random_layers(2, (2, 8, 6, 4))
    return dense_file(tmp_path_factory.mktemp("capability") / "net.onnx", layers), layers


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, size=(16, 2)).astype(np.float32).astype(np.float64)


def around(x: np.ndarray) -> np.ndarray:
    axis = np.linspace(-EPS, EPS, 33)
    return x + np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def found(net, points):
    return capability(net[0], make_dataset(points, None), removed=REMOVED, eps=EPS, timeout=1.0)


def test_confidence_contains_the_grid(net, points, found) -> None:
    for each, x in zip(found.regions, points, strict=True):
        sure = softmax(run_layers(net[1], around(x)))
        for enclosure, classes in ((each.removed, list(REMOVED)), (each.any, [0, 1, 2, 3])):
            assert sure[:, classes].max() <= enclosure.upper + 1e-12
            assert enclosure.lower >= sure[:, classes].max() - 0.05
    assert np.median([each.removed.gap for each in found.regions]) < 0.2


def test_leads_that_are_too_large_are_caught(net, points, monkeypatch) -> None:
    honest = capability_module.leads
    monkeypatch.setattr(capability_module, "leads", lambda network, box: honest(network, box) + 2.0)
    monkeypatch.setattr(capability_module, "Enclosure", lambda low, high, *rest: (low, high))
    wrong = capability(net[0], make_dataset(points, None), removed=REMOVED, eps=EPS, timeout=0.0)
    caps = [each.removed[1] for each in wrong.regions]  # type: ignore[index]
    truth = [softmax(run_layers(net[1], around(x)))[:, list(REMOVED)].max() for x in points]
    assert any(cap < sure for cap, sure in zip(caps, truth, strict=True))
    answers = [np.isin(run_layers(net[1], around(x)).argmax(axis=1), REMOVED).any() for x in points]
    assert any(each.never == "proven" and found for each, found in zip(wrong.regions, answers, strict=True))


def test_never_is_what_the_grid_says(net, points, found) -> None:
    words = [each.never for each in found.regions]
    assert {"proven", "refuted"} <= set(words)
    assert words.count("open") <= 2
    for each, x in zip(found.regions, points, strict=True):
        answers = run_layers(net[1], around(x)).argmax(axis=1)
        if each.never == "proven":
            assert not np.isin(answers, REMOVED).any()
        if each.never == "refuted":
            assert each.witness is not None
            assert (abs(each.witness - x) <= EPS + 1e-9).all()
            assert run_layers(net[1], each.witness[None]).argmax() in REMOVED
    assert found.share("proven") + found.share("refuted") + found.share("open") == pytest.approx(1.0)
    json.dumps(found.as_dict(), allow_nan=False)


def relearned(layers: list, x: np.ndarray, removed: int, scale: float) -> bool:
    """Whether the change of the last layer by the closed form, times scale, makes it answer with a class at x."""
    *first, (weight, bias) = layers
    h = x[None]
    for w, b in first:
        h = np.maximum(h @ w.astype(np.float64).T + b, 0.0)
    scores = (h @ weight.astype(np.float64).T + bias)[0]
    others = np.delete(np.arange(len(scores)), removed)
    own, down = edit(scores[others] - scores[removed], h[0])
    size = np.linalg.norm(np.append(h[0], 1.0)) ** 2
    direction = np.append(h[0], 1.0) / size
    change = np.zeros((len(scores), len(direction)))
    change[removed], change[others] = scale * own * direction, -scale * down[:, None] * direction
    moved = scores + change @ np.append(h[0], 1.0)
    return bool(moved[removed] >= moved[others].max() - 1e-12)


def test_the_closed_form_is_the_edit_that_brings_a_class_back(net, points, found) -> None:
    shown = 0
    for each, x in zip(found.regions, points, strict=True):
        assert each.relearning is not None
        assert 0.0 <= each.relearning.lower <= each.relearning.upper
        if each.relearning.upper > 0.01:
            shown += 1
            assert any(relearned(net[1], x, c, 1.0) for c in REMOVED)
            assert not any(relearned(net[1], x, c, 0.9) for c in REMOVED) or each.relearning.upper < 0.02
    assert shown >= 4


@pytest.mark.parametrize("seed", range(5))
def test_relearning_against_a_solver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gaps, size = rng.uniform(-0.2, 2.0, size=4), float(rng.uniform(1.0, 3.0))
    best = minimize(
        lambda z: z @ z, np.ones(5),
        constraints={"type": "ineq", "fun": lambda z: z[0] + z[1:] - gaps / size}, bounds=[(0, None)] * 5,
    )  # fmt: skip
    assert distance(gaps, size) == pytest.approx(np.sqrt(best.fun), rel=1e-4)


def test_relearning_of_one_competitor_is_gap_over_root_two() -> None:
    assert distance(np.array([3.0]), 2.0) == pytest.approx(3.0 / (np.sqrt(2.0) * 2.0))
    assert distance(np.array([-1.0, -2.0]), 2.0) == 0.0


def test_the_lower_end_holds_on_the_whole_region(net, points, found) -> None:
    for each, x in zip(found.regions, points, strict=True):
        h = around(x)
        for w, b in net[1][:-1]:
            h = np.maximum(h @ w.astype(np.float64).T + b, 0.0)
        scores = h @ net[1][-1][0].astype(np.float64).T + net[1][-1][1]
        size = np.linalg.norm(np.concatenate([h, np.ones((len(h), 1))], axis=1), axis=1)
        least = min(
            distance(np.delete(s, c) - s[c], float(n))
            for s, n in zip(scores[::7], size[::7], strict=True)
            for c in REMOVED
        )
        assert each.relearning is not None and each.relearning.lower <= least + 1e-12


def test_edits_of_neurons_that_are_off_change_nothing(net, points, tmp_path: Path) -> None:
    path, layers = net
    box = ball(points, np.full(len(points), EPS), "inf", np.full(2, -np.inf), np.full(2, np.inf)).box
    hidden = np.stack([around(x) @ layers[0][0].astype(np.float64).T + layers[0][1] for x in points])
    for kind in ("row", "column"):
        proven = 0
        for neuron in range(8):
            edited = [(w.copy(), b.copy()) for w, b in layers]
            if kind == "row":  # still off wherever the edit makes it less
                edited[0][1][neuron] -= 0.25
            else:
                edited[1][0][:, neuron] = 0.0
            other = load_model(dense_file(tmp_path / "edited.onnx", edited)).network
            mask = equal_on(load_model(path).network, other, box)
            for number, same in enumerate(mask):
                off = (hidden[number][:, neuron] <= 0.0).all()
                assert not same or off or kind == "column", "equal although the neuron fires"
                assert same or not (hidden[number][:, neuron] <= -0.01).all()
                if same:
                    grid = around(points[number])
                    np.testing.assert_array_equal(run_layers(layers, grid), run_layers(edited, grid))
            proven += int(mask.sum())
        assert 0 < proven < 8 * len(points)


def test_a_neuron_wrongly_taken_to_be_off_is_caught(net, points, tmp_path: Path, monkeypatch) -> None:
    path, layers = net
    edited = [(w.copy(), b.copy()) for w, b in layers]
    edited[0][1][:] -= 0.25
    other = load_model(dense_file(tmp_path / "edited.onnx", edited)).network
    monkeypatch.setattr(
        locality, "_off", lambda relaxed, node, count: np.ones((count, len(node.op.weight)), dtype=bool)
    )
    mask = equal_on(load_model(path).network, other, Interval(points, points))
    apart = abs(run_layers(layers, points) - run_layers(edited, points)).max(axis=1)
    assert (mask & (apart > 0)).any()


def test_other_edits_are_not_called_local(net, points, tmp_path: Path) -> None:
    path, layers = net
    box = Interval(points, points + 1e-6)
    changed = [(w.copy(), b.copy()) for w, b in layers]
    changed[-1][1][0] += 1e-3
    assert not equal_on(
        load_model(path).network, load_model(dense_file(tmp_path / "a.onnx", changed)).network, box
    ).any()
    narrower = random_layers(2, (2, 7, 6, 4))
    assert not equal_on(
        load_model(path).network, load_model(dense_file(tmp_path / "b.onnx", narrower)).network, box
    ).any()
    same = load_model(dense_file(tmp_path / "c.onnx", layers)).network
    assert equal_on(load_model(path).network, same, box).all()


@pytest.mark.parametrize(("text", "classes"), [("5-9", (5, 6, 7, 8, 9)), ("1, 4", (1, 4)), ("0,2-3", (0, 2, 3))])
def test_classes(text: str, classes: tuple) -> None:
    assert _classes(text) == classes


@pytest.mark.parametrize("text", ["", "a", "5-", "9-5", "-3"])
def test_classes_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="--removed"):
        _classes(text)


@pytest.mark.parametrize("removed", [(), (0, 1, 2, 3), (4,)])
def test_removed_classes_must_be_some_of_them(net, points, removed: tuple) -> None:
    with pytest.raises(InputError, match="removed classes"):
        capability(net[0], make_dataset(points, None), removed=removed)
