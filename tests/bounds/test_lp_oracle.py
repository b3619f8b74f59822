"""Bounds against linear programs: never above an optimum, and near enough to it that this means something.

Every check is a function of the kernel it checks, so that wrong kernels can be shown to fail it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from bound_methods import random_rows
from networks import PLANAR_KINDS, Rng, apply, finish, layer, points_in, random_box, start

from certify.arrays import Array
from certify.bounds import optimise as ascending
from certify.bounds.backward import Rows, Walk, backward
from certify.bounds.clip import best_multiplier, clip_box, clip_forms
from certify.bounds.intermediate import Relaxed, crown_rows, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.optimise import Ascent, Split, optimise
from certify.network.evaluate import values
from certify.network.graph import INPUT, Network
from certify.network.passes import simplify
from certify.ops.kinds import Linear
from certify.ops.relu import Relu
from certify.search import refine as refining
from certify.search.hidden_forms import HiddenForm, hidden_forms
from certify.search.pick import halfspace
from certify.search.pick.halfspace import Row, look_ahead
from certify.search.refine import refine

linprog = pytest.importorskip("scipy.optimize", reason="the oracle needs scipy").linprog

# Share of 1 + |optimum| that the solver and the engine may err by.
TOLERANCE = 1e-7
# The tightest the solver takes.
PRECISE = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def least(objective: np.ndarray, limits: np.ndarray, room: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """min objective . v over lower <= v <= upper and limits . v <= room; inf where nothing satisfies these."""
    sides = np.stack([lower, upper], axis=1)
    found = linprog(objective, limits, room, bounds=sides, method="highs", options=PRECISE)
    assert found.status in (0, 2), found.message
    return float(found.fun) if found.status == 0 else np.inf


@dataclass(frozen=True)
class Program:
    """lower <= v <= upper, limits . v <= room; values: by name (matrix, constant), the elements as functions of v."""

    lower: np.ndarray
    upper: np.ndarray
    limits: np.ndarray
    room: np.ndarray
    values: dict[str, tuple[np.ndarray, np.ndarray]]

    def least(self, coefficients: Mapping[str, np.ndarray], offset: float = 0.0) -> float:
        """The smallest sum of coefficients[name] . value(name) + offset."""
        objective = sum(part @ self.values[name][0] for name, part in coefficients.items())
        constant = sum(part @ self.values[name][1] for name, part in coefficients.items()) + offset
        return least(objective, self.limits, self.room, self.lower, self.upper) + float(constant)


def triangle_program(
    network: Network, box: Interval, intervals: Mapping[str, Interval], splits: Mapping[str, Split], b: int = 0
) -> Program:
    """The triangle relaxation of batch element `b` on these intervals, with its split constraints.

    A rectifier whose interval does not contain its kink is the line that it is there, and nothing else is said of it.
    """
    n = network.n_inputs
    width = n + sum(int(np.prod(node.op.out_shape)) for node in network.nonlinear)
    lower, upper = np.zeros(width), np.zeros(width)
    lower[:n], upper[:n] = box.lower[b], box.upper[b]
    known = {INPUT: (np.eye(n, width), np.zeros(n))}
    limits, room, used = [np.zeros((0, width))], [np.zeros(0)], n
    for node in network.nodes:
        inputs = [known[name] for name in node.inputs]
        if isinstance(node.op, Linear):
            matrix = node.op.linear(
                *(m.T.reshape(width, *s) for (m, _), s in zip(inputs, node.op.in_shapes, strict=True))
            )
            constant = node.op.forward(*(c.reshape(s) for (_, c), s in zip(inputs, node.op.in_shapes, strict=True)))
            known[node.name] = matrix.reshape(width, -1).T, constant.reshape(-1)
            continue
        assert isinstance(node.op, Relu)
        (z, shift), s = inputs[0], node.op.negative_slope
        low, high = (side[b].reshape(-1) for side in intervals[node.inputs[0]])
        slope = np.where(low >= 0.0, 1.0, s)
        y, constant = slope[:, None] * z, slope * shift
        open_ = np.flatnonzero((low < 0.0) & (high > 0.0))
        fresh = used + np.arange(len(open_))
        used += len(open_)
        lower[fresh], upper[fresh] = -np.inf, np.inf
        y[open_], constant[open_] = 0.0, 0.0
        y[open_, fresh] = 1.0
        z, shift, low, high = z[open_], shift[open_], low[open_], high[open_]
        chord = (high - s * low) / (high - low)
        limits += [s * z - y[open_], z - y[open_], y[open_] - chord[:, None] * z]
        room += [-s * shift, -shift, chord * (shift - low) + s * low]
        known[node.name] = y, constant
    for name, split in splits.items():
        matrix, constant = known[name]
        sign = split.sign[b].reshape(-1)
        gap = constant if split.point is None else constant - split.point[b].reshape(-1)
        limits.append(-sign[:, None] * matrix)
        room.append(sign * gap)
    return Program(lower, upper, np.concatenate(limits), np.concatenate(room), known)


@dataclass(frozen=True)
class Case:
    """Rows to bound on the boxes of `relaxed`, under splits, and where an ascent is to start."""

    relaxed: Relaxed
    rows: Rows
    splits: dict[str, Split]
    slopes: dict[str, tuple[Array, ...]]
    multipliers: dict[str, Array]

    def optima(self) -> np.ndarray:
        """The optimum of each linear program, [batch, rows]; inf where the splits contradict the relaxation."""
        batch = len(self.relaxed.box.lower)
        found = np.empty((batch, self.rows.count))
        for b in range(batch):
            program = triangle_program(self.relaxed.network, self.relaxed.box, self.relaxed.intervals, self.splits, b)
            for r in range(self.rows.count):
                parts = {name: part[min(b, len(part) - 1), r] for name, part in self.rows.coefficients.items()}
                found[b, r] = program.least(parts, self.rows.offset[min(b, len(self.rows.offset) - 1), r])
        return found

    def lower(self, ascent: Ascent, started: bool, settles: bool = False) -> np.ndarray:
        """What the ascent finds, from the random start or from its own; it may stop where a row is positive."""
        slopes, multipliers = (self.slopes, self.multipliers) if started else (None, None)
        settle = (lambda lower: (lower > 0.0).any(axis=1)) if settles else None
        found = optimise(
            self.relaxed,
            self.rows,
            ascent,
            slopes=slopes,
            splits=self.splits,
            multipliers=multipliers,
            settle=settle,
        )
        return found.lower


def rectifiers(rng: Rng, n_inputs: int, widths: list[int], n_outputs: int = 2) -> Network:
    """Dense layers of these widths with rectifiers behind them, and one without."""
    build, x = start(n_inputs)
    for width in widths:
        x = apply(build, "Relu", layer(build, rng, x, width))
    return simplify(finish(build, layer(build, rng, x, n_outputs), n_inputs))


def random_network(rng: Rng, depth: int) -> Network:
    """2 to 4 inputs, 3 to 6 neurons per layer."""
    return rectifiers(rng, int(rng.integers(2, 5)), rng.integers(3, 7, size=depth).tolist())


def signs_of_points(network: Network, box: Interval, rng: Rng, share: float = 0.4) -> dict[str, Split]:
    """A share of the signs that the rectifiers' inputs have at one point of each box."""
    x = rng.uniform(box.lower, box.upper)
    found = values(network, x)
    return {
        name: Split(np.where(rng.uniform(size=found[name].shape) < share, np.where(found[name] >= 0.0, 1.0, -1.0), 0.0))
        for name in network.relaxed_inputs
    }


