"""Worst triggers and absence: planted trojans, brute force on grids, seeded faults, time limits, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, save
from typer.testing import Result

import certify
from certify.dataset import Dataset, make_dataset
from certify.errors import CertifyError
from certify.quantities import patch as patch_module
from certify.quantities.absence import EXISTS, PROVED
from certify.quantities.classifier import Classifier
from certify.quantities.enclosure import Enclosure
from certify.quantities.patch import Patch, places
from certify.quantities.site import TriggerReport


def classifier(tmp_path: Path, seed: int = 0, hidden: int = 12, planted: bool = False) -> Path:
    """A random classifier of 4x4 images into 3 classes; with a trojan: bright at 0,0 and dark at 0,1 means class 2."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(hidden, 16)) / 4.0
    second = rng.normal(size=(3, hidden)) / np.sqrt(hidden)
    bias = rng.normal(size=hidden) * 0.1
    if planted:
        first[0], bias[0], second[:, 0] = 0.0, -3.0, [0.0, 0.0, 60.0]
        first[0, 0], first[0, 1] = 4.0, -4.0
    weights = {"w": first, "b": bias, "v": second, "c": rng.normal(size=3) * 0.1}
    nodes = [
        node("Reshape", "x shape", "flat"), node("Gemm", "flat w b", "h", transB=1), node("Relu", "h", "r"),
        node("Gemm", "r v c", "y", transB=1),
    ]  # fmt: skip
    tensors = {name: array.astype(np.float32) for name, array in weights.items()} | {"shape": np.array([1, 16])}
    return save(tmp_path / f"net{seed}{planted}.onnx", model(nodes, {"x": [1, 1, 4, 4]}, ["y"], tensors))


def images(count: int = 12, seed: int = 0) -> Dataset:
    """Random images, with labels by brightness that have nothing to do with the model."""
    rng = np.random.default_rng(seed)
    return make_dataset(rng.random((count, 1, 4, 4)), np.arange(count) % 3)


def counted(path: Path, report: TriggerReport, data: Dataset, triggers: np.ndarray) -> np.ndarray:
    """Of each trigger [triggers, d], the share of the site's samples that onnxruntime sends to the target."""
    (site,) = report.sites
    game = Classifier(path)
    place = places((1, 4, 4), report.plan.patch, site.position)
    patch = Patch(game, game.rows(data)[site.numbers], place)
    every = np.arange(len(site.numbers))
    return np.array([(patch.replayed(every, t.astype(np.float32)) == site.target).mean() for t in triggers])


@pytest.mark.parametrize("seed", range(3))
def test_the_worst_trigger_is_exact_and_no_trigger_exceeds_it(tmp_path: Path, seed: int) -> None:
    path, data = classifier(tmp_path, seed), images(seed=seed)
    found = certify.trigger(path, data, patch=(1, 2), position=(1, 1), target=seed, low=0.0, high=1.0)
    (site,) = found.sites
    assert site.worst.gap == 0.0 and not (data.labels[site.numbers] == seed).any()
    axis = np.linspace(0.0, 1.0, 15)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    shares = counted(path, found, data, grid)
    assert shares.max() <= site.worst.upper
    if site.trigger is not None:
        assert counted(path, found, data, site.trigger.reshape(1, -1))[0] == site.worst.lower


@pytest.mark.parametrize("seed", range(3))
def test_absence_agrees_with_brute_force(tmp_path: Path, seed: int) -> None:
    path, data = classifier(tmp_path, seed), images(seed=seed)
    (site,) = certify.trigger(path, data, patch=(1, 2), position=(2, 0), target=1, low=0.0, high=1.0).sites
    model_, axis = Classifier(path), np.linspace(0.0, 1.0, 9)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    patch = Patch(model_, model_.rows(data)[site.numbers], places((1, 4, 4), (1, 2), (2, 0)))
    for number, status in enumerate(site.status):
        hit = (patch.replayed(np.full(len(grid), number), grid) == 1).any()
        assert status in (PROVED, EXISTS) and not (hit and status == PROVED)
        if status == EXISTS:
            assert patch.replayed(np.array([number]), site.witnesses[number].reshape(1, -1))[0] == 1


def test_a_planted_trojan_is_found_at_its_place_only(tmp_path: Path) -> None:
    found = certify.trigger(classifier(tmp_path, planted=True), images(), patch=(1, 2), target=2, low=0.0, high=1.0)
    assert len(found.sites) == 12
    worst = found.worst_site(2)
    assert worst.position == (0, 0) and worst.worst.lower == 1.0
    assert worst.trigger is not None and worst.trigger[0, 0, 0] > 0.7 > 0.3 > worst.trigger[0, 0, 1]
    assert found.worst(2).upper == 1.0 and all(site.worst.gap == 0.0 for site in found.sites)


