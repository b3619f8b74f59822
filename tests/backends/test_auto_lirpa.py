"""auto_LiRPA's bounds beside our own: where they are the same, and where they only must not contradict each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from networks import KINDS, apply, conv_net, dense_net, finish, layer, points_in, random_box, start

from certify.backends.auto_lirpa import BACKEND, bounds
from certify.backends.auto_lirpa_network import MODES, BoundedNetwork, Question, sample
from certify.bounds import intermediate
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.bounds.methods import alpha_crown, crown, ibp
from certify.errors import InputError, NumericalError, UnsupportedOp
from certify.network.evaluate import evaluate
from certify.network.graph import Network
from certify.ops.arithmetic import add
from certify.ops.select import take

needs_library = pytest.mark.skipif(BACKEND.missing() is not None, reason=f"auto_LiRPA is missing: {BACKEND.missing()}")

# Float64 on both sides, so that what is the same bound differs by rounding only.
SAME = 1e-9
# Kinds whose relaxations are the triangle with the adaptive slope, and nothing else, in both.
TRIANGLES = ("dense", "deep", "leaky", "steep", "clipped", "convolution", "max pool", "residual")


def box_of(network: Network, seed: int) -> Interval:
    return random_box(network, np.random.default_rng(seed))


def native(method: ModuleType, network: Network, box: Interval) -> np.ndarray:
    """Our lower bounds of each output."""
    n = network.n_outputs
    return method.bound(network, box, Rows({network.output: np.eye(n)[None]}, np.zeros((1, n))), lambda: False)[1][0]


def lirpa(network: Network, box: Interval, method: str) -> np.ndarray:
    return bounds(network, (box.lower[0], box.upper[0]), method=method).lower


def one_or_the_other(a: Interval, b: Interval) -> Interval:
    """What auto_LiRPA does where we intersect: the interval if it leaves nothing open, CROWN's bound otherwise."""
    decided = (a.lower >= -SAME) | (a.upper <= SAME)
    return Interval(np.where(decided, a.lower, b.lower), np.where(decided, a.upper, b.upper))


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=SAME * (1.0 + abs(ours).max()))


@needs_library
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [*TRIANGLES, "sigmoid", "tanh", "average pool"])
def test_intervals_are_the_same(kind: str, seed: int) -> None:
    network = KINDS[kind](np.random.default_rng(seed))
    box = box_of(network, seed)
    assert_same(native(ibp, network, box), lirpa(network, box, "ibp"))


@needs_library
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", TRIANGLES)
def test_crown_is_the_same_but_for_intersections(kind: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = KINDS[kind](np.random.default_rng(seed))
    box = box_of(network, seed)
    monkeypatch.setattr(intermediate, "intersect", one_or_the_other)
    assert_same(native(crown, network, box), lirpa(network, box, "crown"))


@needs_library
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("make", [lambda rng: dense_net(rng, 3, 6, 1), conv_net], ids=["dense", "convolution"])
def test_crown_is_the_same_where_only_the_first_layer_bends(make: Callable[..., Network], seed: int) -> None:
    network = make(np.random.default_rng(seed))
    box = box_of(network, seed)
    assert_same(native(crown, network, box), lirpa(network, box, "crown"))


@needs_library
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "quotient"])
def test_every_method_contains_what_is_attained(kind: str, seed: int) -> None:
    network = KINDS[kind](np.random.default_rng(seed))
    box = box_of(network, seed)
    values = evaluate(network, points_in(box, np.random.default_rng(0), 500)[0])
    for method in ("ibp", "crown", "alpha-crown"):
        found = bounds(network, (box.lower[0], box.upper[0]), method=method)
        assert (found.sure <= values.min(axis=0) + SAME).all()
        assert (found.upper >= values.max(axis=0) - SAME).all()
        assert (found.slack >= 0.0).all()


