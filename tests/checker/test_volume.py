"""Bounds of probabilities: volumes against exact ones, accepted claims against a grid, wrong ones refused."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import factorial, prod
from pathlib import Path

import numpy as np
import onnx
import pytest
from certificates import Base, Contents, dense_model, outputs, read, sha256, spec_text

from certify.checker import volume
from certify.checker.check import check
from certify.checker.outcome import Bounded, Rejected
from certify.checker.specification import Case
from certify.checker.volume import Volume, below
from certify.quantities.probability import probability

LOW, HIGH = np.array([-1.0, -0.75]), np.array([0.5, 1.0])
CONDITIONS = {
    "one": "(<= Y_0 {0})",
    "and": "(and (<= Y_0 {0}) (>= Y_1 {1}))",
    "or": "(or (<= Y_0 {0}) (and (<= Y_1 {1}) (>= (+ X_0 Y_1) (* 2 X_1))))",
}


def exact_volume(slopes: list[Fraction], height: Fraction) -> Fraction:
    """Of { t in the unit cube : slopes . t <= height }, nothing rounded."""
    n = len(slopes)
    corners = product((0, 1), repeat=n)
    terms = (
        (-1) ** sum(v) * max(height - sum((s for s, one in zip(slopes, v, strict=True) if one), Fraction(0)), 0) ** n
        for v in corners
    )
    return Fraction(sum(terms), factorial(n) * prod(slopes))


@pytest.mark.parametrize("n", range(1, 6))
def test_volumes_are_exact_from_above(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(30):
        slopes = [Fraction(s) for s in (rng.uniform(size=n) ** rng.integers(1, 12)).tolist()]
        height = Fraction(rng.uniform(-0.1, 1.1)) * sum(slopes)
        exact = 0 if height < 0 else 1 if height >= sum(slopes) else exact_volume(slopes, height)
        assert exact <= below(np.array(slopes, dtype=object), height) <= exact + Fraction(1, 10**6)


def test_known_volumes() -> None:
    at = lambda slopes, height: below(np.array([Fraction(s) for s in slopes], dtype=object), Fraction(height))  # noqa: E731
    assert at([1, 1], 1) == Fraction(1, 2)
    assert 0 <= at([1, 1, 1], 1) - Fraction(1, 6) <= Fraction(1, 2**59)
    assert (at([], 0), at([], -1), at([0, 0], 0), at([0], Fraction(-1, 10**9))) == (1, 0, 1, 0)
    assert at([1, 0], Fraction(1, 4)) == Fraction(1, 4)
    assert 0 <= at([1, Fraction(1, 10**30)], Fraction(1, 4)) - Fraction(1, 4) <= Fraction(1, 2**59)


def test_many_slopes_are_rounded_to_none_from_above() -> None:
    slopes = [Fraction(n, 11) for n in range(1, 11)]
    for height in (Fraction(1), Fraction(2), Fraction(4)):
        assert exact_volume(slopes, height) < below(np.array(slopes, dtype=object), height) <= 1


def test_fixed_inputs_count_at_their_worst() -> None:
    """x_1 is 0.1, of which a box knows two neighbours in float64: the atom decides between them."""
    case = Case(np.zeros(2), np.ones(2), 0, ((Fraction(0), Fraction(2)), (Fraction("0.1"), Fraction("0.1"))))
    low, high = np.array([0.0, np.nextafter(0.1, 0.0)]), np.array([1.0, 0.1])
    found = Volume(case)
    found.add(low, high, 0, np.array([-1.0]), np.array([[0.0, 1.0]]), -low[1:])
    assert found.total / found.whole == Fraction(1, 2)


def problem(seed: int, kind: str) -> tuple[onnx.ModelProto, Base]:
    model = dense_model(np.random.default_rng(seed), [2, 6, 6, 2])
    y = outputs(model, np.random.default_rng(0).uniform(LOW, HIGH, size=(4000, 2)))
    levels = np.quantile(y, 0.4, axis=0).tolist()
    return model, Base(
        f"p{seed}{kind}", model.SerializeToString(), spec_text([(LOW, HIGH)], 2, CONDITIONS[kind].format(*levels))
    )


def grid_truth(model: onnx.ModelProto, base: Base, kind: str, size: int = 400) -> tuple[float, float]:
    """The unsafe share of a grid's cells: of those that are unsafe with all neighbours, and with any."""
    axes = [(np.arange(size) + 0.5) / size * (high - low) + low for low, high in zip(LOW, HIGH, strict=True)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    y = outputs(model, x)
    levels = np.quantile(outputs(model, np.random.default_rng(0).uniform(LOW, HIGH, size=(4000, 2))), 0.4, axis=0)
    one, other = y[:, 0] <= levels[0], y[:, 1] <= levels[1]
    third = x[:, 0] + y[:, 1] >= 2 * x[:, 1]
    hit = {"one": one, "and": one & (y[:, 1] >= levels[1]), "or": one | (other & third)}[kind].reshape(size, size)
    near = [np.roll(np.pad(hit, 1, mode="edge"), (i, j), (0, 1))[1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return float(np.all(near, axis=0).mean()), float(np.any(near, axis=0).mean())


def certified(base: Base, folder: Path) -> tuple[tuple[Path, Path], Contents]:
    files = base.files(folder)
    probability(*files, gap=0.02, samples=0, certificate=folder / "p.cert")
    return files, read(folder / "p.cert")


def claims(files: tuple[Path, Path], contents: Contents, low: float, high: float) -> bool:
    """Whether the checker goes along with this claim."""
    contents.header |= {"lower": low, "upper": high}
    path = files[0].with_name("claim.cert")
    contents.write(path)
    try:
        check(*files, path)
    except Bounded:
        return True
    except Rejected as error:
        assert "the claim" in str(error)
    return False


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("seed", [0, 2])
def test_the_truth_on_a_grid_lies_within_what_is_accepted(seed: int, kind: str, tmp_path: Path) -> None:
    model, base = problem(seed, kind)
    files, contents = certified(base, tmp_path)
    low, high = contents.header["lower"], contents.header["upper"]
    truth = grid_truth(model, base, kind)
    assert 0.02 < truth[0] < truth[1] < 0.98
    assert low <= truth[1] and truth[0] <= high <= low + 0.021
    assert claims(files, contents, low, high)
    assert not claims(files, contents, 0.0, truth[0] - 1e-3), "the upper end is below the truth"
    assert not claims(files, contents, truth[1] + 1e-3, 1.0), "the lower end is above the truth"


def test_volumes_that_are_too_small_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the grid sees with a seeded fault: claims that are wrong are accepted."""
    model, base = problem(0, "one")
    files, contents = certified(base, tmp_path)
    truth = grid_truth(model, base, "one")
    monkeypatch.setattr(volume, "below", lambda slopes, height: below(slopes, height) / 2)
    assert claims(files, contents, 0.0, truth[0] - 1e-3) or claims(files, contents, truth[1] + 1e-3, 1.0)


def test_not_even_the_last_digit_is_given_away(tmp_path: Path) -> None:
    files, contents = certified(problem(0, "and")[1], tmp_path)
    unsafe, safe = volume_of(files, contents)
    high, low = float(unsafe), float(1 - safe)
    high = float(np.nextafter(high, 1.0)) if Fraction(high) < unsafe else high
    low = float(np.nextafter(low, 0.0)) if Fraction(low) > 1 - safe else low
    assert claims(files, contents, low, high)
    assert not claims(files, contents, low, float(np.nextafter(high, 0.0)))
    assert not claims(files, contents, float(np.nextafter(low, 1.0)), high)


def volume_of(files: tuple[Path, Path], contents: Contents) -> list[Fraction]:
    """What the checker adds up, of what is unsafe and of what is not."""
    found: list[Fraction] = []
    saved = volume.check_claim

    def spy(left: dict[int, Volume], header: dict[str, object]) -> str:
        found.extend(left[case].total / left[case].whole for case in (0, 1))
        return saved(left, header)

    from certify.checker import check as module

    contents.header |= {"lower": 0.0, "upper": 1.0}
    contents.write(files[0].with_name("spied.cert"))
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "check_claim", spy)
    with pytest.raises(Bounded):
        module.check(*files, files[0].with_name("spied.cert"))
    patch.undo()
    return found


def test_an_open_leaf_of_no_volume_is_no_proof_of_unsat(tmp_path: Path) -> None:
    """One point of the box is unsafe. That has probability 0, and a certificate of it; but it is not unsat."""
    model = dense_model(np.random.default_rng(0), [2, 1])
    slope = outputs(model, np.eye(2))[:, 0] - outputs(model, np.zeros((2, 2)))[:, 0]
    least = float(outputs(model, np.where(slope > 0.0, LOW, HIGH)[None])[0, 0])
    base = Base("corner", model.SerializeToString(), spec_text([(LOW, HIGH)], 1, f"(<= Y_0 {least!r})"))
    files = base.files(tmp_path)
    parts = [{"kind": "boxes", "cases": [case]} for case in (0, 1)]
    hashes = {"model": sha256(base.model), "spec": sha256(base.spec.encode())}
    about = {"format": "certify-certificate", "version": 2, "semantics": "real", "rectifiers": [], **hashes}
    uncut = {"cut_node": np.zeros(0, int), "cut_axis": np.zeros(0, int), "cut_point": np.zeros(0)}
    both = Contents(
        {**about, "verdict": "probability", "parts": parts},
        {f"{case}/{name}": array for case in (0, 1) for name, array in uncut.items()},
    )
    assert claims(files, both, 0.0, 1e-9)
    alone = Contents(
        {**about, "verdict": "unsat", "parts": parts[:1]}, {f"0/{name}": array for name, array in uncut.items()}
    )
    alone.write(tmp_path / "unsat.cert")
    with pytest.raises(Rejected, match="is not refuted"):
        check(*files, tmp_path / "unsat.cert")
