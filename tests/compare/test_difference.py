"""`certify.difference` against dense grids on tiny pairs; regions, limits, agreement and the query it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pairs import box_spec, grid, largest_apart, layers, nudged, pruned, write

import certify
from certify.compare.difference import Difference, Plan
from certify.compare.difference_agreement import differs
from certify.compare.difference_query import Two, lead
from certify.dataset import make_dataset
from certify.errors import InputError
from certify.network.read_onnx import load_model
from certify.ops import relu_difference

BOX = np.array([-0.5, -0.25]), np.array([0.5, 0.75])
PLAIN = Plan(top1=False, seconds=20.0)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return box_spec(tmp_path / "box.vnnlib", *BOX, outputs=2)


def violated(found: Difference, points: int = 60) -> bool:
    """Whether a dense grid of the first region knows a larger difference than was proven."""
    x = grid(found.lower[0], found.upper[0], points)
    apart = largest_apart(found.before.network, found.after.network, x)
    return bool((apart > found.regions[0].proven + 1e-12).any())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["nudged", "pruned", "student"])
def test_a_dense_grid_lies_within_the_bounds(tmp_path: Path, spec: Path, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = layers(rng, 2, 8, 8, 2)
    other = {"nudged": nudged(rng, net, 0.01), "pruned": pruned(net, 0.3), "student": layers(rng, 2, 4, 2)}[kind]
    found = certify.difference(
        write(tmp_path / "f.onnx", net), write(tmp_path / "g.onnx", other), region=spec, plan=PLAIN
    )
    assert found.paired == (kind != "student")
    assert not violated(found)
    (region,) = found.regions
    assert (region.proven <= 1.1 * region.reached + 1e-9).all()
    assert np.allclose(region.reached, region.observed, rtol=1e-3, atol=1e-5)
    inside = (region.points >= found.lower[0]) & (region.points <= found.upper[0])
    assert inside.all()


def test_an_unsound_rule_is_caught(tmp_path: Path, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the grids are for: a rectifier said to pass on a quarter of a difference makes proofs that they refute."""
    rng = np.random.default_rng(0)
    net = layers(rng, 2, 8, 8, 2)
    other = nudged(rng, net[:1], 0.3) + net[1:]
    files = write(tmp_path / "f.onnx", net), write(tmp_path / "g.onnx", other)
    right = relu_difference.DifferencePlanes.planes

    def wrong(self: relu_difference.DifferencePlanes, parameters: tuple[np.ndarray, ...]) -> object:
        planes = right(self, parameters)
        lower, upper = (tuple(s / 4 for s in side) for side in (planes.lower_slopes, planes.upper_slopes))
        return replace(planes, lower_slopes=lower, upper_slopes=upper, lower_bias=None, upper_bias=None)

    plan = replace(PLAIN, seconds=0.0)
    assert not violated(certify.difference(*files, region=spec, plan=plan))
    monkeypatch.setattr(relu_difference.DifferencePlanes, "planes", wrong)
    assert violated(certify.difference(*files, region=spec, plan=plan))


def test_a_model_and_itself(tmp_path: Path, spec: Path) -> None:
    file = write(tmp_path / "f.onnx", layers(np.random.default_rng(1), 2, 8, 8, 2))
    found = certify.difference(file, file, region=spec, plan=replace(PLAIN, limit=0.0))
    assert found.proven == found.reached == found.observed == 0.0
    assert found.status == "proved"


def test_the_limit_is_proved_exceeded_or_open(tmp_path: Path, spec: Path) -> None:
    rng = np.random.default_rng(2)
    net = layers(rng, 2, 8, 8, 2)
    files = write(tmp_path / "f.onnx", net), write(tmp_path / "g.onnx", pruned(net, 0.4))
    loose = certify.difference(*files, region=spec, plan=PLAIN)

    def status(limit: float, seconds: float = 20.0) -> tuple[str | None, int]:
        found = certify.difference(*files, region=spec, plan=replace(PLAIN, limit=limit, seconds=seconds))
        return found.status, found.exit_code

    assert (loose.status, loose.exit_code) == (None, 0)
    assert status(1.01 * loose.reached) == ("proved", 0)
    assert status(0.9 * loose.observed) == ("exceeded", 1)
    assert status(1.01 * loose.reached, 0.0) == ("open", 3)


def test_what_is_proven_early_holds(tmp_path: Path, spec: Path) -> None:
    """Anytime: without time for any search there is the bound of the whole region."""
    rng = np.random.default_rng(3)
    net = layers(rng, 2, 16, 16, 2)
    files = write(tmp_path / "f.onnx", net), write(tmp_path / "g.onnx", nudged(rng, net, 0.1))
    proven = []
    for plan in (replace(PLAIN, seconds=0.0), replace(PLAIN, gap=0.5), PLAIN):
        found = certify.difference(*files, region=spec, plan=plan)
        assert not violated(found)
        proven.append(found.proven)
    assert np.inf > proven[0] > proven[1] > proven[2]


def test_balls_of_many_inputs(tmp_path: Path) -> None:
    """Too many inputs to halve: whole boxes, batched, optimised slopes."""
    rng = np.random.default_rng(4)
    net = layers(rng, 24, 12, 8, 3)
    files = write(tmp_path / "f.onnx", net), write(tmp_path / "g.onnx", nudged(rng, net, 0.01))
    data = make_dataset(rng.uniform(size=(5, 24)), None)
    found = certify.difference(*files, data=data, eps=0.05, clip=(0.0, 1.0), plan=Plan(gap=0.3, seconds=20.0), count=3)
    assert [region.name for region in found.regions] == ["sample 0", "sample 1", "sample 2"]
    assert (found.lower >= 0.0).all() and (found.upper <= 1.0).all()
    for n, region in enumerate(found.regions):
        x = rng.uniform(found.lower[n], found.upper[n], size=(3000, 24))
        assert (largest_apart(found.before.network, found.after.network, x) <= region.proven).all()
        assert (region.proven < 4.0 * region.reached).all()


