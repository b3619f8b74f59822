"""The relaxation of one subproblem as a linear program, solved by HiGHS; its duals are what is used of the solution.

The duals of the two lower lines of a rectifier give its slope and those of the sign constraints their multipliers, so
that a backward walk with them proves what the program claims (Salman et al. 2019 show that both bounds agree). Nothing
is concluded from the solver's own numbers. With a binary variable per open rectifier it is the exact encoding of Tjeng
et al. 2019, whose solution is a point worth a try.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed
from certify.bounds.optimise import Ascent, Optimised, Split, optimise
from certify.network.graph import INPUT, Network
from certify.ops.kinds import Linear
from certify.ops.relu import Relu

# Larger programs than this many coefficients take longer than the splits they would spare.
MOST_COEFFICIENTS = 2**21
# What a violated sign constraint costs: all multipliers together stay below it, and no program is infeasible.
SLACK_COST = 1e4


class Solution(NamedTuple):
    """What a program came to; with binaries only the point counts.

    weights: [rows], >= 0 with sum 1, the combination of the rows that was bounded; slopes: by node, as a walk takes
    them, [1, 1, *shape]; multipliers: by value, [1, 1, *shape]; point: [n_inputs]; bound: the optimum, unproven.
    """

    weights: np.ndarray
    slopes: dict[str, tuple[np.ndarray, ...]]
    multipliers: dict[str, np.ndarray]
    point: np.ndarray
    bound: float


def fits(network: Network) -> bool:
    """Whether subproblems of this network are small enough, of the right kind, and the solver is there."""
    kinds = all(isinstance(node.op, Relu) for node in network.nonlinear)
    hidden = sum(int(np.prod(node.op.out_shape)) for node in network.nonlinear)
    columns = network.n_inputs + hidden
    return kinds and 3 * hidden * columns <= MOST_COEFFICIENTS and find_spec("highspy") is not None


def solve(
    relaxed: Relaxed, rows: Rows, signs: dict[str, np.ndarray], *, integer: bool = False, seconds: float = 10.0
) -> Solution | None:
    """Minimise the largest of the rows over the relaxation, or with integer=True over the network itself.

    relaxed, rows: batch 1, in numpy; signs: by value, [*shape]. None where the solver has no answer.
    """
    program = _Program(relaxed, rows, signs)
    if integer:
        program.add_binaries()
    return program.solve(seconds)


def solve_and_prove(
    relaxed: Relaxed, rows: Rows, signs: dict[str, np.ndarray], splits: Mapping[str, Split], *, seconds: float
) -> tuple[Solution, Optimised] | None:
    """The solution of the linear program and what its duals prove of the combination of rows it weighs, if anything.

    splits: the signs again, as walks take them.
    """
    solution = solve(relaxed, rows, signs, seconds=seconds)
    if solution is None:
        return None
    weight = solution.weights
    combined = Rows(
        {name: np.tensordot(weight, c, axes=(0, 1))[:, None] for name, c in rows.coefficients.items()},
        rows.offset @ weight[:, None],
    )
    still, duals = Ascent(iterations=0), solution.multipliers
    return solution, optimise(relaxed, combined, still, slopes=solution.slopes, splits=splits, multipliers=duals)


class _Program:
    """Columns: inputs, open rectifiers' outputs, the largest row t, the slack, then binaries."""

    def __init__(self, relaxed: Relaxed, rows: Rows, signs: dict[str, np.ndarray]) -> None:
        self.relaxed, self.network, self.signs = relaxed, relaxed.network, signs
        self.open = {n.name: np.flatnonzero(self._inexact(n.name)) for n in self.network.nonlinear}
        sizes = [self.network.n_inputs, *(len(index) for index in self.open.values())]
        starts = np.cumsum(sizes)
        self.first = dict(zip(self.open, starts, strict=False))
        self.top = int(starts[-1])
        self.columns = self.top + 2
        self.lower = np.full(self.columns, -np.inf)
        self.upper = np.full(self.columns, np.inf)
        box = relaxed.box
        self.lower[: sizes[0]], self.upper[: sizes[0]] = box.lower[0], box.upper[0]
        self.lower[self.top + 1] = 0.0
        self.blocks: list[tuple[np.ndarray, np.ndarray]] = []
        self.binaries = 0
        self._build(rows)

    def _inexact(self, name: str) -> np.ndarray:
        node = self.network.by_name[name]
        interval = self.relaxed.intervals[node.inputs[0]]
        return np.asarray(node.nonlinear_op.inexact(interval))[0].reshape(-1)

    def _add(self, coefficients: np.ndarray, least: np.ndarray) -> int:
        """Rows  coefficients . columns >= least; the place of the block."""
        self.blocks.append((coefficients, least))
        return len(self.blocks) - 1

    def _build(self, rows: Rows) -> None:
        """Every value as an affine function of the columns: [columns + 1, *shape], the constant last."""
        n = self.network.n_inputs
        values = {INPUT: np.zeros((self.columns + 1, n))}
        values[INPUT][np.arange(n), np.arange(n)] = 1.0
        self.place: dict[str, tuple[int, int]] = {}
        self.sign_place: dict[str, tuple[int, np.ndarray]] = {}
        for node in self.network.nodes:
            arguments = [values[name] for name in node.inputs]
            if isinstance(node.op, Linear):
                values[node.name] = node.op.linear(*arguments)
                if node.op.bias is not None:
                    values[node.name][-1] += node.op.bias
            else:
                values[node.name] = self._rectified(node.name, arguments[0])
        self.values = values
        for name, sign in self.signs.items():
            index = np.flatnonzero(sign)
            if len(index):
                flat = sign.reshape(-1)[index] * values[name].reshape(self.columns + 1, -1)[:, index]
                flat[self.top + 1] += 1.0
                self.sign_place[name] = (self._add(flat[:-1].T, -flat[-1]), index)
        total = np.append(np.zeros((rows.count, self.columns)), rows.offset[0][:, None], axis=1)
        for name, part in rows.coefficients.items():
            total += part[0].reshape(rows.count, -1) @ values[name].reshape(self.columns + 1, -1).T
        total[:, self.top] -= 1.0
        self.row_place = self._add(-total[:, :-1], total[:, -1])

    def _rectified(self, name: str, value: np.ndarray) -> np.ndarray:
        """The rectifier's output; its open elements are columns, held by both lines below and the chord above."""
        node, index = self.network.by_name[name], self.open[name]
        planes = self.relaxed.planes[name]
        relu = node.op
        assert isinstance(relu, Relu)
        low = np.asarray(self.relaxed.intervals[node.inputs[0]].lower)[0]
        found = np.where(low >= 0.0, 1.0, relu.negative_slope) * value
        flat, before = found.reshape(len(found), -1), value.reshape(len(value), -1)[:, index]
        own = self.first[name] + np.arange(len(index))
        flat[:, index] = 0.0
        flat[own, index] = 1.0
        if len(index):
            one = flat[:, index]
            chord = np.asarray(planes.upper_slopes[0])[0, 0].reshape(-1)[index] * before
            chord[-1] += np.asarray(planes.upper_bias)[0, 0].reshape(-1)[index]
            lines = (one - relu.negative_slope * before, one - before, chord - one)
            first = [self._add(line[:-1].T, -line[-1]) for line in lines][0]
            self.place[name] = (first, len(index))
        return flat.reshape(found.shape)

    def add_binaries(self) -> None:
        """One for each open rectifier: 1 where its input is positive."""
        count = sum(len(index) for index in self.open.values())
        self.blocks = [(np.pad(a, ((0, 0), (0, count))), b) for a, b in self.blocks]
        start = self.columns
        for name, index in self.open.items():
            node = self.network.by_name[name]
            low, high = (np.asarray(b)[0].reshape(-1)[index] for b in self.relaxed.intervals[node.inputs[0]])
            before = self.values[node.inputs[0]].reshape(self.columns + 1, -1)[:, index]
            slope, relu = np.zeros((len(index), self.columns + count)), node.op
            assert isinstance(relu, Relu)
            own = np.arange(len(index))
            # s v + (1 - s) high z >= y, and v - (1 - s) low (1 - z) >= y
            for factor, gain, shift in (
                (relu.negative_slope, (1.0 - relu.negative_slope) * high, 0.0 * low),
                (1.0, (1.0 - relu.negative_slope) * low, -(1.0 - relu.negative_slope) * low),
            ):
                line = slope.copy()
                line[:, : self.columns] = factor * before[:-1].T
                line[own, self.first[name] + own] -= 1.0
                line[own, start + own] = gain
                self._add(line, -(factor * before[-1] + shift))
            start += len(index)
        self.lower = np.append(self.lower, np.zeros(count))
        self.upper = np.append(self.upper, np.ones(count))
        # Nothing may be bought off: the point has to lie where the signs say.
        self.upper[self.top + 1] = 0.0
        self.binaries = count

    def solve(self, seconds: float) -> Solution | None:
        """Hand it to HiGHS, with one thread."""
        import highspy

        matrix = np.concatenate([a for a, _ in self.blocks])
        least = np.concatenate([b for _, b in self.blocks])
        rows, columns = np.nonzero(matrix)
        program: Any = highspy.HighsLp()
        program.num_col_, program.num_row_ = matrix.shape[1], len(matrix)
        cost = np.zeros(matrix.shape[1])
        cost[self.top], cost[self.top + 1] = 1.0, SLACK_COST
        program.col_cost_, program.col_lower_, program.col_upper_ = cost, self.lower, self.upper
        program.row_lower_, program.row_upper_ = least, np.full(len(matrix), np.inf)
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int32)
        program.a_matrix_.index_ = columns.astype(np.int32)
        program.a_matrix_.value_ = matrix[rows, columns]
        if self.binaries:
            kinds = highspy.HighsVarType
            continuous = [kinds.kContinuous] * (matrix.shape[1] - self.binaries)
            program.integrality_ = continuous + [kinds.kInteger] * self.binaries
        solver: Any = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 1), ("time_limit", max(0.1, seconds))):
            solver.setOptionValue(option, value)
        solver.passModel(program)
        solver.run()
        found = solver.getSolution()
        if not found.value_valid or not np.isfinite(found.col_value).all():
            return None
        point, bound = (
            np.array(found.col_value)[: self.network.n_inputs],
            float(solver.getInfo().objective_function_value),
        )
        if self.binaries or not found.dual_valid:
            return Solution(np.zeros(0), {}, {}, point, bound)
        return self._from_duals(np.maximum(np.array(found.row_dual), 0.0), point, bound)

    def _from_duals(self, dual: np.ndarray, point: np.ndarray, bound: float) -> Solution:
        starts = np.cumsum([0, *(len(b) for _, b in self.blocks)])
        part = lambda block: dual[starts[block] : starts[block + 1]]  # noqa: E731
        slopes: dict[str, tuple[np.ndarray, ...]] = {}
        for node in self.network.nonlinear:
            slope = np.array(self.relaxed.relaxations[node.name].start()[0])
            if node.name in self.place:
                first, _ = self.place[node.name]
                flat, one = part(first), part(first + 1)
                total = flat + one
                index = self.open[node.name]
                old = slope.reshape(-1)[index]
                slope.reshape(-1)[index] = np.where(total > 0.0, one / np.where(total > 0.0, total, 1.0), old)
            slopes[node.name] = (slope,)
        multipliers = {}
        for name, (block, index) in self.sign_place.items():
            found = np.zeros(int(np.prod(self.network.shapes[name])))
            found[index] = part(block)
            multipliers[name] = found.reshape(1, 1, *self.network.shapes[name])
        weights = part(self.row_place)
        total = weights.sum()
        weights = weights / total if total > 0.0 else np.full(len(weights), 1.0 / len(weights))
        return Solution(weights, slopes, multipliers, point, bound)
