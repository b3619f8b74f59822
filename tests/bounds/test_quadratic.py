"""Products bounded together: below every product that their factors' forms allow, and exact where they are convex."""

from __future__ import annotations

import numpy as np
import pytest
from networks import apply, finish, layer, start

from certify.bounds.backward import Rows, Walk, backward
from certify.bounds.bend import _bent, bend
from certify.bounds.intermediate import intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.quadratic import Factor, joint_planes
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.ops.arithmetic import add, multiply
from certify.ops.dense import dense
from certify.ops.power import Power, power
from certify.ops.product import Product
from certify.ops.reduce import SumOver

BATCH, N, ELEMENTS, ROWS, POINTS = 3, 2, 4, 5, 200
Rng = np.random.Generator


def boxes(rng: Rng, n: int = N, scale: float = 1.0) -> Interval:
    """Some inputs do not vary."""
    lower = rng.normal(size=(BATCH, n)) * scale
    return Interval(lower, lower + rng.exponential(size=(BATCH, n)) * scale * rng.integers(0, 3, size=(BATCH, n)))


def places(rng: Rng, box: Interval, count: int = POINTS) -> np.ndarray:
    """Points [batch, count, n] of each box, half of them corners."""
    lower, upper = box.lower[:, None], box.upper[:, None]
    inside = rng.uniform(lower, upper, size=(len(lower), count, lower.shape[2]))
    inside[:, ::2] = np.where(rng.random(inside[:, ::2].shape) < 0.5, lower, upper)
    return inside


class Between:
    """A value known to be anywhere between two random affine functions, some elements only by an interval."""

    def __init__(self, rng: Rng, box: Interval, width: float) -> None:
        slope = rng.normal(size=(BATCH, ELEMENTS, N))
        tilt = width * rng.normal(size=slope.shape)
        offset = rng.normal(size=(BATCH, ELEMENTS))
        reach = (tilt @ box.center[..., None])[..., 0] - (abs(tilt) @ box.radius[..., None])[..., 0]
        room = width * rng.exponential(size=offset.shape) - reach
        self.low, self.high = (slope, offset), (slope + tilt, offset + room)
        index = np.flatnonzero(rng.random(ELEMENTS) < 0.8)
        coefficient = np.concatenate([slope[:, index], -self.high[0][:, index]], axis=1)
        shift = np.concatenate([offset[:, index], -self.high[1][:, index]], axis=1)
        self.found = index, LinearForm(coefficient, shift, np.zeros_like(shift))
        least, most = (LinearForm(sign * a, sign * b, 0.0 * b).lower(box) for sign, (a, b) in self.sides())
        self.interval = Interval(least, -most)

    def sides(self) -> list[tuple[float, tuple[np.ndarray, np.ndarray]]]:
        return [(1.0, self.low), (-1.0, self.high)]

    def at(self, rng: Rng, x: np.ndarray) -> np.ndarray:
        """Values [batch, points, elements], often on one of the functions."""
        low, high = (np.einsum("ben,bpn->bpe", a, x) + b[:, None] for a, b in (self.low, self.high))
        share = np.clip(rng.uniform(-1.0, 2.0, size=low.shape), 0.0, 1.0)
        return low + share * (high - low)


def worst_excess(seed: int, scale: float, square: bool) -> float:
    """How far the joint planes' lower bound exceeds a weighted sum of products somewhere, relative to its terms."""
    rng = np.random.default_rng(seed)
    box = boxes(rng, scale=scale)
    width = scale * rng.choice([0.0, 0.1, 1.0])
    factors = {"x": Between(rng, box, width), "y": Between(rng, box, width)}
    shape = (ELEMENTS,)
    op, names = (Power((shape,), shape, 2.0), ("x",)) if square else (Product((shape, shape), shape), ("x", "y"))
    forms = {name: value.found for name, value in factors.items()}
    planes = joint_planes(op, [factors[name].interval for name in names], names, box, forms)
    assert planes is not None
    assert planes.shift is not None
    weight = rng.normal(size=(BATCH, ROWS, ELEMENTS)) * rng.integers(0, 2, size=(BATCH, ROWS, ELEMENTS))
    x = places(rng, box)
    values = [factors[name].at(rng, x) for name in names]
    exact = np.einsum("bre,bpe->brp", weight, values[0] * values[-1])
    flat = sum(np.einsum("bre,bpe->brp", weight * s, v) for s, v in zip(planes.lower_slopes, values, strict=True))
    size = np.einsum("bre,bpe->brp", abs(weight), abs(values[0] * values[-1])).max() + abs(flat).max()
    return float(((flat + planes.shift(weight)[:, :, None] - exact) / size).max())


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("seed", range(10))
def test_no_product_that_the_forms_allow_is_below(seed: int, scale: float, square: bool) -> None:
    assert worst_excess(seed, scale, square) <= 1e-13


