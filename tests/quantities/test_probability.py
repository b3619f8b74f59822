"""Failure probabilities: grids in two dimensions, known answers, several regions, laws with single values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, save
from random_problems import problem, random_formula, relu_network

import certify
from certify.dataset import make_dataset
from certify.errors import CertifyError, InputError
from certify.problem import Problem
from certify.proportion import clopper_pearson
from certify.quantities import partition as partition_module
from certify.quantities.law import Discrete, Marginal, Normal, Uniform
from certify.quantities.law_file import read_law
from certify.quantities.mass import Product, uniform_box
from certify.quantities.partition import Partition
from certify.quantities.pieces import pieces
from certify.quantities.probability import unsafe
from certify.query.formula import AllOf, AnyOf, Region
from certify.settings import Budget

LOWER, UPPER = np.array([-1.0, -1.0]), np.array([1.0, 1.0])


def random_problem(seed: int) -> Problem:
    """Three random atoms over a small network of two inputs."""
    rng = np.random.default_rng(seed)
    network = relu_network(rng, [2, 6, 6, 3])
    return problem(
        network, [Region(LOWER, UPPER, random_formula(rng, 3))], rng.normal(size=(3, 3)), rng.normal(size=3) * 0.2
    )


def bounds(posed: Problem, components: list[Product], gap: float = 0.005) -> Partition:
    found = Partition(posed, components, pieces(posed, components))
    found.refine(gap, Budget.starting_now(30.0))
    return found


def grid_truth(posed: Problem, size: int = 300) -> tuple[float, float]:
    """Bounds of the unsafe share of the square from a grid: cells that are unsafe with all neighbours, with any."""
    axis = (np.arange(size) + 0.5) / size * 2.0 - 1.0
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    hit = np.pad(unsafe(posed, pieces(posed, [uniform_box(LOWER, UPPER)]), x).reshape(size, size), 1, mode="edge")
    near = [np.roll(hit, (i, j), (0, 1))[1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return float(np.all(near, axis=0).mean()), float(np.any(near, axis=0).mean())


@pytest.mark.parametrize("seed", range(6))
def test_the_truth_on_a_grid_lies_within(seed: int) -> None:
    posed = random_problem(seed)
    found = bounds(posed, [uniform_box(LOWER, UPPER)])
    low, high = grid_truth(posed)
    assert found.lower <= high and low <= found.upper and found.gap <= 0.005


def test_bounds_hold_whenever_it_stops() -> None:
    posed = random_problem(2)
    components = [uniform_box(LOWER, UPPER)]
    found = Partition(posed, components, pieces(posed, components))
    low, high = grid_truth(posed)
    before = (0.0, 1.0)
    for _ in range(6):
        assert before[0] <= found.lower <= high and low <= found.upper <= before[1]
        before = found.lower, found.upper
        if found.exhausted:
            break
        found.step()


def test_a_part_that_claims_too_much_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid sees a seeded fault: volumes that count a tenth too much."""
    plain = Product.positive
    monkeypatch.setattr(Product, "positive", lambda self, *a: np.minimum(1.1 * plain(self, *a) + 0.02 * a[-1], a[-1]))
    wrong = 0
    for seed in range(6):
        found = bounds(random_problem(seed), [uniform_box(LOWER, UPPER)])
        low, high = grid_truth(random_problem(seed))
        wrong += not (found.lower <= high and low <= found.upper)
    assert wrong


def test_numerical_trouble_leaves_boxes_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from certify.errors import NumericalError

    def fail(*args: object, **more: object) -> None:
        raise NumericalError("seeded")

    monkeypatch.setattr(partition_module, "intermediate_bounds", fail)
    posed, law_ = random_problem(0), [uniform_box(LOWER, UPPER)]
    found = Partition(posed, law_, pieces(posed, law_))
    for _ in range(3):
        found.step()
    assert (found.lower, found.upper) == (0.0, 1.0) and len(found.boxes) == 4


def line(tmp_path: Path) -> Path:
    """y = x0 + x1 - 1 as a model."""
    weights = {"w": np.array([[1.0, 1.0]], dtype=np.float32), "b": np.array([-1.0], dtype=np.float32)}
    return save(tmp_path / "line.onnx", model([node("Gemm", "x w b", "y", transB=1)], {"x": [1, 2]}, ["y"], weights))