@needs_library
@pytest.mark.parametrize("kind", [*TRIANGLES, "sigmoid", "tanh"])
def test_optimised_bounds_are_no_looser_and_near_ours(kind: str) -> None:
    network = KINDS[kind](np.random.default_rng(4))
    box = box_of(network, 4)
    plain, optimised = lirpa(network, box, "crown"), lirpa(network, box, "alpha-crown")
    assert (optimised >= plain - 1e-7 * (1.0 + abs(plain))).all()
    ours = native(alpha_crown, network, box)
    width = (bounds(network, (box.lower[0], box.upper[0])).upper - plain).max()
    assert (abs(optimised - ours) <= 0.2 * width).all()


@needs_library
@pytest.mark.parametrize("method", ["crown", "alpha-crown"])
def test_every_mode_gives_the_same_bounds(method: str) -> None:
    network = conv_net(np.random.default_rng(3))
    box = box_of(network, 3)
    lower, upper, rows = box.lower[0], box.upper[0], np.eye(network.n_outputs)
    found = []
    for mode in MODES:
        bounded = BoundedNetwork(network, np.empty(0, dtype=int), sample(lower, upper))
        assert bounded.modes == MODES
        bounded.modes = (mode,)
        bounded.translate()
        found.append(bounded.bound(Question(lower, upper, rows, method, bounded.slack(lower, upper, rows, method))))
    assert_same(found[0].lower, found[1].lower)
    assert_same(found[0].lower, found[2].lower)


@needs_library
def test_a_value_that_a_rectifier_and_another_branch_read() -> None:
    """auto_LiRPA 0.3 overwrites the bounds of x here; its CROWN bounds then exclude what is attained."""
    for seed in range(4):
        build, x = start(3)
        bent = apply(build, "Tanh", apply(build, "Relu", x))
        y = add(build, bent, apply(build, "Relu", take(build, x, 0, np.array([2, 1, 0]))))
        network = finish(build, layer(build, np.random.default_rng(seed), y, 3), 3)
        box = box_of(network, seed)
        values = evaluate(network, points_in(box, np.random.default_rng(0), 500)[0])
        found = bounds(network, (box.lower[0], box.upper[0]))
        assert (found.lower <= values.min(axis=0) + SAME).all()
        assert (found.upper >= values.max(axis=0) - SAME).all()


@needs_library
def test_nothing_is_concluded_beyond_the_tables_of_s_shaped_functions() -> None:
    network = dense_net(np.random.default_rng(0), 2, 3, 1, "Sigmoid")
    with pytest.raises(NumericalError, match="tables"):
        bounds(network, (np.full(2, -5000.0), np.full(2, 5000.0)))
    assert np.isfinite(bounds(network, (np.full(2, -5000.0), np.full(2, 5000.0)), method="ibp").lower).all()


@needs_library
def test_the_library_leaves_no_trace(capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    import torch

    before = torch.get_default_dtype(), torch.get_num_threads()
    network = dense_net(np.random.default_rng(0), 3, 5, 2)
    lirpa(network, box_of(network, 0), "alpha-crown")
    assert (torch.get_default_dtype(), torch.get_num_threads()) == before
    assert capsys.readouterr() == ("", "")
    assert [str(w.message) for w in recwarn] == []
    assert "numpy.lib.arraysetops" not in sys.modules


@needs_library
def test_unusable_questions() -> None:
    network = dense_net(np.random.default_rng(0), 2, 3, 1)
    with pytest.raises(InputError, match="no bound method"):
        bounds(network, (np.zeros(2), np.ones(2)), method="magic")
    with pytest.raises(UnsupportedOp, match="Reciprocal"):
        bounds(KINDS["quotient"](np.random.default_rng(0)), (np.zeros(2), np.ones(2)))


def test_listing_backends_does_not_import_torch() -> None:
    program = (
        "import sys\n"
        "from certify.backends.base import NAMES, find_backend\n"
        "print([find_backend(name).missing() for name in NAMES])\n"
        "assert not {'torch', 'auto_LiRPA'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certify.backends.auto_lirpa.find_spec", lambda name: None)
    expected = "pip install --no-deps auto-lirpa==0.3 && pip install appdirs pyyaml tqdm packaging"
    assert BACKEND.missing() == expected
    assert not BACKEND.complete
