"""Searches that follow a plan: as right as without, whatever the plan says, and shorter where it fits."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import problem, relu_network
from test_prove import accepting, locate, random_problem

from certify.arrays import NUMPY
from certify.bounds import condense as condense_module
from certify.errors import InputError
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.ops.dense import Dense
from certify.problem import Problem
from certify.query.formula import Region
from certify.search import prove as prove_module
from certify.search import value_split as value_split_module
from certify.search.branch_and_bound import Progress
from certify.search.condensed_split import CondensedSplit
from certify.search.input_split import InputSplit
from certify.search.plan import Plan, PlannedTree
from certify.search.plan_file import read_plan, write_plan
from certify.search.prove import Prover
from certify.search.root import Root
from certify.settings import Budget


def search(posed: Problem, plan: Plan | None = None) -> Prover:
    """Screened and searched."""
    prover = Prover(posed, NUMPY, Budget.starting_now(60.0), Progress())
    prover.plan = plan
    prover.screen()
    prover.search(accepting(posed))
    return prover


def perturbed(network: Network, rng: np.random.Generator, share: float) -> Network:
    """Every weight changed by about this share of it."""
    changed = []
    for node in network.nodes:
        if isinstance(node.op, Dense):
            weight = node.op.weight * (1.0 + share * rng.standard_normal(node.op.weight.shape))
            node = replace(node, op=replace(node.op, weight=weight))
        changed.append(node)
    return network.with_nodes(changed)


def pair(seed: int, widths: list[int], room: float, share: float = 0.01) -> tuple[Problem, Problem]:
    """A property of a network and of one that was changed a little.

    It asks for what lies `room` of the way from the least value met in samples down to what plain CROWN shows.
    """
    rng = np.random.default_rng(seed)
    before = relu_network(rng, widths)
    row, n = rng.normal(size=(1, widths[-1])), widths[0]
    region = [Region(-np.ones(n), np.ones(n), 0)]
    least = float((evaluate(before, rng.uniform(-1, 1, size=(2000, n))) @ row[0]).min())
    posed = problem(before, region, row, np.array([least]))
    root = Root(posed, next(iter(posed.goals())), before, Budget.starting_now(60))
    root.crown()
    rhs = np.array([least + room * root.bound])
    first, second = (problem(network, region, row, rhs) for network in (before, perturbed(before, rng, share)))
    return first, second


@pytest.fixture
def by_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches by signs, without forms to clip with."""
    monkeypatch.setattr(prove_module, "FEW_INPUTS", 0)
    for name in ("FORM_FLOATS", "CLIP_FLOATS", "LOOK_FLOATS"):
        monkeypatch.setattr(value_split_module, name, 0)
    monkeypatch.setattr(value_split_module, "fits", lambda network: False)


def test_boxes_that_need_not_be_bounded_are_skipped() -> None:
    """And the leaves cover the box all the same."""
    alone = followed = 0
    for seed in range(4):
        before, after = pair(seed, [5, *5 * [12], 2], 0.3)
        plan = Plan.of(search(before).proof)
        first, again = search(after), search(after, plan)
        assert first.proof.outcome.closed and again.proof.outcome.closed
        alone, followed = alone + first.progress.domains, followed + again.progress.domains
        (_, tree) = again.proof.trees[0]
        points = np.random.default_rng(seed).uniform(-1, 1, size=(300, 5))
        assert (locate(tree, points, -np.ones(5), np.ones(5))[0] >= 0).all()
    assert followed < 0.8 * alone


@pytest.mark.parametrize("condensed", [False, True])
def test_signs_that_need_not_be_bounded_are_skipped(
    condensed: bool, by_signs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    if condensed:
        monkeypatch.setattr(condense_module, "_worth", lambda network: np.inf)
        monkeypatch.setattr(Root, "deep", False)
        begin = CondensedSplit.__init__
        monkeypatch.setattr(CondensedSplit, "__init__", lambda self, *a: made.append(self) or begin(self, *a))
    alone = followed = cuts = 0
    for seed in range(5):
        before, after = pair(seed, [30, 16, 16, 2], 0.6)
        plan = Plan.of(search(before).proof)
        cuts += sum(len(tree.point) for tree in plan.trees)
        first, again = search(after), search(after, plan)
        assert first.proof.outcome.closed and again.proof.outcome.closed
        alone, followed = alone + first.progress.domains, followed + again.progress.domains
    assert cuts > 10
    assert followed < alone
    assert bool(made) is condensed


known = lru_cache(random_problem)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 11), st.data())
def test_no_plan_makes_a_verdict_wrong(seed: int, data: st.DataObject) -> None:
    """Random trees of random cuts, many outside of the box, of goals that there are or not."""
    posed, margin = known(seed)
    count = data.draw(st.integers(1, 12))
    node, cut = [0], np.full(1 + 2 * count, -1)
    for i in range(count):
        chosen = data.draw(st.sampled_from(node))
        node.remove(chosen)
        cut[chosen] = i
        node += [1 + 2 * i, 2 + 2 * i]
    point = np.array(data.draw(st.lists(st.floats(-2.0, 2.0), min_size=count, max_size=count)))
    axis = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    bound = np.array(data.draw(st.lists(st.floats(-3.0, 3.0), min_size=len(cut), max_size=len(cut))))
    tree = PlannedTree(((0, ()),), ("",), np.zeros(count, int), axis, point, cut, bound)
    prover = search(posed, Plan((tree,)))
    assert prover.proof.outcome.closed == (margin > 0)
    if margin > 0:
        goal = next(iter(posed.goals()))
        points = np.random.default_rng(seed).uniform(goal.lower, goal.upper, size=(100, 3))
        assert (locate(prover.proof.trees[0][1], points, goal.lower, goal.upper)[0] >= 0).all()


