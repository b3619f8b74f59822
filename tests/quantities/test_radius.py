"""Certified and attacked radii: the grid's own distance lies between them, and what is wrong has none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundled import MODEL
from small_models import dense_file, random_layers, run_layers

import certify
from certify.bounds.ball import length
from certify.dataset import make_dataset
from certify.errors import InputError
from certify.quantities.classifier import Classifier
from certify.quantities.margins import Leads, largest
from certify.quantities.radius import Radii, radius
from certify.settings import Norm

NORMS: tuple[Norm, ...] = ("inf", "2", "1")
AXIS = np.linspace(0.0, 1.0, 401)
GRID = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)
SPACING = 1 / 400


@pytest.fixture(scope="module")
def planar(tmp_path_factory) -> tuple[Path, list]:
    layers = random_layers(4, (2, 12, 8, 3))
    return dense_file(tmp_path_factory.mktemp("radius") / "planar.onnx", layers), layers


def grid_distance(layers: list, x: np.ndarray, norm: Norm) -> float:
    """Distance to the nearest point of the grid with another class; infinite if there is none."""
    answers = run_layers(layers, GRID).argmax(axis=1)
    other = answers != run_layers(layers, x[None]).argmax()
    return float(np.linalg.norm(GRID[other] - x, ord=float(norm), axis=1).min(initial=np.inf))


@pytest.mark.parametrize("norm", NORMS)
def test_the_grid_lies_between(planar, norm: Norm) -> None:
    path, layers = planar
    x = np.random.default_rng(0).uniform(size=(12, 2)).astype(np.float32).astype(np.float64)
    found = radius(path, make_dataset(x, None), norm=norm, clip=(0, 1), timeout=0.02)
    truth = np.array([grid_distance(layers, point, norm) for point in x])
    assert (found.certified <= truth).all()
    assert (found.attacked >= truth - 4 * SPACING).all()
    near = np.isfinite(truth)
    assert near.sum() >= 6
    assert np.isfinite(found.attacked[near]).all()
    assert (found.attacked[near] <= 1.05 * truth[near] + 4 * SPACING).all(), "the attack misses what the grid finds"
    assert (found.certified[near] > 0).all()
    assert np.median(found.certified[near] / found.attacked[near]) > 0.5


@pytest.mark.parametrize("norm", NORMS)
def test_the_attacked_end_is_replayed(planar, norm: Norm) -> None:
    path, _ = planar
    x = np.random.default_rng(1).uniform(size=(6, 2))
    classifier, found = Classifier(path), radius(path, make_dataset(x, None), norm=norm, clip=(0, 1), timeout=0.0)
    centers = classifier.rows(make_dataset(x, None))
    for each, center in zip(found.samples, centers, strict=True):
        if each.witness is not None:
            scores = classifier.scores(each.witness[None])[0]
            label = each.detail["label"]
            assert (np.delete(scores, label) >= scores[label]).any()
            assert length(each.witness - center, norm) <= each.upper
            assert (each.witness >= 0).all() and (each.witness <= 1).all()


def test_branch_and_bound_closes_what_bounds_leave_open(planar) -> None:
    path, _ = planar
    x = np.random.default_rng(2).uniform(size=(3, 2))
    plain = radius(path, make_dataset(x, None), clip=(0, 1), timeout=0.0)
    found = radius(path, make_dataset(x, None), clip=(0, 1), timeout=2.0)
    assert (found.certified >= plain.certified).all()
    assert (found.certified >= 0.98 * found.attacked)[np.isfinite(found.attacked)].all()


def test_a_misclassified_sample_has_radius_zero(planar) -> None:
    path, layers = planar
    x = np.array([[0.5, 0.5], [0.2, 0.9]], dtype=np.float32)
    answers = run_layers(layers, x.astype(np.float64)).argmax(axis=1)
    found = radius(path, make_dataset(x, np.array([answers[0], (answers[1] + 1) % 3])), timeout=0.0)
    assert found.certified[0] > 0
    wrong = found.samples[1]
    assert (wrong.lower, wrong.upper, wrong.detail["correct"]) == (0.0, 0.0, False)
    assert found.certified_share(np.array([0.0]))[0] == 0.5
    assert found.unbroken_share(np.array([0.0]))[0] == 0.5


def test_a_linear_model_is_known_exactly(tmp_path: Path) -> None:
    layers = random_layers(7, (4, 5))
    path, x = dense_file(tmp_path / "linear.onnx", layers), np.random.default_rng(3).normal(size=(5, 4))
    x = x.astype(np.float32).astype(np.float64)
    weight, _ = layers[0]
    scores = run_layers(layers, x)
    own = scores.argmax(axis=1)
    for norm, dual in (("inf", 1), ("2", 2), ("1", np.inf)):
        found = radius(path, make_dataset(x, None), norm=norm)  # type: ignore[arg-type]
        for number, each in enumerate(found.samples):
            others = np.delete(np.arange(5), own[number])
            lead = scores[number, own[number]] - scores[number, others]
            slope = np.linalg.norm(weight[own[number]].astype(float) - weight[others], ord=dual, axis=1)
            np.testing.assert_allclose(each.lower, (lead / slope).min(), rtol=1e-6)
            assert each.lower <= (lead / slope).min() <= each.upper * (1 + 1e-6)


def test_a_bound_that_proves_too_much_is_caught(planar, monkeypatch) -> None:
    """The grid notices a prover that takes half of the radius for the whole."""
    path, layers = planar
    honest = Leads.lower
    monkeypatch.setattr(Leads, "lower", lambda self, samples, radius, **how: honest(self, samples, radius / 2, **how))
    x = np.random.default_rng(0).uniform(size=(12, 2)).astype(np.float32).astype(np.float64)
    found = radius(path, make_dataset(x, None), norm="2", clip=(0, 1), timeout=0.0)
    truth = np.array([grid_distance(layers, point, "2") for point in x])
    assert (found.certified > truth * 0.99).any()


def test_bisection_ends_where_nothing_is_ever_proven() -> None:
    calls = []

    def never(samples: np.ndarray, radius: np.ndarray) -> np.ndarray:
        calls.append(len(samples))
        return np.zeros(len(samples), dtype=bool)

    assert largest(never, np.zeros(2), np.array([1.0, np.inf]), 0.01).tolist() == [0.0, 0.0]
    assert len(calls) < 60


def test_bisection_ends_where_everything_is_proven() -> None:
    found = largest(lambda samples, radius: np.ones(len(samples), dtype=bool), np.zeros(1), np.array([np.inf]), 0.01)
    assert found[0] >= 2.0**20


@pytest.fixture(scope="module")
def digits() -> Radii:
    return certify.radius(MODEL, "digits:test", norm="2", clip=(0, 1), count=8, timeout=0.0)


def test_no_random_point_inside_a_certified_ball_is_misclassified(digits: Radii) -> None:
    classifier, rng = Classifier(MODEL), np.random.default_rng(0)
    x = classifier.rows(certify.dataset.read_dataset("digits:test").take(slice(0, 8)))
    from certify.network.evaluate import evaluate

    for each, center in zip(digits.samples, x, strict=True):
        move = rng.normal(size=(2500, 64))
        points = np.clip(center + each.lower * move / length(move, "2")[:, None], 0.0, 1.0)
        assert (
            not each.detail["correct"]
            or (evaluate(classifier.network, points).argmax(axis=1) == each.detail["label"]).all()
        )


def test_digits_have_radii_and_a_curve(digits: Radii, tmp_path: Path) -> None:
    from certify.quantities.radius_plot import draw

    right = np.array([each.detail["correct"] for each in digits.samples])
    assert (digits.certified[right] > 0.1).all()
    assert np.isfinite(digits.attacked).all()
    at = np.linspace(0, 2, 9)
    assert (digits.certified_share(at) <= digits.unbroken_share(at)).all()
    assert (np.diff(digits.certified_share(at)) <= 0).all()
    draw(digits, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="cannot be drawn"):
        draw(digits, tmp_path / "curve.xyz")
    json.dumps(digits.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": (0.5, 1.0)}, "outside of 0.5 to 1"),
        ({"clip": (1.0, 0.0)}, "holds no inputs"),
        ({"norm": "3"}, "no norm '3'"),
    ],
)
def test_what_cannot_be_used(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        radius(MODEL, "digits:test", count=1, **change)


@pytest.mark.parametrize(("beyond", "crossed"), [(1e-6, False), (1e-2, True)])
def test_rounding_explains_a_little_and_no_more(beyond: float, crossed: bool, tmp_path: Path) -> None:
    """An attack just nearer than what is certified in exact arithmetic is both ends; one much nearer is an error."""
    from certify.errors import NumericalError
    from certify.quantities.radius import _Search

    classifier = Classifier(dense_file(tmp_path / "m.onnx", random_layers(0, (2, 2))))
    search = _Search(classifier, np.zeros((1, 2)), np.zeros(1, int), "inf", np.full(2, -np.inf), np.full(2, np.inf))
    search.lower[0], search.upper[0], search.witness[0] = 1.0 + beyond, 1.0, 0.5
    if crossed:
        with pytest.raises(NumericalError):
            search.enclosure(0, "anything", {})
    else:
        found = search.enclosure(0, "anything", {})
        assert (found.lower, found.upper) == (1.0, 1.0)
