"""`certify.spec`: from expressions over model files to text, to a verdict; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, run, save

import certify
from certify import spec
from certify.errors import InputError, ModelError, ParseError
from certify.query.read import parse_query
from certify.verdict import Status
from certify.witness.satisfies import satisfies

GRID = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 33)] * 2), axis=-1).reshape(-1, 2)


def net(path: Path, change: float = 0.0) -> Path:
    """[1, 2] -> 4 rectifiers ("act") -> [1, 3]."""
    rng = np.random.default_rng(3)
    arrays = {"a": rng.normal(size=(2, 4)), "b": rng.normal(size=4), "c": rng.normal(size=(4, 3)) + change}
    nodes = [node("Gemm", "x a b", "pre"), node("Relu", "pre", "layer1/act"), node("MatMul", "layer1/act c", "y")]
    weights = {name: array.astype(np.float32) for name, array in arrays.items()}
    return save(path, model(nodes, {"x": ["batch", 2]}, ["y"], weights))


@pytest.fixture
def f(tmp_path: Path) -> spec.Network:
    return spec.network(net(tmp_path / "f.onnx"))


@pytest.fixture
def g(tmp_path: Path) -> spec.Network:
    return spec.network(net(tmp_path / "g.onnx", 0.125))


def box(network: spec.Network) -> spec.Condition:
    return (network.input >= -1) & (network.input <= 1)


def test_the_module_is_a_lazy_public_name() -> None:
    assert certify.spec is spec
    assert "certify.spec" in str(spec)


def test_shapes_and_names_come_from_the_file(f: spec.Network) -> None:
    assert (f.input.shape, f.output.shape, f.hidden("layer1/act").shape) == ((1, 2), (1, 3), (1, 4))
    assert list(f.inputs) == ["x"]
    assert list(f.outputs) == ["y"]
    assert f.hidden("pre") is f.hidden("pre")
    assert repr(f) == "<network f.onnx: x [1, 2], y [1, 3]>"


@pytest.mark.parametrize("offset", [-0.02, 0.02])
def test_require_and_violation_are_opposites(f: spec.Network, offset: float) -> None:
    """A sum of rectifiers against its maximum on a grid that has the corners."""
    top = float((run(f.path, GRID)[:, 0] - run(f.path, GRID)[:, 1]).max()) + offset
    y = f.output[0]
    required = spec.require(y[0] - y[1] < top, given=box(f))
    violated = spec.violation(spec.all_of(box(f)), y[0] - y[1] >= top)
    assert required.text == violated.text
    verdict = required.check(timeout=20)
    assert verdict.status is (Status.SAT if offset < 0 else Status.UNSAT)
    if verdict.witness is not None:
        assert satisfies(required.query, verdict.witness.values())


def test_the_saved_file_is_the_property(f: spec.Network, tmp_path: Path) -> None:
    prop = spec.require(f.output[0, 0] > f.output.without(0), given=box(f), comment="class 0\nwins")
    path = prop.save(tmp_path / "spec.vnnlib")
    assert path.read_text() == prop.text
    assert prop.text.startswith("; class 0\n; wins\n(vnnlib-version <2.0>)")
    assert prop.models == {"N": f.path}
    assert not parse_query(prop.text, strict=True).warnings
    assert certify.check(prop.models, path, timeout=20).status is prop.check(timeout=20).status


def test_hidden_values(f: spec.Network) -> None:
    h = f.hidden("layer1/act")
    never = spec.require((h >= -0.01) & (f.output[0, 0] <= 100), given=box(f))
    assert '(declare-hidden H float32 [1,4] "layer1/act")' in never.text
    assert never.check(timeout=20).status is Status.UNSAT
    assert spec.violation(box(f).all(), h.max() > 0.5).check(timeout=20).status is Status.SAT


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_two_networks(f: spec.Network, g: spec.Network, factor: float) -> None:
    limit = factor * float(abs(run(f.path, GRID) - run(g.path, GRID)).max())
    close = spec.require(abs(f.output - g.output) <= limit, given=[spec.equal_inputs(f, g), box(f)])
    assert close.models == {"f": f.path, "g": g.path}
    assert close.check(timeout=20).status is (Status.SAT if factor < 1 else Status.UNSAT)


def test_two_runs_of_one_file_are_declared_equal(f: spec.Network) -> None:
    twin = spec.network(f.path, name="again")
    prop = spec.require(abs(f.output - twin.output) <= 1e-6, given=[spec.equal_inputs(f, twin), box(f)])
    assert "(equal-to f)" in prop.text
    assert prop.models == {"f": f.path}
    assert prop.check(timeout=20).status is Status.UNSAT
    alone = spec.violation(box(twin).all(), twin.output[0, 0] > 1e3)
    assert list(alone.models) == ["again"]
    assert "equal-to" not in alone.text


def test_a_ball_has_the_elements_of_the_models_type(f: spec.Network) -> None:
    center = np.array([[0.1, 0.2]], dtype=np.float32)
    prop = spec.violation(spec.ball(f.input, center, 0.05, clip=(0, 0.2)), f.output[0, 0] > 0)
    bounds = prop.query.bounds[0]
    assert len(bounds.value) == 4
    assert (bounds.value == bounds.value.astype(np.float32)).all()
    low, high = bounds.value[~bounds.upper], bounds.value[bounds.upper]
    assert (abs(center[0].astype(float) - low) <= 0.05).all()
    assert high[1] == np.nextafter(np.float32(0.2), np.float32(0))  # float32's own 0.2 is above 0.2


def refused(make: Callable[[], object], match: str, kind: type[Exception] = InputError) -> None:
    with pytest.raises(kind, match=match) as caught:
        make()
    assert isinstance(caught.value, InputError)


def test_what_is_refused(f: spec.Network, g: spec.Network, tmp_path: Path) -> None:
    x, y, inside = f.input, f.output, box(f).all()
    refused(lambda: spec.violation(y[0, 0] > 1), "X\\[0,0\\] has no lower bound", ParseError)
    refused(lambda: spec.violation(inside, x[0, 0] >= 2), "above its upper bound", ParseError)
    refused(lambda: spec.violation(inside, y > 1), "not a single condition")
    refused(lambda: spec.violation([inside]), "not a single condition")  # type: ignore[arg-type]
    refused(lambda: spec.require(True, given=inside), "not True")  # type: ignore[arg-type]
    refused(lambda: f.hidden("nothing"), "no node computes", ModelError)
    refused(lambda: spec.network(tmp_path / "missing.onnx"), "no such file")
    refused(lambda: spec.ball(x, np.zeros(2), 0.1), r"center.reshape\(\(1, 2\)\)")
    refused(lambda: spec.ball(x, np.full((1, 2), np.nan), 0.1), "finite")
    refused(lambda: spec.ball(x, np.zeros((1, 2)), -0.1), "radius")
    refused(lambda: spec.ball(y, np.zeros((1, 3)), 0.1), "inputs of a network")
    refused(lambda: spec.ball(x + 1, np.zeros((1, 2)), 0.1), "inputs of a network")
    named = spec.network(f.path, name="not a name")
    refused(lambda: spec.violation(box(named).all()), "cannot be the name")
    same = [spec.network(f.path, name="a"), spec.network(g.path, name="a")]
    refused(lambda: spec.violation(spec.equal_inputs(*same), box(same[0]).all()), "two networks are called a")
    taken = [spec.network(f.path, name="X_f"), spec.network(g.path, name="f")]
    refused(lambda: spec.violation(spec.equal_inputs(*taken), box(taken[0]).all()), "is called X_f too")


def test_several_inputs_and_outputs_are_chosen_by_name(tmp_path: Path, f: spec.Network) -> None:
    nodes = [node("Add", "u v", "s"), node("Sub", "u v", "d")]
    two = spec.network(save(tmp_path / "two.onnx", model(nodes, {"u": [2], "v": [2]}, ["s", "d"])))
    refused(lambda: two.input, r"network.inputs\['u'\]")
    refused(lambda: two.output, r"network.outputs\['s'\]")
    refused(lambda: spec.equal_inputs(two, f), "different shapes")
    u, v = two.inputs.values()
    region = [abs(u) <= 1, abs(v) <= 1]
    holds = spec.require(abs(two.outputs["s"]) + abs(two.outputs["d"]) <= 2.01, given=region)
    assert holds.check(timeout=20).status is Status.UNSAT
    fails = spec.require(abs(two.outputs["s"]) + abs(two.outputs["d"]) <= 1.9, given=region)
    assert fails.check(timeout=20).status is Status.SAT