@pytest.mark.parametrize("forgotten", ["error", "reach", "coefficient"])
def test_a_forgotten_term_is_seen(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above catches a factor without its error, its range or what it has in common with others."""
    complete = Factor.__init__

    def incomplete(self: Factor, *arguments: object) -> None:
        complete(self, *arguments)
        setattr(self, forgotten, 0.0 * getattr(self, forgotten))

    monkeypatch.setattr(Factor, "__init__", incomplete)
    assert max(worst_excess(seed, 1.0, False) for seed in range(10)) > 1e-3


@pytest.mark.parametrize("shape", ["convex", "concave", "indefinite"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_bent_forms_are_below_and_near_where_convex(n: int, shape: str) -> None:
    rng = np.random.default_rng(n)
    box = Interval(-rng.exponential(size=(50, n)), rng.exponential(size=(50, n)))
    root = rng.normal(size=(50, 1, n, n))
    sign = {"convex": np.ones(n), "concave": -np.ones(n), "indefinite": np.where(np.arange(n) % 2 == 0, 1.0, -1.0)}
    curve = (root * sign[shape]) @ root.swapaxes(2, 3)
    flat = LinearForm(rng.normal(size=(50, 1, n)), rng.normal(size=(50, 1)), np.zeros((50, 1)))
    bent = _bent(flat, curve, box)
    x = places(rng, box, 4000)
    t = (x - box.center[:, None]) / box.radius[:, None]
    exact = np.einsum("bpn,brn->bpr", x, flat.coefficient) + flat.offset[:, None]
    exact += np.einsum("bpi,brij,bpj->bpr", t, curve, t)
    assert (np.einsum("bpn,brn->bpr", x, bent.coefficient) + bent.offset[:, None] - bent.error[:, None] <= exact).all()
    if shape == "convex":
        least = exact.min(axis=1)
        assert np.median(least - bent.lower(box)) < 0.25 * np.median(least - flat.lower(box))


def test_forms_that_are_not_finite_prove_nothing() -> None:
    box, flat = (
        Interval(-np.ones((1, 2)), np.ones((1, 2))),
        LinearForm(*(np.full(s, 9.0) for s in [(1, 3, 2), (1, 3)]), np.zeros((1, 3))),
    )
    curve = np.stack([np.full((2, 2), np.nan), np.full((2, 2), np.inf), np.eye(2)])[None]
    lower = _bent(flat, curve, box).lower(box)
    np.testing.assert_array_equal(lower > -10.0, [[False, False, True]])


def energy_change(rng: Rng, n: int) -> Network:
    """V(x) and V(x + d) - V(x) = d . P (2 x + d) for V = x . P x, P positive, d a small rectifier network of x."""
    build, x = start(n)
    d = layer(build, rng, apply(build, "Relu", layer(build, rng, x, 4)), n)
    d = dense(build, d, 0.1 * np.eye(n))
    root = rng.normal(size=(n, n))
    matrix = root @ root.T + 0.1 * np.eye(n)
    total = dense(build, add(build, add(build, x, x), d), matrix)
    change = build.emit(SumOver(((n,),), (1,), (-1,)), multiply(build, d, total))
    level = build.emit(SumOver(((n,),), (1,), (-1,)), multiply(build, x, dense(build, x, matrix)))
    square = dense(build, power(build, x, 2.0), rng.normal(size=(1, n)))
    both = dense(build, change, np.array([[1.0], [0.0], [0.5]]))
    return finish(build, add(build, both, dense(build, add(build, level, square), np.array([[0.0], [1.0], [-1.0]]))), n)


def bounds_of(network: Network, box: Interval, joint: bool) -> tuple[np.ndarray, Walk]:
    forms: dict[str, tuple[np.ndarray, LinearForm]] | None = {} if joint else None
    relaxed = intermediate_bounds(network, box, forms=forms)
    rows = np.concatenate([np.eye(3), -np.eye(3)])[None]
    walk = backward(
        network, Rows({network.output: rows}, np.zeros((1, 6))), relaxed.planes, noise=relaxed.noise, keep=True
    )
    walk = bend(walk, relaxed)
    return walk.form.lower(box), walk


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_a_network_are_bounded_from_below_and_better_than_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network, box = energy_change(rng, 3), boxes(rng, 3, 0.5)
    together, walk = bounds_of(network, box, joint=True)
    alone, _ = bounds_of(network, box, joint=False)
    x = places(rng, box, 500)
    y = evaluate(network, x.reshape(-1, 3)).reshape(BATCH, -1, 3)
    y = np.concatenate([y, -y], axis=2)
    form = np.einsum("brn,bpn->bpr", walk.form.coefficient, x) + (walk.form.offset - walk.form.error)[:, None]
    assert (form <= y + 1e-12).all()
    assert (together >= alone - 1e-9).mean() > 0.8
    gained = (y.min(axis=1) - alone) - (y.min(axis=1) - together)
    assert gained.sum() > 0.3 * (y.min(axis=1) - alone).sum()
