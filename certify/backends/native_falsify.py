"""Looking for counterexamples for as long as a search of boxes lasts, by two ways in turns of equal time.

Evolution finds thin regions anywhere. Best point first: the boxes in which an input came nearest to breaking the
property are cut first, and descended in; a prover that goes depth first keeps memory flat and leaves them for last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice

import numpy as np

from certify.attack.candidate import Target
from certify.attack.methods import evolution
from certify.attack.methods.pgd import Plan, descend
from certify.network.graph import Network
from certify.problem import Goal, Problem, clauses
from certify.search.branch_and_bound import Bounded
from certify.search.domain import Domains, concatenate
from certify.search.input_split import InputSplit
from certify.settings import Budget

BATCH = 128
# The best points of every batch go downhill for a few steps of a share of their boxes.
PLAN = Plan(steps=8)
SHARE = 0.25
DESCENTS = 32
# Boxes kept; beyond that the least promising ones are dropped, since nothing is proved here.
MOST_BOXES = 8192


def falsify(
    problem: Problem, goals: list[Goal], network: Network, seed: int, budget: Budget, boxes: bool = True
) -> Iterator[np.ndarray]:
    """Points [k, n_inputs] that break the property on our graph, often none; ends when all boxes are proved.

    network: the problem's, in the array library to work in. boxes: whether there is the memory to keep boxes.
    """
    targets = [Target(problem, goal, problem.network) for goal in goals]
    rng = np.random.default_rng(seed)
    ways = [_populations(targets, rng, budget)]
    if boxes:
        ways.append(_best_boxes_first(InputSplit(problem, goals, network, 0), targets, rng, budget))
    spent = [0.0] * len(ways)
    while True:
        began, way = time.perf_counter(), spent.index(min(spent))
        points = next(ways[way], None)
        if points is None:
            return
        spent[way] += time.perf_counter() - began
        yield points


def _populations(targets: list[Target], rng: np.random.Generator, budget: Budget) -> Iterator[np.ndarray]:
    """One item per generation."""
    for target in cycle(targets):
        if budget.expired():
            return
        yield from evolution.propose(target, rng, budget)


def _best_boxes_first(
    brancher: InputSplit, targets: list[Target], rng: np.random.Generator, budget: Budget
) -> Iterator[np.ndarray]:
    """One item per batch of boxes."""
    n_inputs = brancher.network.n_inputs
    roots = brancher.roots()
    pool = replace(roots, marks={"margin": np.full(len(roots), -np.inf)})
    while len(pool) and not budget.expired():
        order = np.argsort(pool.marks["margin"], kind="stable")
        bounded = brancher.bound(pool.select(order[:BATCH]), budget)
        pool = pool.select(order[BATCH:MOST_BOXES])
        if bounded.closed.all():
            yield np.zeros((0, n_inputs))
            continue
        domains = bounded.domains
        found, reached = [], np.full(len(domains), np.inf)
        points, owner = _samples(bounded, rng)
        for number, target in enumerate(targets):
            mine = np.flatnonzero(domains.task[owner] == number)
            if len(mine):
                margin = target.worst(points[mine])
                np.minimum.at(reached, owner[mine], margin)
                best = mine[np.argsort(margin)[:DESCENTS]]
                found.append(points[mine[margin <= 0.0]])
                found.extend(_descents(target, points[best], domains.select(owner[best]), budget))
        yield np.concatenate(found)
        bounded.domains = replace(domains, marks={"margin": reached})
        pool = concatenate([pool, brancher.cut(bounded)[0]])


def _samples(bounded: Bounded, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of the open boxes, (points, number of each point's box): minimisers of the rows, centres, a random one."""
    domains, open_ = bounded.domains, np.flatnonzero(~bounded.closed)
    minimisers = bounded.points.reshape(len(open_), -1, domains.lower.shape[1])
    lower, upper = domains.lower[open_], domains.upper[open_]
    random = rng.uniform(lower, upper)
    points = np.concatenate([minimisers, ((lower + upper) / 2.0)[:, None], random[:, None]], axis=1)
    return points.reshape(-1, points.shape[2]), np.repeat(open_, points.shape[1])


def _descents(target: Target, x: np.ndarray, boxes: Domains, budget: Budget) -> Iterator[np.ndarray]:
    """A few steps of gradient descent from x, one point per box, each towards the conjunction it is nearest to."""
    goal, margins = target.goal, target.margins(x)
    wanted = list(islice(clauses(goal.formula, np.zeros(len(goal.atoms), dtype=bool)), PLAN.most_clauses))
    nearest = np.argmin([margins[:, clause].max(axis=1) for clause in wanted], axis=0)
    member = np.zeros(margins.shape, dtype=bool)
    for point, clause in enumerate(nearest):
        member[point, list(wanted[clause])] = True
    yield from descend(target, x, member, SHARE * (boxes.upper - boxes.lower), budget, PLAN)
