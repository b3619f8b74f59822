"""Masses of boxes, and of what linear functions cut off them: bounds on the right side of closed forms and samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from certify.quantities.law import Beta, Discrete, Marginal, Normal, Uniform
from certify.quantities.mass import Product, normal_box, positive_volume, uniform_box

LAWS = [
    (Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    (Normal(0.5, 2.0), stats.norm(0.5, 2.0)),
    (Normal(0.5, 2.0, -1.0, 2.0), stats.truncnorm(-0.75, 0.75, 0.5, 2.0)),
    (Beta(2.0, 0.4), stats.beta(2.0, 0.4)),
    (Beta(0.3, 3.0, -1.0, 2.0), stats.beta(0.3, 3.0, -1.0, 3.0)),
]


@pytest.mark.parametrize(("law", "scipy"), LAWS, ids=lambda law: type(law).__name__)
def test_masses_enclose_the_probability_tightly(law: Marginal, scipy: object) -> None:
    rng = np.random.default_rng(0)
    a, b = max(law.support[0], -6.0), min(law.support[1], 6.0)
    ends = np.sort(rng.uniform(a, b, (500, 2)), axis=1)
    low, high = law.mass(ends[:, 0], ends[:, 1])
    true = scipy.cdf(ends[:, 1]) - scipy.cdf(ends[:, 0])  # type: ignore[attr-defined]
    assert (low <= true + 1e-15).all() and (true - 1e-15 <= high).all()
    assert (high - low <= 1e-6).all()
    density = law.least_density(ends[:, 0], ends[:, 1])
    inside = ends[:, :1] + np.linspace(0.001, 0.999, 50) * (ends[:, 1:] - ends[:, :1])
    assert (density[:, None] <= scipy.pdf(inside) + 1e-15).all()  # type: ignore[attr-defined]


def test_far_tails_keep_their_size() -> None:
    low, high = Normal(0.0, 1.0).mass(np.array([30.0]), np.array([31.0]))
    assert 0.0 < low[0] <= stats.norm.sf(30.0) * (1 + 1e-9) and high[0] < 1.0001 * stats.norm.sf(30.0)


def test_what_underflows_is_never_called_exact() -> None:
    """Where float64 runs out of digits: a lower bound of 0 and an upper one above it, alone and in products."""
    law = Normal(0.0, 1.0)
    low, high = law.mass(np.array([38.5, 40.0]), np.array([38.6, 41.0]))
    assert (low == 0.0).all() and (high > 0.0).all()
    assert Normal(0.0, 1.0, 38.1, 38.3).total[0] == 0.0, "a law conditioned on what cannot be computed is refused"
    low, high = Product((Uniform(0.0, 1.0),) * 400).mass(np.zeros((1, 400)), np.full((1, 400), 0.1))
    assert low[0] == 0.0 < high[0]
    below, above = law.mean(np.array([38.5]), np.array([38.6]))
    assert (below[0], above[0]) == (38.5, 38.6)


def test_parts_of_a_discrete_law_share_no_value() -> None:
    law = Discrete((0.0, 1.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0))
    below, above = law.cut(np.array([0.0]), np.array([3.0]))
    assert (below[0], above[0]) == (1.0, 2.0)
    assert law.mass(np.array([0.0]), below)[0] == pytest.approx(0.3, abs=1e-12)
    below, above = law.cut(np.array([2.0]), np.array([2.0]))
    assert not above[0] > 2.0, "a single value cannot be cut"


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_volumes_are_bounded_from_below_and_nearly_reached(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(12, n)), rng.normal(size=12) * 0.3
    lower = -rng.random((12, n))
    upper = lower + 2.0 * rng.random((12, n))
    found = positive_volume(a, b, lower, upper)
    x = lower[:, None] + rng.random((12, 20_000, n)) * (upper - lower)[:, None]
    true = ((x * a[:, None]).sum(axis=-1) + b[:, None] > 0.0).mean(axis=1)
    assert (abs(found - true) < 0.03).all()


def test_volumes_are_exact_where_they_are_known() -> None:
    one = np.ones((1, 3))
    # The corner x + y + z <= 1 of the unit cube has the volume 1/6, its mirror image likewise.
    assert positive_volume(one, np.array([-1.0]), 0 * one, one)[0] == pytest.approx(5 / 6, abs=1e-10)
    assert positive_volume(-one, np.array([1.0]), 0 * one, one)[0] == pytest.approx(1 / 6, abs=1e-10)
    # Slopes of very different size may cost tightness, never the side.
    steep = np.array([[1.0, 1e-2, 1e-4, 1e-9]])
    found = positive_volume(steep, np.array([-0.5]), np.zeros((1, 4)), np.ones((1, 4)))[0]
    assert 0.48 < found <= 0.505 + 1e-12


@pytest.mark.parametrize("kind", ["uniform", "normal", "unbounded", "mixed"])
@pytest.mark.parametrize("n", [2, 12])
def test_what_a_linear_function_cuts_off_is_bounded_from_below(kind: str, n: int) -> None:
    rng = np.random.default_rng(n)
    lower, upper = -np.ones(n), np.ones(n)
    laws = {
        "uniform": uniform_box(lower, upper),
        "normal": normal_box(lower, upper),
        "unbounded": Product((Normal(0.0, 0.25),) * n),
        "mixed": Product(((Uniform(-1.0, 1.0), Beta(2.0, 2.0, -1.0, 1.0)) * n)[:n]),
    }
    law = laws[kind]
    box = np.tile(lower, (8, 1)), np.tile(upper, (8, 1))
    mass = law.mass(*box)[0]
    x = law.sample(rng, 50_000)
    a, b = rng.normal(size=(8, n)), np.linspace(-0.5, 3.0, 8)
    found = law.positive(a, b, *box, mass)
    inside = ((x >= lower) & (x <= upper)).all(axis=1)
    true = ((x @ a.T + b > 0.0) & inside[:, None]).mean(axis=0)
    assert (found <= true + 0.01).all()
    assert found[-1] > 0.1, "a tail that is far away is seen"


@pytest.mark.parametrize("law", [law for law, _ in LAWS], ids=lambda law: type(law).__name__)
def test_means_on_intervals_are_enclosed(law: Marginal) -> None:
    rng = np.random.default_rng(0)
    x = law.sample(rng, 200_000)
    for a, b in ((0.1, 0.6), (0.3, 0.9)):
        lower, upper = np.quantile(x, [a, b])
        low, high = law.mean(np.array([lower]), np.array([upper]))
        inside = x[(x >= lower) & (x <= upper)]
        error = 5.0 * inside.std() / np.sqrt(len(inside)) + 1e-4 * (upper - lower)
        assert low[0] - error <= inside.mean() <= high[0] + error
        assert high[0] - low[0] <= 1e-6 * max(1.0, upper - lower)