def test_a_part_that_gets_lost_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above, on a search that forgets every second part that a plan proposes."""
    divide = InputSplit.divide
    monkeypatch.setattr(InputSplit, "divide", lambda *a: _first_halves_twice(divide(*a)))
    missing = 0
    for seed in range(2):
        before, after = pair(seed, [5, *5 * [12], 2], 0.3)
        (_, tree) = search(after, Plan.of(search(before).proof)).proof.trees[0]
        points = np.random.default_rng(seed).uniform(-1, 1, size=(300, 5))
        missing += int((locate(tree, points, -np.ones(5), np.ones(5))[0] < 0).sum())
    assert missing > 0


def _first_halves_twice(children):
    return children.select(np.repeat(np.arange(0, len(children), 2), 2))


def test_signs_of_a_network_of_another_shape_are_not_followed(by_signs: None) -> None:
    before, _ = pair(0, [30, 16, 16, 2], 0.6)
    plan = Plan.of(search(before).proof)
    assert plan.trees
    other, _ = pair(1, [30, 4, 4, 2], 0.6)
    assert search(other, plan).proof.outcome.closed


def test_earlier_slopes_can_close_a_goal_at_once(by_signs: None) -> None:
    """What only optimised slopes showed of the first network is shown of the other one without optimising."""
    before, after = pair(1, [30, 16, 16, 2], 0.85)
    proof = search(before).proof
    assert [name for name, _ in proof.trees] == ["alpha-CROWN"]
    assert [name for name, _ in search(after, Plan.of(proof)).proof.trees] == ["CROWN with earlier slopes"]


def test_a_plan_comes_back_from_its_file(tmp_path: Path, by_signs: None) -> None:
    before, after = pair(0, [30, 16, 16, 2], 0.6)
    plan = Plan.of(search(before).proof)
    assert plan.trees and plan.slopes
    write_plan(tmp_path / "p.npz", plan, "aa")
    found = read_plan(tmp_path / "p.npz", "aa")
    assert search(after, found).progress.domains == search(after, plan).progress.domains
    assert found.trees[0].roots == plan.trees[0].roots
    with pytest.raises(InputError, match="another specification"):
        read_plan(tmp_path / "p.npz", "bb")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tree_0_cut", np.array([0, 0, -1])),
        ("tree_0_cut", np.array([-1, -1, 0])),
        ("tree_0_cut", np.array([0.0, -1.0, -1.0])),
        ("tree_0_cut", np.array([0, -1])),
        ("tree_0_element", np.array([-1])),
        ("tree_0_value", np.array([1])),
        ("tree_0_point", np.array([np.nan])),
        ("tree_0_point", np.array([None])),
        ("header", np.frombuffer(b"{}", dtype=np.uint8)),
        ("header", np.frombuffer(b'{"format": "certify-plan", "version": 2}', dtype=np.uint8)),
    ],
)
def test_a_file_that_is_no_plan_is_one_clear_error(tmp_path: Path, name: str, value: np.ndarray) -> None:
    path = tmp_path / "p.npz"
    one = np.zeros(1, int)
    tree = PlannedTree(((0, ()),), ("",), one, one, np.zeros(1), np.array([0, -1, -1]), np.zeros(3))
    write_plan(path, Plan((tree,)), "aa")
    assert len(read_plan(path, "aa").trees) == 1
    with np.load(path) as arrays:
        changed = dict(arrays) | {name: value}
    np.savez(path, **changed)
    with pytest.raises(InputError, match=r"p\.npz: not a plan: .*--keep-plan"):
        read_plan(path, "aa")


@pytest.mark.parametrize("data", [b"x", b"PK\x03\x04 and no more"])
def test_a_broken_file_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(data)
    with pytest.raises(InputError, match="not a plan"):
        read_plan(path, "aa")