def any_signs(network: Network, box: Interval, rng: Rng) -> dict[str, Split]:
    """Random signs, which may contradict each other, and random points for them to be about."""
    found, splits = values(network, box.center), {}
    for name in dict.fromkeys((*network.relaxed_inputs, network.output)):
        shape = found[name].shape
        sign = rng.choice([-1.0, 0.0, 0.0, 1.0], size=shape)
        splits[name] = Split(sign, found[name] + 0.3 * rng.normal(size=shape) if rng.uniform() < 0.5 else None)
    return splits


def cut_at_signs(relaxed: Relaxed, splits: Mapping[str, Split]) -> Relaxed:
    """The relaxation that follows from intervals cut at zero where a sign is fixed, as search makes it."""
    cut = Relaxed(relaxed.network, relaxed.box, noise=relaxed.noise)
    for name, (lower, upper) in relaxed.intervals.items():
        sign = splits[name].sign
        lower, upper = (
            np.where((sign > 0.0) & (lower < 0.0), 0.0, lower),
            np.where((sign < 0.0) & (upper > 0.0), 0.0, upper),
        )
        cut.intervals[name] = Interval(lower, upper)
    for node in relaxed.network.nonlinear:
        cut.relax(node, node.nonlinear_op.relax(*(cut.intervals[name] for name in node.inputs)))
    return cut


