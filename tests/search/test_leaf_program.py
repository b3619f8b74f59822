"""Linear programs at the leaves: what their duals prove is what they claim, and no more is concluded."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from random_problems import least_margins, relu_network

from certify.bounds.backward import Rows
from certify.bounds.intermediate import intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.optimise import Ascent, optimise
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.search.domain import Domains
from certify.search.leaf_program import Solution, fits, solve
from certify.search.signs import as_splits, relaxed_under_signs

pytest.importorskip("highspy")

WIDTHS = [3, 5, 4, 2]


def solved(network: Network, signs: dict[str, np.ndarray], rows: Rows) -> tuple[Solution, float]:
    """A program's solution on the box [-1, 1]^n, and what a backward walk with its duals proves of its combination."""
    n = network.n_inputs
    root = intermediate_bounds(network, Interval(-np.ones((1, n)), np.ones((1, n))))
    one = np.zeros(1, dtype=int)
    batched = {value: sign[None] for value, sign in signs.items()}
    domain = Domains(*root.box, one, one, one, np.zeros((1, 1)), np.zeros(1), signs=batched)
    relaxed = relaxed_under_signs(root, domain)
    solution = solve(relaxed, rows, signs)
    assert solution is not None
    combined = Rows(
        {name: np.tensordot(solution.weights, c, axes=(0, 1))[:, None] for name, c in rows.coefficients.items()},
        rows.offset @ solution.weights[:, None],
    )
    splits = as_splits(SimpleNamespace(signs=batched, points={}), network.library)
    proven = optimise(
        relaxed, combined, Ascent(0), slopes=solution.slopes, splits=splits, multipliers=solution.multipliers
    )
    return solution, float(proven.lower[0, 0])


def random_signs(network: Network, rng: np.random.Generator, share: float) -> dict[str, np.ndarray]:
    values = [node.inputs[0] for node in network.nonlinear]
    choice = {v: rng.choice([-1, 1], size=network.shapes[v]) for v in values}
    return {v: (s * (rng.random(s.shape) < share)).astype(np.int8) for v, s in choice.items()}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_duals_prove_what_the_program_claims(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    network = relu_network(rng, WIDTHS)
    rows = Rows({network.output: rng.normal(size=(1, 2, 2))}, rng.normal(size=(1, 2)))
    signs = random_signs(network, rng, share)
    solution, proven = solved(network, signs, rows)
    assert proven <= solution.bound + 1e-6 * (1.0 + abs(solution.bound))
    # Where the signs contradict each other the optimum is what the slack costs, and any positive bound will do.
    assert proven >= min(solution.bound - 1e-5 * (1.0 + abs(solution.bound)), 1.0)
    x = rng.uniform(-1, 1, size=(20_000, 3))
    inside = np.ones(len(x), dtype=bool)
    for value, sign in signs.items():
        inside &= (evaluate(network.cone(value), x) * sign >= 0.0).all(axis=1)
    worst = (evaluate(network, x[inside]) @ rows.coefficients[network.output][0].T + rows.offset[0]).max(axis=1)
    assert not inside.any() or proven <= worst.min()


def test_contradicting_signs_are_refuted() -> None:
    """Of two neurons that are each other's negative, shifted, both cannot be positive."""
    network = relu_network(np.random.default_rng(0), [2, 2, 1])
    first = network.nodes[0].op
    first.weight[1], first.shift[:] = -first.weight[0], -0.1
    rows = Rows({network.output: np.ones((1, 1, 1))}, np.full((1, 1), -50.0))
    _, proven = solved(network, {network.nonlinear[0].inputs[0]: np.array([1, 1], dtype=np.int8)}, rows)
    assert proven > 0.0


@pytest.mark.parametrize("seed", range(4))
def test_with_binaries_it_is_exact(seed: int) -> None:
    """The point of the mixed-integer program attains the least margin over the box."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, WIDTHS)
    row, n = rng.normal(size=(2, 2)), 3
    relaxed = intermediate_bounds(network, Interval(-np.ones((1, n)), np.ones((1, n))))
    rows = Rows({network.output: row[None]}, np.zeros((1, 2)))
    solution = solve(relaxed, rows, {}, integer=True)
    assert solution is not None
    exact = least_margins(network, -np.ones(n), np.ones(n), row, np.zeros(2))
    assert float((evaluate(network, solution.point[None]) @ row.T).max()) == pytest.approx(exact, abs=1e-5)
    assert solution.bound == pytest.approx(exact, abs=1e-5)


def test_large_networks_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    assert fits(relu_network(rng, [30, 128, 2]))
    assert not fits(relu_network(rng, [784, 256, 256, 256, 256, 10]))
