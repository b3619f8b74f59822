"""The second process: it finds what is hard to hit, and it never outlives or disturbs the first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest
from random_problems import problem, relu_network

from certify.backends import second_process
from certify.backends.native_falsify import falsify
from certify.network.evaluate import evaluate
from certify.query.formula import AnyOf, Region
from certify.settings import Budget

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.mark.parametrize("seed", range(5))
def test_a_small_unsafe_region_is_found(seed: int) -> None:
    """The region is a few millionths of the box; every point reported is inside it."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [3, 10, 10, 2])
    lower, upper, row = -np.ones(3), np.ones(3), rng.normal(size=(1, 2))
    values = np.sort((evaluate(network, rng.uniform(-1, 1, size=(200_000, 3))) @ row.T)[:, 0])
    posed = problem(network, [Region(lower, upper, 0)], row, values[:1])
    goals = list(posed.goals())
    found = next(p for p in falsify(posed, goals, network, seed, Budget.starting_now(60)) if len(p))
    assert ((found >= lower) & (found <= upper)).all()
    assert (evaluate(network, found) @ row.T <= values[0]).all()


def test_a_safe_region_ends_without_points() -> None:
    rng = np.random.default_rng(0)
    network = relu_network(rng, [2, 6, 2])
    row = rng.normal(size=(1, 2))
    least = (evaluate(network, rng.uniform(-1, 1, size=(20_000, 2))) @ row.T).min()
    posed = problem(network, [Region(-np.ones(2), np.ones(2), AnyOf((0,)))], row, np.array([least - 0.5]))
    assert not any(len(p) for p in falsify(posed, list(posed.goals()), network, 0, Budget.starting_now(60)))


@forks
def test_points_of_the_other_process_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_process, "START_AFTER", 0.0)

    def work() -> Iterator[np.ndarray]:
        yield np.zeros((0, 2))
        yield np.full((1, 2), 7.0)

    offered: list[np.ndarray] = []
    with second_process.Beside(lambda points: offered.append(points), work) as accept:
        while not any((points == 7.0).all() for points in offered):
            accept(np.zeros((1, 2)))
    assert any((points == 0.0).all() for points in offered)


@forks
def test_a_broken_helper_is_no_loss_and_a_busy_one_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_process, "START_AFTER", 0.0)

    def broken() -> Iterator[np.ndarray]:
        raise RuntimeError
        yield

    def busy() -> Iterator[np.ndarray]:
        while True:
            time.sleep(0.01)
            yield np.zeros((0, 1))

    for work in (broken, busy):
        with second_process.Beside(lambda points: "witness" if len(points) else None, work) as accept:
            assert accept(np.zeros((0, 1))) is None
            assert accept(np.zeros((1, 1))) == "witness"
            process = accept._process
        assert not process.is_alive()