def test_the_query_is_what_check_says_too(tmp_path: Path, spec: Path) -> None:
    rng = np.random.default_rng(5)
    net = layers(rng, 2, 6, 6, 2)
    files = write(tmp_path / "f.onnx", net), write(tmp_path / "g.onnx", pruned(net, 0.3))
    found = certify.difference(*files, region=spec, plan=PLAIN)
    two = Two(*files)
    for distance, word in ((1.05 * found.proven, "unsat"), (0.95 * found.observed, "sat")):
        file = two.exceeds(found.lower, found.upper, distance).save(tmp_path / "query.vnnlib")
        verdict = certify.check({"f": files[0], "g": files[1]}, file, timeout=30.0)
        assert verdict.status.value == word
    assert "(isomorphic-to f)" in file.read_text() or "declare-network g" in file.read_text()


def linear(slope: float, shift: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores (x_0, slope x_1 + shift) behind a rectifier that is always on."""
    first = np.eye(2, dtype=np.float32), np.full(2, 10.0, dtype=np.float32)
    second = np.diag([1.0, slope]).astype(np.float32), np.array([-10.0, shift - 10.0 * slope], dtype=np.float32)
    return [first, second]


@pytest.mark.parametrize(
    ("after", "low", "status"),
    [
        (linear(1.0, 0.0), [0.5, 0.0], "proved"),  # f and g prefer class 0 everywhere
        (linear(1.0, 2.0), [0.5, 0.0], "refuted"),  # g prefers class 1
        (linear(1.0, 0.0), [0.0, 0.0], "open"),  # ties, which no claim is made of
    ],
)
def test_agreement_on_the_top_class(tmp_path: Path, after: list, low: list[float], status: str) -> None:
    files = write(tmp_path / "f.onnx", linear(1.0, 0.0)), write(tmp_path / "g.onnx", after)
    box = box_spec(tmp_path / "box.vnnlib", np.array(low), np.array([1.0, 0.25]), 2)
    (region,) = certify.difference(*files, region=box, plan=Plan(seconds=5.0)).regions
    assert region.top1 is not None
    assert region.top1.status == status
    assert (region.top1.witness is None) == (status != "refuted")


def test_agreement_where_f_is_sure(tmp_path: Path) -> None:
    """The classes cross in the region, but not where f's softmax is at least .9 (a lead of 2.2)."""
    files = write(tmp_path / "f.onnx", linear(1.0, 0.0)), write(tmp_path / "g.onnx", linear(1.0, 1.0))
    box = box_spec(tmp_path / "box.vnnlib", np.array([-4.0, 0.0]), np.array([4.0, 0.25]), 2)
    for delta, status in ((0.9, "proved"), (0.6, "refuted")):
        plan = Plan(seconds=120.0, delta=delta)
        (region,) = certify.difference(*files, region=box, plan=plan).regions
        assert region.top1 is not None and region.confident is not None
        assert (region.top1.status, region.confident.status) == ("refuted", status)


def test_who_differs() -> None:
    assert differs(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert not differs(np.array([1.0, 1.0]), np.array([0.0, 1.0]))  # f ties
    assert not differs(np.array([1.0, 0.0]), np.array([1.0, 1.0]))  # g ties
    assert not differs(np.array([1.0, 0.0]), np.array([0.0, 1.0]), delta=0.9)
    assert np.isclose(1.0 / (1.0 + np.exp(-lead(0.9))), 0.9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either"),
        ({"data": make_dataset(np.zeros((2, 2)), None)}, "radius"),
        ({"data": make_dataset(np.zeros((2, 2)), None), "eps": 0.1, "index": [2]}, "no sample 2"),
        ({"data": make_dataset(np.zeros((2, 2)), None), "eps": 0.1, "count": 0}, "no sample is left"),
        ({"data": make_dataset(np.zeros((2, 2)), None), "eps": 0.1, "plan": Plan(delta=1.0)}, "between 0 and 1"),
        ({"data": make_dataset(np.zeros((2, 3)), None), "eps": 0.1}, "takes 2"),
    ],
)
def test_unusable_regions(tmp_path: Path, options: dict, message: str) -> None:
    file = write(tmp_path / "f.onnx", layers(np.random.default_rng(6), 2, 3, 2))
    with pytest.raises(InputError, match=message):
        certify.difference(file, file, **options)


def test_a_spec_of_two_networks_gives_its_shared_box(tmp_path: Path) -> None:
    from certify.compare.difference_regions import regions_of_spec

    file = write(tmp_path / "f.onnx", layers(np.random.default_rng(7), 2, 3, 2))
    network, text = load_model(file).network, Two(file, file).exceeds(*(end[None] for end in BOX), 0.5).text
    (tmp_path / "two.vnnlib").write_text(text)
    found = regions_of_spec(tmp_path / "two.vnnlib", network)
    assert (found.lower == BOX[0]).all() and (found.upper == BOX[1]).all()
    crossed = text.replace("(== X_f[0,1] X_g[0,1])", "(<= X_f[0,1] X_g[0,1])")
    assert crossed != text
    (tmp_path / "two.vnnlib").write_text(crossed.rstrip() + "\n(assert (<= X_g[0,1] 2.0))\n")
    with pytest.raises(InputError, match="different inputs"):
        regions_of_spec(tmp_path / "two.vnnlib", network)
