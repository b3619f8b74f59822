"""Hidden values by branch and bound: never past the exact bounds, and nearer to them the more work they may cost."""

from __future__ import annotations

import numpy as np
import pytest
from random_problems import least_margins, problem, relu_network

from certify.arrays import NUMPY
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.methods.alpha_crown import tighten
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.query.formula import Region
from certify.search import prove as prove_module
from certify.search import row_trees
from certify.search.branch_and_bound import Progress
from certify.search.prove import Prover
from certify.search.root import Root, unstable
from certify.search.row_trees import RowTrees
from certify.settings import Budget

WIDTHS = [3, 5, 4, 3, 2]


def bounded(network: Network, work: int, nbytes: int = 2**28) -> tuple[Relaxed, Relaxed]:
    """Optimised bounds, and those that so much work gets."""
    box = Interval(-np.ones((1, network.n_inputs)), np.ones((1, network.n_inputs)))
    known = tighten(network, box, intermediate_bounds(network, box).intervals, lambda: False)
    rows = {name: 2 * count for name, count in unstable(known).items()}
    way = RowTrees(work, rows, nbytes, lambda: False)
    return known, intermediate_bounds(network, box, known=known.intervals, bound_rows=way)


@pytest.mark.parametrize("seed", range(3))
def test_no_bound_passes_the_exact_one(seed: int) -> None:
    """Every hidden value of the deepest layer, against one linear program per activation pattern."""
    network = relu_network(np.random.default_rng(seed), WIDTHS)
    known, found = bounded(network, 2000)
    name = network.nonlinear[-1].inputs[0]
    cone = network.cone(name)
    low, high = (side[0] for side in found.intervals[name])
    gained = missing = 0.0
    for element in range(WIDTHS[-2]):
        old = known.intervals[name]
        for sign, bound, before in ((1.0, low, old.lower[0]), (-1.0, -high, -old.upper[0])):
            row = sign * np.eye(WIDTHS[-2])[element, None]
            exact = least_margins(cone, -np.ones(3), np.ones(3), row, np.zeros(1))
            assert before[element] - 1e-12 <= bound[element] <= exact + 1e-9
            if bound[element] <= 0.0:
                gained += bound[element] - before[element]
                missing += exact - bound[element]
    assert gained > 0.5 * missing


def test_more_work_is_never_worse_and_little_memory_is_enough() -> None:
    network = relu_network(np.random.default_rng(1), [4, 20, 20, 20, 2])
    widths = []
    for work, nbytes in ((0, 2**28), (500, 2**28), (5000, 2**28), (5000, 1)):
        _, found = bounded(network, work, nbytes)
        last = found.intervals[network.nonlinear[-1].inputs[0]]
        widths.append(float((last.upper - last.lower).sum()))
    assert widths[0] == widths[3] > widths[1] > widths[2]


def test_out_of_memory_keeps_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    network = relu_network(np.random.default_rng(1), [4, 20, 20, 20, 2])
    calls, ascend = [0], row_trees._Trees._bounded

    def scarce(self: object, domains: object) -> object:
        calls[0] += 1
        if calls[0] % 4 == 0:
            raise MemoryError
        return ascend(self, domains)

    monkeypatch.setattr(row_trees._Trees, "_bounded", scarce)
    _, found = bounded(network, 5000)
    x = np.random.default_rng(0).uniform(-1, 1, size=(5000, 4))
    for node in network.nonlinear:
        values = evaluate(network.cone(node.inputs[0]), x)
        low, high = found.intervals[node.inputs[0]]
        assert ((values >= low) & (values <= high)).all()


def test_a_row_takes_its_part_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that comes in several calls costs what it would cost in one."""
    network = relu_network(np.random.default_rng(2), [4, 20, 20, 2])
    known, _ = bounded(network, 0)
    name = network.nonlinear[1].inputs[0]
    relaxed = Relaxed(network.cone(name), known.box, known.intervals, known.relaxations, known.planes, known.noise)
    node = relaxed.network.by_name[name]
    counts: list[int] = []
    monkeypatch.setattr(row_trees._Trees, "lower", lambda self, leaves: counts.append(self.bounded) or self.done)
    for rows in (4, 8):
        weight = np.random.default_rng(0).normal(size=(1, rows, *network.shapes[node.inputs[0]]))
        RowTrees(400, {name: 8}, 2**28, lambda: False)(
            relaxed, Rows({node.inputs[0]: weight}, np.full((1, rows), -5.0))
        )
    assert 200 <= counts[0] < 300
    assert 400 <= counts[1] < 600


@pytest.mark.parametrize("seed", range(8))
def test_the_search_takes_turns_and_stays_right(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that begin short: whatever is proved holds, and properties that hold are proved in the end."""
    monkeypatch.setattr(prove_module, "SHORTEST_TURN", 1e-4)
    monkeypatch.setattr(prove_module, "FIRST_WORK", 50)
    monkeypatch.setattr(prove_module, "FEW_INPUTS", 0)
    turns: list[str] = []
    trees = Root.row_trees
    monkeypatch.setattr(Root, "row_trees", lambda self, *args: (turns.append("rows"), trees(self, *args))[1])
    rng = np.random.default_rng(seed)
    network = relu_network(rng, WIDTHS)
    row = rng.normal(size=(1, 2))
    least = least_margins(network, -np.ones(3), np.ones(3), row, np.zeros(1))
    for margin in (0.01, -0.01):
        posed = problem(network, [Region(-np.ones(3), np.ones(3), 0)], row, np.array([least - margin]))
        prover = Prover(posed, NUMPY, Budget.starting_now(60), Progress())
        prover.screen()
        proof = prover.search(lambda points: None)
        assert proof.outcome.closed == (margin > 0.0)
    assert turns