def spec(tmp_path: Path, *lines: str) -> Path:
    """A specification of two inputs and one output."""
    declared = [f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0")]
    path = tmp_path / "spec.vnnlib"
    path.write_text("\n".join([*declared, *lines]) + "\n")
    return path


UNIT = [f"(assert ({relation} X_{i} {value}.0))" for i in (0, 1) for relation, value in ((">=", 0), ("<=", 1))]


def law(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "law.json"
    path.write_text(json.dumps(content))
    return path


def test_known_answers_on_a_line(tmp_path: Path) -> None:
    file, asked = line(tmp_path), spec(tmp_path, *UNIT, "(assert (>= Y_0 0.0))")
    found = certify.probability(file, asked, gap=1e-6)
    assert found.certified.lower <= 0.5 <= found.certified.upper and found.certified.gap <= 1e-6
    assert found.estimate is not None and found.estimate.lower < 0.5 < found.estimate.upper
    normal = certify.probability(file, asked, law="normal", gap=1e-3, samples=0)
    assert normal.certified.lower <= 0.5 <= normal.certified.upper and normal.certified.gap <= 1e-3
    product = {"kind": "product", "marginals": {"law": "normal", "mean": 0.0, "sd": 0.5}}
    free = certify.probability(file, asked, law=law(tmp_path, product), gap=1e-3)
    assert free.mass == pytest.approx(0.4772**2, abs=1e-3), "what lies outside of the region is not unsafe"
    assert free.estimate is not None and free.certified.lower <= free.estimate.upper


def test_an_equality_has_probability_zero(tmp_path: Path) -> None:
    asked = spec(tmp_path, *UNIT, "(assert (= Y_0 0.25))")
    found = certify.probability(line(tmp_path), asked, gap=1e-4, timeout=20.0, samples=0)
    assert found.certified.lower == 0.0 and found.certified.upper <= 1e-4


def test_single_values_on_strict_bounds_are_never_counted_as_unsafe(tmp_path: Path) -> None:
    """The box of X_0 < 1 is closed, and the law has half of its mass at 1, which the specification leaves out."""
    content = {"kind": "product", "marginals": [{"law": "discrete", "values": [0.5, 1.0], "weights": [1, 1]},
                                                {"law": "uniform", "lower": 0.0, "upper": 1.0}]}  # fmt: skip
    asked = spec(tmp_path, "(assert (>= X_0 0.0))", "(assert (< X_0 1.0))", *UNIT[2:], "(assert (>= Y_0 -9.0))")
    found = certify.probability(line(tmp_path), asked, law=law(tmp_path, content), samples=0, timeout=2.0)
    assert found.certified.lower <= 0.5 <= found.certified.upper
    closed = spec(tmp_path, *UNIT, "(assert (>= Y_0 -9.0))")
    found = certify.probability(line(tmp_path), closed, law=law(tmp_path, content), samples=0)
    assert found.certified.lower == pytest.approx(1.0, abs=1e-9)


def test_overlapping_regions_are_counted_once() -> None:
    rng = np.random.default_rng(0)
    network = relu_network(rng, [2, 4, 2])
    regions = [Region(LOWER, np.array([0.5, 1.0]), 0), Region(np.array([-0.5, -1.0]), UPPER, AnyOf((0, 1)))]
    posed = problem(network, [*regions, Region(LOWER, UPPER, AllOf((0, 1)))], rng.normal(size=(2, 2)), np.zeros(2))
    law_ = [uniform_box(LOWER, UPPER)]
    found = bounds(posed, law_)
    x = rng.uniform(-1.0, 1.0, (40_000, 2))
    y_all = unsafe(posed, pieces(posed, law_), x)
    covered = sum(((x >= p.lower) & (x <= p.upper)).all(axis=1).astype(int) for p in pieces(posed, law_))
    assert (covered == 1).all()
    assert found.lower - 0.01 <= y_all.mean() <= found.upper + 0.01 and found.gap <= 0.005


def test_single_values_of_a_law_are_in_one_piece_only() -> None:
    network = relu_network(np.random.default_rng(0), [2, 4, 2])
    half = Region(LOWER, np.array([0.0, 1.0]), 0), Region(np.array([0.0, -1.0]), UPPER, 0)
    posed = problem(network, list(half), np.ones((1, 2)), np.full(1, 100.0))
    marginals: tuple[Marginal, ...] = (Discrete((-1.0, 0.0, 1.0), (1.0, 1.0, 1.0)), Uniform(-1.0, 1.0))
    found = bounds(posed, [Product(marginals)], 1e-6)
    assert found.lower == pytest.approx(1.0, abs=1e-9) and found.upper <= 1.0 + 1e-9


def test_many_inputs_have_tails_without_any_cut() -> None:
    """300 inputs: far from the boundary, Hoeffding's and the normal tail prove what no number of boxes could."""
    rng = np.random.default_rng(0)
    n = 300
    network = relu_network(rng, [n, 1])
    lower, upper = -np.ones(n), np.ones(n)
    posed = problem(network, [Region(lower, upper, 0)], np.ones((1, 1)), np.array([-2.0]))
    for components in ([uniform_box(lower, upper)], [Product((Normal(0.0, 0.1),) * n)]):
        found = Partition(posed, components, pieces(posed, components))
        found.step()
        assert found.upper < 0.5


def test_a_mixture_is_the_mean_of_its_components(tmp_path: Path) -> None:
    point = {"law": "point", "value": 0.75}
    parts = [{"weight": w, "marginals": [point, {"law": "uniform", "lower": 0.0, "upper": top}]} for w, top in
             ((1, 1.0), (3, 0.5))]  # fmt: skip
    file = law(tmp_path, {"kind": "mixture", "components": parts})
    found = certify.probability(line(tmp_path), spec(tmp_path, *UNIT, "(assert (>= Y_0 0.0))"), law=file, gap=1e-6)
    # y >= 0 where x1 >= 1/4: 3/4 of the first, 1/2 of the second.
    assert found.certified.lower <= 0.25 * 0.75 + 0.75 * 0.5 <= found.certified.upper
    assert found.certified.gap <= 1e-6


def test_a_population_is_a_statement_beside(tmp_path: Path) -> None:
    data = make_dataset(np.array([[0.9, 0.9], [0.1, 0.1], [0.2, 0.3]]), None)
    asked = spec(tmp_path, *UNIT, "(assert (>= Y_0 0.0))")
    found = certify.probability(line(tmp_path), asked, population=data, gap=0.1)
    assert found.population is not None and (found.population.hits, found.population.count) == (1, 3)
    assert found.as_dict()["population"]["kind"] == "statistical"


def test_clopper_and_pearson_at_both_ends() -> None:
    assert clopper_pearson(0, 100, 0.95).upper == pytest.approx(1.0 - 0.025**0.01)
    assert (clopper_pearson(0, 10).lower, clopper_pearson(10, 10).upper) == (0.0, 1.0)


BAD = [
    ({"kind": "other"}, "must be product or mixture"),
    ({"kind": "product", "marginals": [{"law": "uniform", "lower": 0, "upper": 1}]}, "1 marginals for 2 inputs"),
    ({"kind": "product", "marginals": {"law": "cauchy"}}, "there is no law 'cauchy'"),
    ({"kind": "product", "marginals": {"law": "uniform", "lower": 1, "upper": 0}}, "lower must be below upper"),
    ({"kind": "product", "marginals": {"law": "normal", "mean": 0, "sd": 0}}, "sd must be above 0"),
    ({"kind": "product", "marginals": {"law": "normal", "mean": "x", "sd": 1}}, "must be a finite number"),
    ({"kind": "product", "marginals": {"law": "beta", "a": 0, "b": 1}}, "a and b must be above 0"),
    ({"kind": "product", "marginals": {"law": "discrete", "values": [1, 1], "weights": [1, 1]}}, "no value twice"),
    ({"kind": "product", "marginals": {"law": "uniform", "lower": 0, "uper": 1}}, "uniform has no uper"),
    ({"kind": "mixture", "components": [{"weight": 0, "marginals": {"law": "point", "value": 1}}]}, "not above 0"),
    ([], "a law is an object"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_what_is_no_law_is_told(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_law(law(tmp_path, content), 2)


def test_several_regions_need_a_law_of_their_own(tmp_path: Path) -> None:
    union = "(assert (or (and (<= X_0 0.5)) (and (>= X_0 0.75))))"
    with pytest.raises(CertifyError, match="2 different input regions"):
        certify.probability(line(tmp_path), spec(tmp_path, *UNIT, union, "(assert (>= Y_0 0.0))"))
