"""Subproblems that live in the condensed network: what it claims is believed only once the network itself agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import conv_net, random_box, residual_net
from random_problems import problem, relu_network

from certify.arrays import Library
from certify.bounds import condense as condense_module
from certify.bounds.condense import condense
from certify.bounds.optimise import Ascent
from certify.network.evaluate import evaluate
from certify.network.graph import INPUT, Network
from certify.query.formula import Region
from certify.search.branch_and_bound import Progress, branch_and_bound
from certify.search.condensed_split import CondensedSplit, sign_search
from certify.search.domain import concatenate, wide
from certify.search.refine import Worth
from certify.search.root import Root
from certify.search.value_split import ValueSplit
from certify.settings import Budget

KINDS = {
    "dense": lambda rng: relu_network(rng, [4, 10, 10, 3]),
    "convolutions": conv_net,
    "residual": lambda rng: residual_net(rng, 4, 8),
}


def case(kind: str, seed: int, safe_by: float, radius: float = 0.2) -> tuple[CondensedSplit, Network, np.ndarray]:
    """(brancher, network, points of the box, worst first) where the least margin of the one row is `safe_by`."""
    found = (attempt(kind, 100 * seed + i, safe_by, radius) for i in range(50))
    return next(one for one in found if one is not None)


def attempt(kind: str, seed: int, safe_by: float, radius: float) -> tuple[CondensedSplit, Network, np.ndarray] | None:
    """None if some layer has no open rectifier, or cheap bounds decide."""
    rng = np.random.default_rng(seed)
    network = KINDS[kind](rng)
    box = random_box(network, rng, radius=radius)
    lower, upper = box.lower[0], box.upper[0]
    row = rng.normal(size=(1, network.n_outputs))
    x = rng.uniform(lower, upper, size=(20_000, network.n_inputs))
    margins = evaluate(network, x) @ row.T
    posed = problem(network, [Region(lower, upper, 0)], row, np.array([margins.min() - safe_by]))
    root = Root(posed, next(iter(posed.goals())), network, Budget.starting_now(60))
    root.crown()
    condensed = condense(root.relaxed)
    if condensed is None or root.bound > 0.0:
        return None
    order = np.argsort(margins[:, 0])
    return CondensedSplit(posed, root.goal, condensed, np.array([-np.inf]), 2**28), network, x[order]


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are condensed even where nothing is saved."""
    monkeypatch.setattr(condense_module, "_worth", lambda network: np.inf)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_unsafe_is_never_closed(kind: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst points stay in some open subproblem, whatever is split and refined on the way."""
    monkeypatch.setattr(Worth, "wanted", lambda self, domains: np.arange(len(domains)) % 2 == 0)
    brancher, network, points = case(kind, seed, -0.01)
    points = points[:3]
    hidden = {v: evaluate(network.cone(v), points).reshape(len(points), -1) for v in brancher.values}
    domains = brancher.roots()
    for _ in range(5):
        bounded = brancher.bound(domains, Budget.starting_now(60))
        domains, stuck = brancher.cut(bounded)
        domains = concatenate([domains, bounded.domains.select(stuck)])
        for p in range(len(points)):
            home = np.ones(len(domains), dtype=bool)
            for value, found in hidden.items():
                mine = found[p, brancher.condensed.index[value]]
                low, high = wide(domains.hidden[value])
                home &= ((mine >= low) & (mine <= high) & (domains.signs[value] * mine >= 0.0)).all(axis=1)
            assert home.any()


@pytest.mark.parametrize(("kind", "safe_by"), [("dense", 0.02), ("convolutions", 0.33), ("residual", 0.02)])
def test_what_is_safe_is_closed_as_without(kind: str, safe_by: float) -> None:
    """Samples of a convolutional network miss its least margin by far."""
    brancher, _, _ = case(kind, 1, safe_by, radius=0.1)
    outcome = branch_and_bound(brancher, Budget.starting_now(60), lambda points: None, Progress())
    plain = ValueSplit(brancher.problem, brancher.goal, brancher.root, np.array([-np.inf]), 2**28)
    expected = branch_and_bound(plain, Budget.starting_now(60), lambda points: None, Progress())
    assert expected.closed
    assert outcome.closed
    assert outcome.bound > 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_condensed_network_claims_is_not_believed(kind: str) -> None:
    """One that promises too much: every subproblem is looked at in the network itself, none is closed wrongly."""
    brancher, _, _ = case(kind, 2, -0.01, radius=0.1)
    nodes = brancher.space.network.nodes
    last = replace(nodes[-1], op=replace(nodes[-1].op, shift=nodes[-1].op.shift + brancher_row(brancher) * 100.0))
    brancher.space.network = replace(brancher.space.network, nodes=(*nodes[:-1], last))
    domains = brancher.roots()
    assert brancher._bounds(domains, Ascent(iterations=1), Budget.starting_now(60))[1].lower[0, 0] > 1.0
    outcome = branch_and_bound(brancher, Budget.starting_now(2), lambda points: None, Progress())
    assert not outcome.closed


def brancher_row(brancher: CondensedSplit) -> np.ndarray:
    """The direction of the outputs in which the row grows."""
    outputs, _, _ = brancher.problem.margin_rows(brancher.goal.atoms)
    return np.sign(outputs[0]).astype(np.float32)


def test_torch_finds_the_same() -> None:
    pytest.importorskip("torch")
    brancher, network, _ = case("convolutions", 1, 0.33, radius=0.1)
    root = Root(brancher.problem, brancher.goal, network.on(Library("torch")), Budget.starting_now(60))
    root.crown()
    condensed = condense(root.relaxed)
    assert condensed is not None
    other = CondensedSplit(brancher.problem, brancher.goal, condensed, np.array([-np.inf]), 2**28)
    found = [branch_and_bound(b, Budget.starting_now(60), lambda points: None, Progress()) for b in (brancher, other)]
    assert all(outcome.closed for outcome in found)
    np.testing.assert_allclose(found[0].bound, found[1].bound, rtol=1e-3)


def test_rows_over_inputs_are_rewritten_for_the_unit_box() -> None:
    rng = np.random.default_rng(0)
    network = relu_network(rng, [4, 10, 10, 3])
    box = random_box(network, rng, radius=0.3)
    posed = problem(network, [Region(box.lower[0], box.upper[0], 0)], rng.normal(size=(1, 3)), np.zeros(1))
    inputs = rng.normal(size=(1, 1, 4))
    root = Root(posed, next(iter(posed.goals())), network, Budget.starting_now(60))
    root.crown()
    condensed = condense(root.relaxed)
    assert condensed is not None
    brancher = CondensedSplit(posed, root.goal, condensed, np.array([-np.inf]), 2**28)
    outputs, _, offset = posed.margin_rows(np.zeros((1, 1), dtype=int))
    brancher.problem = type("Posed", (), {"margin_rows": staticmethod(lambda atoms: (outputs, inputs, offset))})()
    small, whole = (brancher._rows(np.zeros(1, dtype=int), n) for n in (brancher.space.network, network))
    unit = rng.uniform(-1, 1, size=4)
    for rows, point in ((small, unit), (whole, condensed.inputs(unit))):
        rows.offset[...] += (rows.coefficients[INPUT] @ point) if INPUT in rows.coefficients else 0.0
    np.testing.assert_allclose(small.offset, whole.offset, rtol=1e-4, atol=1e-5)


def test_it_is_chosen_where_it_fits() -> None:
    """Not for short searches, and not where boxes are clipped or both children are looked at in closed form."""
    brancher, _, _ = case("convolutions", 0, 0.1)
    arguments = (brancher.problem, brancher.goal, brancher.root, np.array([-np.inf]), 2**28)
    plain = sign_search(*arguments, programs=False, long=True)
    assert type(plain) is ValueSplit
    assert plain.looks or plain.clips or plain.fits
    assert type(sign_search(*arguments, programs=False, long=False)) is ValueSplit
