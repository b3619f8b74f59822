"""What splits gained so far corrects what is expected of them."""

from __future__ import annotations

import numpy as np
from random_problems import relu_network

from certify.search.pick.pseudocost import LEAST_GAIN, MOST_RATIO, Pseudocosts


def scores(costs: Pseudocosts, score: list[float], missing: float = 100.0) -> np.ndarray:
    place = costs.place(np.zeros((1, len(score)), dtype=int), np.arange(len(score))[None])
    return costs.scores(place, np.array([score]), np.array([missing]))[0]


def fresh() -> Pseudocosts:
    return Pseudocosts(relu_network(np.random.default_rng(0), [3, 4, 5, 2]))


def learn(costs: Pseudocosts, element: int, plus: float, minus: float, times: int = 50) -> None:
    for side, gain in ((0, plus), (1, minus)):
        costs.learn(np.full(times, element), np.full(times, side), np.ones(times), np.full(times, gain))


def test_nothing_learned_keeps_the_rule() -> None:
    assert scores(fresh(), [1.0, 3.0, 2.0]).argmax() == 1


def test_both_children_count() -> None:
    """A split that gains in both children beats one that closes one of them and leaves the other as it was."""
    costs = fresh()
    learn(costs, 0, 9.0, 0.0)
    learn(costs, 1, 2.0, 2.0)
    assert scores(costs, [1.0, 1.0]).argmax() == 1
    learned = scores(costs, [1.0, 1.0])
    np.testing.assert_allclose(learned[1], 4.0, rtol=0.2)


def test_no_child_gains_more_than_closes_it() -> None:
    costs = fresh()
    learn(costs, 0, 1e6, 1e6)
    assert scores(costs, [1e9], missing=0.5)[0] == 0.25
    assert scores(costs, [1.0])[0] <= MOST_RATIO**2
    assert scores(costs, [0.0], missing=1.0)[0] == LEAST_GAIN**2


def test_elements_of_different_nodes_do_not_mix() -> None:
    costs = fresh()
    places = costs.place(np.repeat([0, 1], [4, 5]), np.concatenate([np.arange(4), np.arange(5)]))
    assert len(set(places.tolist())) == 9