def random_case(
    network: Network, rng: Rng, batch: int = 2, rows: int = 3, agreeing: bool | None = None, size: float = 0.0
) -> Case:
    """Boxes, rows, signs that some point has (agreeing) or any splits, and slopes and multipliers to start from.

    size: mean of the multipliers; random if 0.
    """
    box = random_box(network, rng, batch, radius=float(rng.choice([0.3, 1.0, 2.0])))
    relaxed = intermediate_bounds(network, box)
    agreeing = bool(rng.uniform() < 0.5) if agreeing is None else agreeing
    splits = signs_of_points(network, box, rng) if agreeing else any_signs(network, box, rng)
    if agreeing and rng.uniform() < 0.5:
        relaxed = cut_at_signs(relaxed, splits)
    shape = lambda name: (batch, rows, *network.shapes[name])  # noqa: E731
    slopes = {node.name: (rng.uniform(size=shape(node.name)),) for node in network.nonlinear}
    size = size or float(rng.choice([0.1, 1.0, 30.0]))
    multipliers = {name: size * rng.exponential(size=shape(name)) for name in splits}
    return Case(relaxed, random_rows(network, rng, rows, batch), splits, slopes, multipliers)


def excess(lower: np.ndarray, optima: np.ndarray) -> float:
    """The largest share by which a bound exceeds its optimum; where that is infinite nothing can."""
    finite = np.isfinite(optima)
    return float(((lower - optima)[finite] / (1.0 + abs(optima[finite]))).max(initial=-np.inf))


def random_cases(seeds: int) -> Iterator[Case]:
    """Two hidden layers; now and then slopes below zero, slopes of their own, or connections around a layer."""
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        kind = ("residual", "leaky", "bent back", *["dense"] * 7)[seed % 10]
        yield random_case(random_network(rng, 2) if kind == "dense" else simplify(PLANAR_KINDS[kind](rng)), rng)


def test_no_ascent_exceeds_the_linear_program() -> None:
    """Neither a bound at random slopes and multipliers nor that of an ascent from there, however large its steps."""
    solved = infeasible = 0
    for seed, case in enumerate(random_cases(170)):
        optima = case.optima()
        solved, infeasible = solved + optima.size, infeasible + np.isinf(optima).sum()
        ascent = Ascent(6, *[(0.05, 0.3, 3.0)[seed % 3]] * 2)
        assert excess(case.lower(Ascent(0), started=True), optima) <= TOLERANCE, seed
        assert excess(case.lower(ascent, started=True), optima) <= TOLERANCE, seed
        assert excess(case.lower(ascent, started=False, settles=True), optima) <= TOLERANCE, seed
    assert solved >= 1000
    assert 20 <= infeasible <= solved / 2


