"""Linear forms on balls cut by a range: never above the truth, exact where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from networks import dense_net
from scipy.optimize import minimize

from certify.bounds.backward import Rows
from certify.bounds.ball import ball, length
from certify.bounds.intermediate import crown_rows, intermediate_bounds
from certify.bounds.linear_form import LinearForm
from certify.bounds.methods.alpha_crown import ASCENT, tighten
from certify.bounds.optimise import optimise
from certify.network.evaluate import evaluate
from certify.settings import Norm

NORMS: tuple[Norm, ...] = ("inf", "2", "1")


def forms(rng: np.random.Generator, batch: int, rows: int, n: int) -> LinearForm:
    shape = (batch, rows)
    return LinearForm(rng.normal(size=(*shape, n)), rng.normal(size=shape), np.zeros(shape))


def samples_in(around, norm: Norm, rng: np.random.Generator, count: int) -> np.ndarray:
    """Points of each ball, most near its surface, [batch, count, n]."""
    batch, n = around.center.shape
    move = rng.normal(size=(batch, count, n)) * rng.uniform(size=(batch, count, n)) ** rng.integers(
        0, 9, (batch, count, 1)
    )
    move *= (around.radius[:, None] * rng.uniform(size=(batch, count)) ** 0.05 / length(move, norm))[..., None]
    # A clipped coordinate only comes nearer to the centre, which is in the range.
    return np.clip(around.center[:, None] + move, around.box.lower[:, None], around.box.upper[:, None])


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_range_the_dual_norm_is_exact(norm: Norm) -> None:
    rng = np.random.default_rng(0)
    form, center, radius = forms(rng, 3, 4, 5), rng.normal(size=(3, 5)), np.array([0.1, 1.0, 7.0])
    around = ball(center, radius, norm, np.full(5, -np.inf), np.full(5, np.inf))
    dual = {"inf": 1, "2": 2, "1": np.inf}[norm]
    middle = np.einsum("bsn,bn->bs", form.coefficient, center) + form.offset
    exact = middle - radius[:, None] * np.linalg.norm(form.coefficient, ord=dual, axis=2)
    found = around.lower(form)
    assert (found <= exact + 1e-15).all()
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(6))
def test_a_range_is_made_use_of_and_never_too_much(norm: Norm, seed: int) -> None:
    rng = np.random.default_rng(seed)
    form, center = forms(rng, 4, 3, 6), rng.uniform(size=(4, 6)) * rng.integers(0, 2, size=(4, 6))
    radius = np.array([0.05, 0.5, 1.5, 5.0])
    around = ball(center, radius, norm, np.zeros(6), np.ones(6))
    found, points = around.lower(form), samples_in(around, norm, rng, 4000)
    values = np.einsum("bsn,bpn->bsp", form.coefficient, points) + form.offset[..., None]
    assert (found <= values.min(axis=2)).all()
    reached = around.minimiser(form)
    inside = length(reached - center[:, None], norm) <= radius[:, None] * (1 + 1e-6)
    at = (form.coefficient * reached).sum(axis=2) + form.offset
    assert inside.all()
    assert (at <= values.min(axis=2) + 1e-9).all()
    np.testing.assert_allclose(found, at, rtol=1e-6, atol=1e-6)
    free = ball(center, radius, norm, np.full(6, -np.inf), np.full(6, np.inf)).lower(form)
    assert (found >= free - 1e-9).all() and (found > free + 1e-3).any()


def test_a_euclidean_ball_and_a_range_against_a_solver() -> None:
    rng = np.random.default_rng(5)
    form, center = forms(rng, 1, 1, 4), np.array([[0.0, 0.2, 0.9, 0.5]])
    around = ball(center, np.array([0.6]), "2", np.zeros(4), np.ones(4))
    c = form.coefficient[0, 0]
    best = minimize(
        lambda d: c @ d, np.zeros(4), bounds=[(-z, 1 - z) for z in center[0]], method="SLSQP",
        constraints={"type": "ineq", "fun": lambda d: 0.36 - d @ d},
    )  # fmt: skip
    np.testing.assert_allclose(around.lower(form)[0, 0], c @ center[0] + form.offset[0, 0] + best.fun, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_zero_radius_and_zero_form(norm: Norm) -> None:
    form = LinearForm(np.array([[[0.0, 0.0], [1.0, -2.0]]]), np.array([[3.0, 0.5]]), np.zeros((1, 2)))
    around = ball(np.array([[0.25, 0.5]]), np.zeros(1), norm, np.zeros(2), np.ones(2))
    np.testing.assert_allclose(around.lower(form), [[3.0, -0.25]], atol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("ascend", [False, True])
def test_networks_stay_above_their_bounds(norm: Norm, ascend: bool) -> None:
    rng = np.random.default_rng(11)
    network = dense_net(rng, 5, 8, 2)
    around = ball(rng.uniform(size=(6, 5)), np.linspace(0.05, 1.0, 6), norm, np.zeros(5), np.ones(5))
    rows = Rows({network.output: np.stack([np.eye(2), np.eye(2)[::-1]])[:1]}, np.zeros((1, 2)))
    relaxed = intermediate_bounds(network, around.box, ball=around)
    found = crown_rows(relaxed, rows)[0]
    if ascend:
        relaxed = tighten(network, around.box, relaxed.intervals, lambda: False, ball=around)
        better = optimise(relaxed, rows, ASCENT).lower
        assert (better >= found - 1e-9).all() and (better > found).any()
        found = better
    points = samples_in(around, norm, rng, 2000)
    values = evaluate(network, points.reshape(-1, 5)).reshape(6, 2000, 2)
    assert (found <= values.min(axis=1)).all()
    box_only = crown_rows(intermediate_bounds(network, around.box), rows)[0]
    assert (found >= box_only - 1e-9).all()
    assert norm == "inf" or (found > box_only + 1e-3).any()


def test_a_radius_that_is_too_small_would_be_caught() -> None:
    rng = np.random.default_rng(3)
    form = forms(rng, 2, 3, 4)
    around = ball(rng.normal(size=(2, 4)), np.ones(2), "2", np.full(4, -np.inf), np.full(4, np.inf))
    points = samples_in(around, "2", rng, 4000)
    values = np.einsum("bsn,bpn->bsp", form.coefficient, points) + form.offset[..., None]
    smaller = ball(around.center, 0.9 * around.radius, "2", np.full(4, -np.inf), np.full(4, np.inf))
    assert (smaller.lower(form) > values.min(axis=2)).any()
