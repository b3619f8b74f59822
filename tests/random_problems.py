"""Random small networks and linear properties, and the exact answer by brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.optimize import linprog

from certify.network.graph import INPUT, GraphBuilder, Network, TensorSpec
from certify.ops.dense import dense
from certify.ops.registry import Value
from certify.ops.relu import Relu
from certify.problem import Problem
from certify.query.formula import AllOf, AnyOf, Atoms, Formula, Region
from certify.query.normal_form import UnsafeSet


def relu_network(rng: np.random.Generator, widths: list[int]) -> Network:
    """Dense layers with rectifiers between them."""
    build = GraphBuilder()
    value = Value(INPUT, (widths[0],))
    for i, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        value = dense(build, value, rng.normal(size=(n_out, n_in)) / np.sqrt(n_in), 0.3 * rng.normal(size=n_out))
        if i < len(widths) - 2:
            value = build.emit(Relu((value.shape,), value.shape), value)
    specs = [(TensorSpec(name, (n,), "float64"),) for name, n in (("x", widths[0]), ("y", widths[-1]))]
    return Network(tuple(build.nodes), value.name, specs[0], specs[1])


def problem(network: Network, regions: list[Region], outputs: np.ndarray, rhs: np.ndarray) -> Problem:
    """The problem of these regions over atoms outputs . y <= rhs."""
    n = len(rhs)
    atoms = Atoms(outputs, None, rhs, np.zeros(n, bool), np.ones(n, int))
    return Problem(network, UnsafeSet(network.n_inputs, network.n_outputs, atoms, regions))


def random_formula(rng: np.random.Generator, n_atoms: int) -> Formula:
    """A disjunction, a conjunction, or a conjunction with a disjunction inside."""
    atoms = tuple(range(n_atoms))
    return [AnyOf(atoms), AllOf(atoms), AllOf((0, AnyOf(atoms[1:])))][int(rng.integers(3))]


def least_margins(network: Network, lower: np.ndarray, upper: np.ndarray, clause: np.ndarray, rhs: np.ndarray) -> float:
    """min over the box of max over rows of (clause . y - rhs), exactly: one linear program per activation pattern.

    clause: [rows, n_outputs]. The conjunction can hold iff the result is <= 0.
    """
    layers = [node.op for node in network.nodes if hasattr(node.op, "weight")]
    hidden = [op.weight.shape[0] for op in layers[:-1]]
    best = np.inf
    for pattern in product((0, 1), repeat=sum(hidden)):
        signs = np.split(np.array(pattern), np.cumsum(hidden)[:-1])
        a, b = np.eye(len(lower)), np.zeros(len(lower))
        limits, sides = [], []
        for op, sign in zip(layers[:-1], signs, strict=True):
            a, b = op.weight @ a, op.weight @ b + op.shift
            flip = np.where(sign == 1, -1.0, 1.0)
            limits.append(flip[:, None] * a)
            sides.append(-flip * b)
            a, b = a * sign[:, None], b * sign
        a, b = layers[-1].weight @ a, layers[-1].weight @ b + layers[-1].shift
        # minimise t subject to clause y - rhs <= t and the pattern's constraints
        n = len(lower)
        upper_rows = [np.hstack([clause @ a, -np.ones((len(clause), 1))])]
        upper_rows += [np.hstack([row, np.zeros((len(row), 1))]) for row in limits]
        found = linprog(
            np.append(np.zeros(n), 1.0), np.vstack(upper_rows), np.concatenate([rhs - clause @ b, *sides]),
            bounds=[*zip(lower, upper, strict=True), (None, None)], method="highs",
        )  # fmt: skip
        if found.status == 0:
            best = min(best, found.fun)
    return float(best)