def test_a_long_ascent_comes_close_to_the_linear_program() -> None:
    """With one hidden layer it closes nearly all of what CROWN without the splits leaves open."""
    shares = []
    for seed in range(14):
        rng = np.random.default_rng(1000 + seed)
        case = random_case(random_network(rng, 1), rng, batch=8, agreeing=True, size=0.3)
        optima, lower = case.optima(), case.lower(Ascent(300, 0.1, 0.2, 0.985), seed % 2 == 1)
        assert excess(lower, optima) <= TOLERANCE, seed
        plain = crown_rows(intermediate_bounds(case.relaxed.network, case.relaxed.box), case.rows)[0]
        feasible = np.isfinite(optima) & (optima - plain > 1e-3)
        shares.append(((optima - lower) / (optima - plain))[feasible])
    left = np.concatenate(shares)
    assert len(left) >= 100
    assert left.mean() <= 0.01
    assert np.quantile(left, 0.95) <= 0.03


def flipped_walk(*args: object, extra: Mapping[str, Array], **settings: object) -> Walk:
    """A wrong kernel: the multipliers' terms have the opposite sign."""
    return backward(*args, extra={name: -part for name, part in extra.items()}, **settings)


def test_the_oracle_sees_a_multiplier_with_the_wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk that adds the splits' terms instead of subtracting them bounds the other half."""
    monkeypatch.setattr(ascending, "backward", flipped_walk)
    assert max(excess(case.lower(Ascent(0), started=True), case.optima()) for case in random_cases(10)) > 0.01
    assert max(excess(case.lower(Ascent(6), started=False), case.optima()) for case in random_cases(10)) > 0.01


