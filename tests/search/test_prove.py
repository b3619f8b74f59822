"""Verdicts of the native prover on random problems against the exact answer, and the trees it leaves behind."""

from __future__ import annotations

import numpy as np
import pytest
from random_problems import least_margins, problem, random_formula, relu_network

from certify.arrays import NUMPY, Library
from certify.bounds import condense as condense_module
from certify.bounds.backward import backward
from certify.bounds.interval import Interval
from certify.network.evaluate import evaluate
from certify.problem import Problem, clauses, worst_margin
from certify.query.formula import AllOf, AnyOf, Region
from certify.search import prove as prove_module
from certify.search.branch_and_bound import Progress
from certify.search.condensed_split import CondensedSplit
from certify.search.domain import narrow
from certify.search.prove import Prover
from certify.search.root import Root
from certify.search.tree import Clip, HiddenBounds, InputCut, Leaves, SearchTree, ValueCut
from certify.search.value_split import ValueSplit
from certify.settings import Budget

SEEDS = range(12)


def accepting(posed: Problem):
    """Accept points of a goal's box at which its formula holds on our graph."""

    def accept(points: np.ndarray):
        y = evaluate(posed.network, points)
        for goal in posed.goals():
            inside = ((points >= goal.lower) & (points <= goal.upper)).all(axis=1)
            hit = inside & (worst_margin(goal.formula, posed.margins(points, y, goal.atoms)) <= 0.0)
            if hit.any():
                return points[hit][0]
        return None

    return accept