def test_a_bound_that_claims_too_much_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded fault: margins that are 0.3 too high prove what is not so; replay of triggers on a grid sees it."""
    plain = Patch.margins

    def generous(self: Patch, *arguments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bounds, slopes = plain(self, *arguments)
        return bounds + 0.3, slopes

    monkeypatch.setattr(Patch, "margins", generous)
    monkeypatch.setattr("certify.quantities.trigger.decide_absence", _undecided)
    monkeypatch.setattr("certify.quantities.worst_trigger.WorstTrigger.climb", lambda *arguments: None)
    axis = np.linspace(0.0, 1.0, 12)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    wrong = 0
    for seed in range(4):
        path, data = classifier(tmp_path, seed), images(seed=seed)
        for target in range(3):
            found = certify.trigger(path, data, patch=(1, 2), position=(1, 1), target=target, low=0.0, high=1.0)
            wrong += counted(path, found, data, grid).max() > found.sites[0].worst.upper
    assert wrong


def _undecided(game: object, samples: np.ndarray, *rest: object) -> object:
    from certify.quantities.absence import OPEN, Absence

    return Absence(np.full(len(samples), OPEN, dtype=object))


def test_no_time_still_gives_a_valid_interval(tmp_path: Path) -> None:
    found = certify.trigger(classifier(tmp_path), images(), patch=(1, 1), target=0, timeout=0.0)
    assert all((site.worst.lower, site.worst.upper) == (0.0, 1.0) for site in found.sites)
    assert isinstance(found.worst(0), Enclosure)


def test_samples_of_the_target_class_count_only_if_asked(tmp_path: Path) -> None:
    path, data = classifier(tmp_path), images()
    without, with_ = (
        certify.trigger(path, data, patch=(1, 1), position=(0, 0), target=1, include_target=flag).sites[0]
        for flag in (False, True)
    )
    assert len(without.numbers) == 8 and len(with_.numbers) == 12


def test_without_room_for_folding_the_answer_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"patch": (1, 2), "position": (1, 1), "target": 0, "low": 0.0, "high": 1.0}
    path, data = classifier(tmp_path, 1, hidden=5), images()
    folded = certify.trigger(path, data, **arguments).sites[0]
    monkeypatch.setattr(patch_module, "fold_fixed_inputs", lambda *ignored: None)
    plain = certify.trigger(path, data, **arguments).sites[0]
    assert (folded.worst.lower, folded.worst.upper) == (plain.worst.lower, plain.worst.upper)
    assert folded.status.tolist() == plain.status.tolist()


def test_bounds_hold_for_every_sample_and_trigger_of_a_box(tmp_path: Path) -> None:
    path, data, rng = classifier(tmp_path, 2), images(), np.random.default_rng(0)
    model_ = Classifier(path)
    patch = Patch(model_, model_.rows(data), places((1, 4, 4), (2, 2), (1, 2)))
    sample = rng.integers(0, 12, 30)
    lower = rng.random((30, 4)) * 0.5
    upper = lower + rng.random((30, 4)) * 0.5
    rows = rng.normal(size=(2, 3))
    bounds, _ = patch.margins(sample, lower, upper, rows)
    for _ in range(40):
        t = (lower + rng.random((30, 4)) * (upper - lower)).astype(np.float32).astype(np.float64)
        inside = ((t >= lower) & (t <= upper)).all(axis=1)
        true = model_.scores(patch.stamped(sample, t)) @ rows.T
        assert (bounds[inside] <= true[inside] + 1e-6).all()


def save_data(tmp_path: Path, data: Dataset) -> str:
    file = tmp_path / "data.npz"
    np.savez(file, x=data.x, y=data.labels)
    return str(file)


@pytest.fixture
def certified() -> Callable[..., Result]:
    """The command line, in this process."""
    from typer.testing import CliRunner

    from certify.cli.main import app

    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_prints_draws_and_writes(tmp_path: Path, certified: Callable[..., Result]) -> None:
    pytest.importorskip("matplotlib")
    path, data, out = classifier(tmp_path, planted=True), save_data(tmp_path, images()), tmp_path / "found.json"
    picture = tmp_path / "found.png"
    said = certified("trigger", path, "--data", data, "--patch", "1x2", "--target", "2", "--range", 0, 1,
                     "--json", out, "--plot", picture)  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "[1.0000, 1.0000]" in said.output and "12 of 12" in said.output
    written = json.loads(out.read_text())
    assert len(written["sites"]) == 12 and written["sites"][0]["worst"]["upper"] == 1.0
    assert picture.read_bytes().startswith(b"\x89PNG")


BAD = [
    (["--patch", "2"], "--patch 2: expected 2 whole numbers"),
    (["--patch", "9x9"], "does not fit an image of 4x4"),
    (["--patch", "1x1", "--position", "4,0"], "does not fit at row 4"),
    (["--patch", "1x1", "--target", "7"], "there is no class 7"),
    (["--patch", "1x1", "--target", "x"], "expected a class number"),
    (["--patch", "1x1", "--range", "1", "0"], "cannot be from 1.0 to 0.0"),
    (["--patch", "1x1", "--image", "3x4x4"], "does not fit 16 inputs"),
]


@pytest.mark.parametrize(("options", "said"), BAD)
def test_bad_options_are_told(
    tmp_path: Path, certified: Callable[..., Result], options: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    result = certified("trigger", classifier(tmp_path), "--data", save_data(tmp_path, images()), *options)
    assert result.exit_code not in (0, 4) and said in result.output + capfd.readouterr().err


def test_a_data_set_of_the_target_alone_is_told(tmp_path: Path) -> None:
    data = make_dataset(images().x, np.ones(12, dtype=int))
    with pytest.raises(CertifyError, match="every sample is of class 1"):
        certify.trigger(classifier(tmp_path), data, patch=(1, 1), target=1)