@pytest.mark.parametrize("key", ["alpha", "beta"])
def test_the_oracle_sees_parameters_that_leave_their_range(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slopes outside of [0, 1], or multipliers below zero."""
    project = ascending._Climb.project

    def loose(climb: ascending._Climb) -> None:
        free = {name: value for name, value in climb.values.items() if name.startswith(key)}
        project(climb)
        climb.values = {**climb.values, **free}

    monkeypatch.setattr(ascending._Climb, "project", loose)
    assert max(excess(case.lower(Ascent(6), started=False), case.optima()) for case in random_cases(10)) > 0.01


ClipForms = Callable[..., np.ndarray]


def clipping_errors(kernel: ClipForms, seeds: int) -> tuple[float, float, int, int]:
    """(largest excess over an optimum, largest shortfall, programs solved, where the constraint matters).

    Both as shares of the size of the terms. Constraints that nearly nothing satisfies count for the excess alone.
    """
    over, under, solved, matters = -np.inf, -np.inf, 0, 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        n, boxes, forms, size = int(rng.integers(1, 6)), 5, 6, float(rng.choice([1e-3, 1.0, 1e4]))
        g, a = rng.normal(size=(forms, n)), rng.normal(size=(boxes, n)) * size
        g[rng.uniform(size=g.shape) < 0.15], a[rng.uniform(size=a.shape) < 0.15] = 0.0, 0.0
        # Parallel and opposite forms; ties between breakpoints.
        g[0], g[1] = a[0], -2.0 * a[0] / size
        b, center = rng.normal(size=forms), rng.normal(size=(boxes, n))
        radius = rng.exponential(size=(boxes, n)) * (rng.uniform(size=(boxes, n)) < 0.9)
        reach = (abs(a) * radius).sum(axis=1)
        place = rng.uniform(-1.1, 0.95, size=boxes)
        c = reach * place - (a * center).sum(axis=1)
        found = kernel(g, b, a, c, center, radius)
        assert not np.isnan(found).any()
        plain = g @ center.T - abs(g) @ radius.T + b[:, None]
        for i, f in product(range(boxes), range(forms)):
            optimum = least(g[f], a[i][None], -c[i, None], center[i] - radius[i], center[i] + radius[i]) + b[f]
            solved += 1
            if np.isinf(optimum):
                continue
            terms = 1.0 + abs(b[f]) + abs(g[f]) @ (abs(center[i]) + radius[i])
            over = max(over, (found[i, f] - optimum) / terms)
            if optimum > plain[f, i] + 1e-9 * terms:
                matters += 1
                under = max(under, (optimum - found[i, f]) / terms)
    return float(over), float(under), solved, matters


def test_clipped_forms_are_the_linear_program() -> None:
    """Exact wherever the constraint matters, and never above."""
    over, under, solved, matters = clipping_errors(clip_forms, 30)
    assert over <= 1e-9
    assert under <= 1e-9
    assert solved >= 900
    assert matters >= 200


def test_the_oracle_sees_a_multiplier_below_zero() -> None:
    """With any t, not only t >= 0, the constraint is an equation."""

    def equation(g: np.ndarray, b: np.ndarray, a: np.ndarray, c: np.ndarray, *box: np.ndarray) -> np.ndarray:
        return np.maximum(clip_forms(g, b, a, c, *box), clip_forms(g, b, -a, -c, *box))

    assert clipping_errors(equation, 5)[0] > 0.01


def test_the_oracle_sees_a_multiplier_that_is_not_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any t >= 0 is sound, so that only exactness tells."""

    def halved(*pair: np.ndarray) -> np.ndarray:
        return 0.5 * best_multiplier(*pair)

    monkeypatch.setattr("certify.bounds.clip.best_multiplier", halved)
    over, under, _, _ = clipping_errors(clip_forms, 5)
    assert over <= 1e-9
    assert under > 0.01


def test_clipped_boxes_are_the_linear_program() -> None:
    """Each side moves to the smallest or largest x_j under the constraint, never past it; empty boxes cross over."""
    solved = moved = crossed = 0
    for seed in range(45):
        rng = np.random.default_rng(seed)
        n, size = int(rng.integers(1, 5)), float(rng.choice([1e-3, 1.0, 1e4]))
        center, a = rng.normal(size=(3, n)), rng.normal(size=(3, n)) * size
        a[rng.uniform(size=a.shape) < 0.15] = 0.0
        radius = rng.exponential(size=(3, n)) * (rng.uniform(size=(3, n)) < 0.9)
        reach = (abs(a) * radius).sum(axis=1)
        c = reach * rng.uniform(-0.95, 1.2, size=3) - (a * center).sum(axis=1)
        lower, upper = center - radius, center + radius
        new_lower, new_upper = lower.copy(), upper.copy()
        clip_box(new_lower, new_upper, np.arange(3), a, c)
        terms = (abs(a) * (abs(center) + radius)).sum(axis=1) + abs(c)
        for i in range(3):
            ends = [
                sign * least(sign * np.eye(n)[j], a[i][None], -c[i, None], lower[i], upper[i])
                for j in range(n)
                for sign in (1.0, -1.0)
            ]
            solved += len(ends)
            if not np.isfinite(ends).all():
                clearly = (a[i] * center[i]).sum() - reach[i] + c[i] > 1e-9 * terms[i]
                crossed += clearly
                assert not clearly or (new_lower[i] > new_upper[i]).any() or not a[i].any()
                continue
            low, high = np.reshape(ends, (n, 2)).T
            wide = 1.0 + abs(center[i]) + radius[i]
            assert (new_lower[i] <= low + 1e-9 * wide).all()
            assert (new_upper[i] >= high - 1e-9 * wide).all()
            # The rounding outward is a share of all terms, which a small a_j turns into more of x_j.
            with np.errstate(divide="ignore", invalid="ignore"):
                slack = np.where(a[i] == 0.0, 0.0, 2.0**-34 * terms[i] / abs(a[i])) + 1e-9 * wide
            assert (new_lower[i] >= np.maximum(lower[i], low - slack)).all()
            assert (new_upper[i] <= np.minimum(upper[i], high + slack)).all()
            moved += int((new_lower[i] > lower[i]).sum() + (new_upper[i] < upper[i]).sum())
    assert solved >= 500
    assert moved >= 50
    assert crossed >= 5


def refined(network: Network, rng: Rng, batch: int) -> tuple[Relaxed, dict[str, Split], dict[str, Interval]]:
    """(relaxation under the signs of one point of each box, those signs, refined intervals)."""
    box = random_box(network, rng, batch, radius=float(rng.choice([0.5, 1.0, 2.0])))
    splits = signs_of_points(network, box, rng)
    relaxed = cut_at_signs(intermediate_bounds(network, box), splits)
    urgency = {
        name: rng.exponential(size=(batch, int(np.prod(network.shapes[name])))) * (rng.uniform() < 0.9)
        for name in network.relaxed_inputs
    }
    return relaxed, splits, refine(relaxed, splits, urgency)


def escapes(seeds: int) -> tuple[float, int, int]:
    """(how far a value at a point with the fixed signs lies outside its refined interval, values compared, tightened).

    At points of the box by random choice, whose signs are compared with the fixed ones.
    """
    worst, compared, tightened = 0.0, 0, 0
    for seed in range(seeds):
        rng = np.random.default_rng(2000 + seed)
        kind = sorted(PLANAR_KINDS)[seed // 2 % len(PLANAR_KINDS)]
        network = simplify(PLANAR_KINDS[kind](rng)) if seed % 2 else random_network(rng, int(rng.integers(2, 4)))
        relaxed, splits, intervals = refined(network, rng, 3)
        points = points_in(relaxed.box, rng, 300)
        found = {
            name: value.reshape(*points.shape[:2], -1)
            for name, value in values(network, points.reshape(-1, network.n_inputs)).items()
        }
        holds = np.all([(s.sign.reshape(3, 1, -1) * found[v] >= 0.0).all(axis=2) for v, s in splits.items()], axis=0)
        for name, interval in intervals.items():
            (lower, upper), known = ([s.reshape(3, -1) for s in i] for i in (interval, relaxed.intervals[name]))
            outside = np.maximum(lower[:, None] - found[name], found[name] - upper[:, None]) / (1.0 + abs(found[name]))
            worst = max(worst, float(outside[holds].max(initial=0.0)))
            compared += int(holds.sum()) * outside.shape[2]
            tightened += int(((lower > known[0] + 1e-6) | (upper < known[1] - 1e-6)).sum())
    return worst, compared, tightened


@pytest.mark.parametrize("most", [32, 5])
def test_refined_intervals_contain_what_points_with_these_signs_reach(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only some elements, other ones in each box, are bounded anew."""
    monkeypatch.setattr(refining, "MOST_ELEMENTS", most)
    worst, compared, tightened = escapes(30)
    assert worst <= 1e-9
    assert compared >= 10_000
    assert tightened >= 30


def exact_range(
    network: Network, relaxed: Relaxed, splits: Mapping[str, Split], name: str, element: int
) -> list[float]:
    """[smallest, largest] value of an element on the box under the signs: one program per activation pattern and side.

    Empty where no pattern has a point.
    """
    free = {}
    for v, split in splits.items():
        lower, upper = (side[0] for side in relaxed.intervals[v])
        stable = np.where(lower >= 0.0, 1.0, np.where(upper <= 0.0, -1.0, 0.0))
        free[v] = np.where(split.sign[0] != 0.0, split.sign[0], stable)
    flat = np.concatenate(list(free.values()))
    places = np.cumsum([len(part) for part in free.values()])[:-1]
    ends: list[float] = []
    for choice in product((1.0, -1.0), repeat=int((flat == 0.0).sum())):
        pattern = flat.copy()
        pattern[flat == 0.0] = choice
        signs = dict(zip(free, np.split(pattern, places), strict=True))
        program = triangle_program(
            network,
            relaxed.box,
            {v: Interval(np.minimum(s, 0.0)[None], np.maximum(s, 0.0)[None]) for v, s in signs.items()},
            {v: Split(s[None]) for v, s in signs.items()},
        )
        one_hot = np.eye(network.shapes[name][0])[element]
        smallest = program.least({name: one_hot})
        if np.isfinite(smallest):
            ends += [smallest, -program.least({name: -one_hot})]
    return [min(ends), max(ends)] if ends else []


def exact_escapes(seeds: int) -> tuple[float, int]:
    """(how far an exactly reachable value lies outside its refined interval, exact ranges computed)."""
    worst, count = 0.0, 0
    for seed in range(seeds):
        rng = np.random.default_rng(3000 + seed)
        first = int(rng.integers(2, 5))
        network = rectifiers(rng, int(rng.integers(2, 4)), [first, 7 - first])
        relaxed, splits, intervals = refined(network, rng, 1)
        name = network.relaxed_inputs[int(rng.uniform() < 0.8)]
        gain = sum(abs(new - old)[0] for new, old in zip(intervals[name], relaxed.intervals[name], strict=True))
        element = int(np.argmax(gain))
        ends = exact_range(network, relaxed, splits, name, element)
        if not ends:
            continue
        count += 1
        lower, upper = (float(side[0, element]) for side in intervals[name])
        worst = max(worst, (lower - ends[0]) / (1.0 + abs(lower)), (ends[1] - upper) / (1.0 + abs(upper)))
    return worst, count


def test_refined_intervals_contain_the_exact_range() -> None:
    """Under the signs, of the element that was tightened most, by enumeration of the activation patterns."""
    worst, count = exact_escapes(40)
    assert worst <= TOLERANCE
    assert count >= 30


def test_both_oracles_of_refinement_see_signs_that_are_flipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refinement under the opposite signs loses reachable values."""
    monkeypatch.setattr(ascending, "backward", flipped_walk)
    assert escapes(10)[0] > 0.01
    assert exact_escapes(15)[0] > 0.01


@dataclass(frozen=True)
class Halves:
    """A row on some boxes, bounded on one hidden layer, and every neuron of each box as a candidate."""

    relaxed: Relaxed
    rows: Rows
    form: HiddenForm
    row: Row

    @property
    def weight(self) -> np.ndarray:
        """The row's coefficients at the rectifiers' outputs, [boxes, neurons]."""
        return next(iter(self.row.weights.values()))

    def plane(self, box: int, neuron: int) -> tuple[float, float]:
        """(slope, offset) of the plane that the row uses."""
        planes = next(iter(self.row.planes.values()))
        if self.weight[box, neuron] >= 0.0:
            return float(planes.lower_slopes[0][box, 0, neuron]), 0.0
        assert planes.upper_bias is not None
        return float(planes.upper_slopes[0][box, 0, neuron]), float(planes.upper_bias[box, 0, neuron])

    def candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """(number, element) of all neurons, [boxes, neurons]."""
        element = np.broadcast_to(np.arange(self.weight.shape[1]), self.weight.shape)
        return np.zeros_like(element), element


def random_halves(seed: int) -> Halves:
    """A network with one hidden layer, whose forms are made on a box and used on three smaller ones."""
    rng = np.random.default_rng(4000 + seed)
    network = random_network(rng, 1)
    forms: dict[str, HiddenForm] = {}
    while not forms:
        outer = random_box(network, rng, radius=2.0)
        forms = hidden_forms(intermediate_bounds(network, outer), list(network.relaxed_inputs), 2**24)
    ends = np.sort(rng.uniform(outer.lower, outer.upper, size=(2, 3, network.n_inputs)), axis=0)
    box = Interval(*ends)
    relaxed = intermediate_bounds(network, box)
    rows = Rows({network.output: rng.normal(size=(1, 1, network.n_outputs))}, np.full((1, 1), -30.0))
    found = optimise(relaxed, rows, Ascent(3))
    node = network.nonlinear[0]
    row = Row(
        found.form.coefficient[:, 0],
        found.form.lower(box)[:, 0],
        {node.name: np.broadcast_to(found.weights[node.name][:, 0], (3, *network.shapes[node.name]))},
        {node.name: relaxed.relaxations[node.name].planes(found.slopes[node.name])},
        np.arange(3),
        np.zeros(3, dtype=int),
    )
    return Halves(relaxed, rows, forms[node.inputs[0]], row)


def best_on_half_line(value: Callable[[np.ndarray], np.ndarray], end: float, direction: float) -> float:
    """The largest value of a concave function on the half-line from `end`, by ever finer grids; inf if it grows on."""
    low, high = 0.0, 1e4
    for _ in range(12):
        at = np.linspace(low, high, 101)
        place = int(value(end + direction * at).argmax())
        if at[place] == 1e4:
            return np.inf
        low, high = at[max(place - 1, 0)], at[min(place + 1, 100)]
    return float(value(end + direction * np.array([low, (low + high) / 2.0, high])).max())


def promises(halves: Halves) -> Iterator[tuple[int, int, int, float, float]]:
    """(box, neuron, sign of the half, its bound as promised, the same by brute force) of each candidate."""
    box = halves.relaxed.box
    for i, j in product(*map(range, halves.weight.shape)):
        if halves.form.place[j] < 0:
            continue
        weight, (slope, offset) = halves.weight[i, j], halves.plane(i, j)
        a, center, radius = halves.row.a[i], box.center[i], box.radius[i]
        pair = halfspace._Pairs(halves.form, np.array([j]), a[None], center[None], radius[None])
        gains = pair.gains(np.array([weight * (1.0 - slope)]), np.array([-weight * slope]))
        g, b = (part[0] for part in halves.form.side(np.array([j]), upper=False))
        least_before = a @ center - abs(a) @ radius

        def moved(t: np.ndarray) -> np.ndarray:
            """The change of the row's minimum over the box when it is moved by t along the neuron's value."""
            form = a + t[:, None] * g  # noqa: B023
            return form @ center - abs(form) @ radius + t * b - least_before  # noqa: B023

        ends = (weight * (1.0 - slope), -1.0), (-weight * slope, 1.0)
        for sign, gain, (end, direction) in zip((1, -1), gains, ends, strict=True):
            here = halves.row.bound[i] - weight * offset
            yield i, j, sign, float(here + gain[0]), float(here + best_on_half_line(moved, end, direction))


def test_promised_bounds_of_both_halves_are_the_best_multipliers() -> None:
    """By brute force over the multiplier, and never above the linear program of the half."""
    compared = solved = infinite = 0
    for seed in range(30):
        halves = random_halves(seed)
        network = halves.relaxed.network
        for i, j, sign, promised, brute in promises(halves):
            compared += 1
            if np.isinf(promised) or np.isinf(brute):
                infinite += 1
                assert promised == brute, (seed, i, j, sign)
            else:
                assert abs(promised - brute) <= 1e-6 * (1.0 + abs(brute)), (seed, i, j, sign)
            signs = np.zeros(halves.weight.shape)
            signs[i, j] = sign
            splits = {network.relaxed_inputs[0]: Split(signs)}
            part = cut_at_signs(halves.relaxed, splits)
            if seed < 12:
                program = triangle_program(network, part.box, part.intervals, splits, i)
                outputs = {network.output: halves.rows.coefficients[network.output][0, 0]}
                optimum = program.least(outputs, float(halves.rows.offset[0, 0]))
                solved += 1
                assert promised <= optimum + TOLERANCE * (1.0 + abs(optimum)), (seed, i, j, sign)
    assert compared >= 300
    assert solved >= 150


def test_scores_are_the_products_of_both_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """As shares of what is missing, by brute force; neurons without a form score nothing."""
    monkeypatch.setattr(halfspace, "LEAST_GAIN", 0.0)
    scored = 0
    for seed in range(30):
        halves = random_halves(seed)
        forms = {halves.relaxed.network.relaxed_inputs[0]: halves.form}
        scores = look_ahead(halves.relaxed.network, forms, halves.row, halves.relaxed.box, *halves.candidates())
        expected = np.where(halves.form.place >= 0, np.ones(scores.shape), 0.0)
        for i, j, _, _, brute in promises(halves):
            expected[i, j] *= np.clip((brute - halves.row.bound[i]) / -halves.row.bound[i], 0.0, 1.0)
        np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-9)
        scored += int((scores > 1e-9).sum())
    assert scored >= 30


def test_the_oracle_sees_halves_that_are_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gains on the wrong half-line disagree with brute force."""
    gains = halfspace._Pairs.gains
    monkeypatch.setattr(halfspace._Pairs, "gains", lambda pair, most, least: gains(pair, least, most))
    wrong = [
        abs(promised - brute)
        for seed in range(5)
        for _, _, _, promised, brute in promises(random_halves(seed))
        if np.isfinite(promised) and np.isfinite(brute)
    ]
    assert max(wrong) > 0.01
