"""Disagreement of two models: what is proven agrees with grids, and the ONNX monitor with the two models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx_files import run
from small_models import dense_file, random_layers, run_layers

from certify.bounds.interval import Interval
from certify.dataset import make_dataset
from certify.errors import InputError
from certify.quantities.coactivation import Together
from certify.quantities.difference import Pair
from certify.quantities.monitor import monitor

EPS, TAU = 0.04, 0.5


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[Path, Path, list, list]:
    folder = tmp_path_factory.mktemp("monitor")
    f = random_layers(31, (2, 8, 6, 3))
    rng = np.random.default_rng(1)
    g = [((w + 0.15 * rng.normal(size=w.shape)).astype(np.float32), b) for w, b in f]
    return dense_file(folder / "f.onnx", f), dense_file(folder / "g.onnx", g), f, g


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(2).uniform(-2, 2, size=(24, 2)).astype(np.float32).astype(np.float64)


def around(x: np.ndarray) -> np.ndarray:
    axis = np.linspace(-EPS, EPS, 25)
    return x + np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("rule", ["tau", "argmax"])
def test_what_is_proven_is_so_on_the_grid(models, points, tmp_path: Path, rule) -> None:
    f_path, g_path, f, g = models
    if rule == "argmax":  # two classes swapped, so that there is something to disagree about
        g = [*g[:-1], (g[-1][0][[1, 0, 2]], g[-1][1][[1, 0, 2]])]
        g_path = dense_file(tmp_path / "swapped.onnx", g)
    found = monitor(f_path, g_path, make_dataset(points, None), tau=TAU, rule=rule, eps=EPS)
    assert found.share("never") > 0 or rule == "argmax"
    assert found.share("always") > 0
    assert found.trusted_share > 0
    for each, x in zip(found.regions, points, strict=True):
        ours, theirs = run_layers(f, around(x)), run_layers(g, around(x))
        apart = abs(ours - theirs).max(axis=1)
        accepted = apart <= TAU if rule == "tau" else ours.argmax(axis=1) == theirs.argmax(axis=1)
        assert apart.max() <= each.difference.upper
        assert each.difference.lower >= 0.8 * apart.max()
        if each.flag == "never":
            assert accepted.all()
        if each.flag == "always":
            assert not accepted.any()
        if each.trusted:
            assert (ours[accepted].argmax(axis=1) == each.label).all()
            assert (theirs.argmax(axis=1) == each.label).all()
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_difference_bounded_too_low_is_caught(models, points, monkeypatch) -> None:
    honest = Pair.difference
    monkeypatch.setattr(Pair, "difference", lambda self, box: Interval(*(0.5 * side for side in honest(self, box))))
    found = monitor(models[0], models[1], make_dataset(points, None), tau=TAU, eps=EPS)
    apart = [abs(run_layers(models[2], around(x)) - run_layers(models[3], around(x))).max() for x in points]
    assert any(each.flag == "never" and far > TAU for each, far in zip(found.regions, apart, strict=True))
    assert any(each.difference.upper < far for each, far in zip(found.regions, apart, strict=True))


def test_trust_needs_twice_tau(models, points) -> None:
    f_path, g_path, _, _ = models
    shares = [
        monitor(f_path, g_path, make_dataset(points, None), tau=tau, eps=0.0).trusted_share for tau in (0.0, 0.5, 50.0)
    ]
    assert shares[0] == 1.0 and shares[0] > shares[1] > shares[2] == 0.0


def test_neurons_that_fire_together(models, points) -> None:
    f_path, g_path, f, _ = models
    pairs = [Together("h0", 0, 0), Together("h0", 1, 2), Together("pre0", 3, 4)]
    found = monitor(f_path, g_path, make_dataset(points, None), tau=TAU, eps=EPS, together=pairs, timeout=2.0)
    words = np.array([each.together for each in found.regions])
    assert (words[:, 0] == "proven").all(), "a neuron fires with itself"
    assert {"proven", "refuted"} <= set(words[:, 1]) | set(words[:, 2])
    assert (words == "open").sum() == 0
    for place, (first, second) in ((1, (1, 2)), (2, (3, 4))):
        for word, x in zip(words[:, place], points, strict=True):
            pre = around(x) @ f[0][0].astype(np.float64).T + f[0][1]
            alike = ((pre[:, first] > 0) == (pre[:, second] > 0)).all()
            assert alike or word == "refuted"
    with pytest.raises(InputError, match="8 elements"):
        monitor(f_path, g_path, make_dataset(points, None), tau=1.0, together=[Together("h0", 0, 8)])


@pytest.mark.parametrize("rule", ["tau", "argmax"])
def test_the_graph_is_the_monitor(models, points, tmp_path: Path, rule) -> None:
    f_path, g_path, f, g = models
    pairs, out = [Together("h0", 1, 2)], tmp_path / "monitor.onnx"
    monitor(f_path, g_path, make_dataset(points[:2], None), tau=TAU, rule=rule, together=pairs, out=out, timeout=0.0)
    x = np.random.default_rng(7).uniform(-2, 2, size=(200, 2)).astype(np.float32).astype(np.float64)
    found, ours, theirs = run(out, x), run_layers(f, x), run_layers(g, x)
    np.testing.assert_allclose(found[:, :3], ours, atol=1e-4)
    pre = x @ f[0][0].astype(np.float64).T + f[0][1]
    accepted = abs(ours - theirs).max(axis=1) <= TAU if rule == "tau" else ours.argmax(axis=1) == theirs.argmax(axis=1)
    accepted &= (pre[:, 1] > 0) == (pre[:, 2] > 0)
    assert (found[:, 3] == accepted).all()
    assert 0 < accepted.sum() < len(x)


def test_a_single_score_has_nobody_to_lead(points, tmp_path: Path) -> None:
    path = dense_file(tmp_path / "one.onnx", random_layers(5, (2, 4, 1)))
    found = monitor(path, path, make_dataset(points[:2], None), tau=0.5, eps=0.1)
    assert found.share("never") == 1.0


def test_models_that_do_not_fit_each_other(models, points, tmp_path: Path) -> None:
    other = dense_file(tmp_path / "other.onnx", random_layers(1, (2, 4, 5)))
    with pytest.raises(InputError, match="the first model has 3 outputs, the second 5"):
        monitor(models[0], other, make_dataset(points, None), tau=1.0)
    with pytest.raises(InputError, match="finite"):
        monitor(models[0], models[1], make_dataset(points, None), tau=-1.0)