def random_problem(seed: int) -> tuple[Problem, float]:
    """A problem whose exact least margin is near zero on either side, and that margin."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [3, 4, 4, 3])
    rows = rng.normal(size=(3, 3))
    formula = random_formula(rng, 3)
    lower = rng.uniform(-1, 0, 3)
    upper = lower + rng.uniform(0.5, 2.0, 3)
    rhs = rng.normal(size=3)
    none = np.zeros(3, dtype=bool)
    least = min(least_margins(network, lower, upper, rows[list(c)], rhs[list(c)]) for c in clauses(formula, none))
    # Move all right-hand sides so that the answer is sat or unsat by a small but clear margin.
    target = rng.choice([-0.05, 0.05])
    return problem(network, [Region(lower, upper, formula)], rows, rhs + least - target), float(target)


def run(posed: Problem, library: Library = NUMPY, seconds: float = 60.0) -> tuple[Prover, object]:
    prover = Prover(posed, library, Budget.starting_now(seconds), Progress())
    prover.screen()
    return prover, prover.search(accepting(posed)).outcome


@pytest.mark.parametrize("split", ["inputs", "rectifiers"])
@pytest.mark.parametrize("seed", SEEDS)
def test_verdicts_agree_with_enumeration(seed: int, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_module, "FEW_INPUTS", 20 if split == "inputs" else 0)
    posed, margin = random_problem(seed)
    _, outcome = run(posed)
    if margin > 0:
        assert outcome.witness is None
        assert outcome.bound <= margin + 1e-9
        # Sign splits alone close what the joint rows of a conjunction need only up to the relaxation of the rows.
        assert outcome.closed or split == "rectifiers"
    else:
        assert not outcome.closed


@pytest.mark.parametrize("seed", SEEDS)
def test_single_rows_are_always_decided_by_sign_splits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_module, "FEW_INPUTS", 0)
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [3, 4, 4, 2])
    row, lower, upper = rng.normal(size=(1, 2)), -np.ones(3), np.ones(3)
    least = least_margins(network, lower, upper, row, np.zeros(1))
    for shift, closed in ((0.02, True), (-0.02, False)):
        posed = problem(network, [Region(lower, upper, 0)], row, np.array([least - shift]))
        assert run(posed)[1].closed is closed


def test_input_unions_are_not_hulled() -> None:
    """Safe on both boxes, unsafe in between: relu(x) has 0 <= y only at ... the hull would find x = 0."""
    rng = np.random.default_rng(0)
    network = relu_network(rng, [1, 3, 1])
    x = np.linspace(-2, 2, 401)[:, None]
    y = evaluate(network, x)[:, 0]
    low = float(y[(abs(x[:, 0]) <= 0.5)].min())
    boxes = [Region(np.array([a]), np.array([b]), 0) for a, b in ((-2.0, -1.0), (1.0, 2.0))]
    rhs = (min(y[x[:, 0] <= -1].min(), y[x[:, 0] >= 1].min()) + low) / 2
    posed = problem(network, boxes, np.ones((1, 1)), np.array([rhs]))
    expected = y[(x[:, 0] <= -1) | (x[:, 0] >= 1)].min() > rhs
    assert run(posed)[1].closed is bool(expected)


@pytest.mark.parametrize("seed", range(4))
def test_numpy_and_torch_agree(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    posed, _ = random_problem(seed)
    for few in (0, 20):
        monkeypatch.setattr(prove_module, "FEW_INPUTS", few)
        a, b = (run(posed, library)[1] for library in (NUMPY, Library("torch")))
        assert a.closed == b.closed
        assert (a.witness is None) == (b.witness is None)


def test_the_leaves_of_input_splits_cover_the_box() -> None:
    for seed in SEEDS:
        posed, margin = random_problem(seed)
        prover, outcome = run(posed)
        if not outcome.closed:
            continue
        goal = next(iter(posed.goals()))
        points = np.random.default_rng(seed).uniform(goal.lower, goal.upper, size=(500, 3))
        _, tree = prover.proof.trees[0]
        assert tree.complete
        margins = posed.margins(points, evaluate(posed.network, points), goal.atoms)
        leaf, clipped = locate(tree, points, goal.lower, goal.upper)
        assert (leaf >= 0).all()
        bounds = {
            int(n): m
            for step in tree.steps
            if isinstance(step, Leaves)
            for n, m in zip(step.node, step.margins, strict=True)
        }
        for i, number in enumerate(leaf):
            if not clipped[i]:
                assert (margins[i] >= bounds[int(number)] - 1e-9).all()


def locate(tree: SearchTree, points: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The leaf each point ends in, following the recorded cuts, and whether a clip left it out on the way."""
    cuts, closed, clips = {}, set(), {}
    for step in tree.steps:
        if isinstance(step, InputCut):
            for n, axis, point, pair in zip(step.node, step.axis, step.below, step.children, strict=True):
                cuts[int(n)] = (int(axis), float(point), pair)
        elif isinstance(step, Clip):
            clips.update({int(n): (lo, up) for n, lo, up in zip(step.node, step.lower, step.upper, strict=True)})
        elif isinstance(step, Leaves):
            closed |= {int(n) for n in step.node}
    found = np.full(len(points), -1)
    out = np.zeros(len(points), dtype=bool)
    for i, x in enumerate(points):
        node = 0
        while True:
            if node in clips:
                out[i] |= bool((x < clips[node][0]).any() or (x > clips[node][1]).any())
            if node not in cuts:
                break
            axis, point, pair = cuts[node]
            node = int(pair[0] if x[axis] <= point else pair[1])
        found[i] = node if node in closed else -1
    return found, out


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_bounds_that_attacks_did_not_wait_for_come_later(
    seed: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short, they say nothing; the verdict is the same."""
    monkeypatch.setattr(prove_module, "FEW_INPUTS", 0)
    monkeypatch.setattr(prove_module, "SCREEN_SHARE", share)
    posed, margin = random_problem(seed)
    prover = Prover(posed, NUMPY, Budget.starting_now(60.0), Progress())
    (open_goal,) = prover.screen() or [None]
    (root,) = prover.roots
    assert root.bounded == (share > 0.0)
    if share == 0.0:
        assert root.bound == -np.inf
        assert open_goal is not None
        assert not open_goal.refuted.any()
    outcome = prover.search(accepting(posed)).outcome
    assert root.bounded
    assert (outcome.witness is not None) == (margin < 0.0)


def test_nothing_is_proved_without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_module, "FEW_INPUTS", 0)
    for seed in SEEDS:
        posed, _ = random_problem(seed)
        _, outcome = run(posed, seconds=0.0)
        assert not outcome.closed


@pytest.mark.parametrize("condensed", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_stranger_can_recompute_the_leaves_of_sign_splits(
    seed: int, condensed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the recorded signs, slopes and multipliers alone, every closed leaf's bound comes out positive again."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [4, 6, 6, 2])
    row, lower, upper = rng.normal(size=(1, 2)), -np.ones(4), np.ones(4)
    samples = evaluate(network, rng.uniform(-1, 1, size=(4000, 4))) @ row.T
    posed = problem(network, [Region(lower, upper, 0)], row, np.array([samples.min() - 0.3]))
    root = Root(posed, next(iter(posed.goals())), network, Budget.starting_now(60))
    root.crown()
    brancher = ValueSplit(posed, root.goal, root.relaxed, np.array([-np.inf]), 2**28)
    if condensed:
        monkeypatch.setattr(condense_module, "_worth", lambda network: np.inf)
        small = condense_module.condense(root.relaxed)
        assert small is not None
        brancher = CondensedSplit(posed, root.goal, small, np.array([-np.inf]), 2**28)
    outcome = prove_module.branch_and_bound(brancher, Budget.starting_now(60), lambda points: None, Progress())
    assert outcome.closed
    signs = signs_by_node(brancher.tree, network)
    boxes, hidden = bounds_by_node(brancher)
    count = 0
    for step in brancher.tree.steps:
        if isinstance(step, Leaves):
            for i, node in enumerate(step.node):
                assert recomputed(root, step, i, signs[int(node)], boxes[int(node)], hidden[int(node)]) > 0.0
                count += 1
    assert count == brancher.tree.n_leaves


def signs_by_node(tree: SearchTree, network) -> dict[int, dict[str, np.ndarray]]:
    """For every node, the signs fixed on the way to it."""
    shapes = {node.inputs[0]: node.op.out_shape for node in network.nonlinear}
    signs = {0: {name: np.zeros(shape) for name, shape in shapes.items()}}
    for step in tree.steps:
        if isinstance(step, ValueCut):
            for node, value, element, pair in zip(step.node, step.value, step.element, step.children, strict=True):
                for child, sign in zip(pair, (1, -1), strict=True):
                    signs[int(child)] = {name: s.copy() for name, s in signs[int(node)].items()}
                    signs[int(child)][value].reshape(-1)[element] = sign
    return signs


def bounds_by_node(brancher: ValueSplit) -> tuple[dict[int, Interval], dict[int, dict[str, Interval]]]:
    """For every node, its box and the bounds of its hidden values: those of its parent, or what was recorded of it."""
    root = brancher.root
    boxes, hidden = {0: root.box}, {0: {v: narrow(root.intervals[v], 1) for v in brancher.values}}
    for step in brancher.tree.steps:
        if isinstance(step, ValueCut):
            for node, pair in zip(step.node, step.children, strict=True):
                for child in pair:
                    boxes[int(child)], hidden[int(child)] = boxes[int(node)], hidden[int(node)]
        elif isinstance(step, Clip):
            for i, node in enumerate(step.node):
                boxes[int(node)] = Interval(step.lower[i : i + 1], step.upper[i : i + 1])
        elif isinstance(step, HiddenBounds):
            for i, node in enumerate(step.node):
                hidden[int(node)] = {v: Interval(*(b[i : i + 1] for b in both)) for v, both in step.bounds.items()}
    return boxes, hidden


def recomputed(
    root: Root, step: Leaves, i: int, signs: dict[str, np.ndarray], box: Interval, hidden: dict[str, Interval]
) -> float:
    """One backward walk with the leaf's own parameters."""
    if not step.slopes:
        return float("inf")  # closed by a clip that left nothing of its box
    planes, extra = {}, {}
    for node in root.network.nonlinear:
        lower, upper = (side.astype(np.float64) for side in hidden[node.inputs[0]])
        sign = signs[node.inputs[0]][None]
        interval = Interval(
            np.where(sign > 0, np.maximum(lower, 0), lower), np.where(sign < 0, np.minimum(upper, 0), upper)
        )
        planes[node.name] = node.op.relax(interval).planes(tuple(s[i : i + 1] for s in step.slopes[node.name]))
    for value, multiplier in step.multipliers.items():
        assert (multiplier[i] >= 0).all()
        extra[value] = -signs[value][None, None] * multiplier[i : i + 1]
    form = backward(root.network, root.rows(), planes, noise=root.relaxed.noise, extra=extra).form
    return float(form.lower(box)[0, 0])


def test_clauses_multiply_out_lazily() -> None:
    wide = AllOf(tuple(AnyOf(tuple(range(100 * g, 100 * g + 100))) for g in range(10)))
    first = next(clauses(wide, np.zeros(1000, dtype=bool)))
    assert len(first) == 10
    refuted = np.zeros(1000, dtype=bool)
    refuted[:100] = True
    assert next(clauses(wide, refuted), None) is None


@pytest.mark.parametrize("few", [0, 20])
def test_a_region_without_any_atom_is_never_refuted(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_module, "FEW_INPUTS", few)
    network = relu_network(np.random.default_rng(0), [3, 4, 2])
    posed = problem(network, [Region(-np.ones(3), np.ones(3), AllOf(()))], np.zeros((0, 2)), np.zeros(0))
    _, outcome = run(posed)
    assert not outcome.closed
    assert outcome.witness is not None


def test_no_region_at_all_is_proved() -> None:
    network = relu_network(np.random.default_rng(0), [3, 4, 2])
    assert run(problem(network, [], np.zeros((0, 2)), np.zeros(0)))[1].closed
