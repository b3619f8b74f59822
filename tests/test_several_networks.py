"""Properties of several networks, hidden values and polynomials, from files to verdict, against brute force."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, run, save

from certify.api import check, load_problem
from certify.errors import InputError, ModelError, ParseError, ShapeMismatch
from certify.network.evaluate import evaluate
from certify.network.passes.join_networks import Wiring, join_networks
from certify.problem import Problem
from certify.query.normal_form import lower
from certify.query.read import parse_query
from certify.verdict import Status, Verdict
from certify.witness.format import write_witness
from certify.witness.satisfies import satisfies

HEAD = "(vnnlib-version <2.0>)\n"
ONE = "(declare-network f (declare-input X real [2]) (declare-output Y real [2]))\n"
BOX = "(assert (and (>= X[0] -1.0) (<= X[0] 1.0) (>= X[1] -1.0) (<= X[1] 1.0)))\n"
TWO = ONE + "(declare-network g {like} (declare-input U real [2]) (declare-output V real [2]))\n" + BOX
SHARED = "(assert (== X[0] U[0]))\n(assert (== U[1] X[1]))\n"
HIDDEN = (
    '(declare-network f (declare-input X real [2]) (declare-hidden H real [1,4] "act") (declare-output Y real [2]))\n'
)
GRID = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 65)] * 2), axis=-1).reshape(-1, 2)


def net(path: Path, seed: int, change: float = 0.0) -> Path:
    """[1, 2] -> 4 rectifiers ("act") -> [1, 2], the second matrix changed by a little."""
    rng = np.random.default_rng(seed)
    weights = {"a": rng.normal(size=(2, 4)), "b": rng.normal(size=4), "c": rng.normal(size=(4, 2))}
    weights["c"] = weights["c"] + change
    nodes = [node("Gemm", "x a b", "pre"), node("Relu", "pre", "act"), node("MatMul", "act c", "y")]
    arrays = {name: array.astype(np.float32) for name, array in weights.items()}
    return save(path, model(nodes, {"x": [1, 2]}, ["y"], arrays))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """f, and g, which is f with every weight of its second matrix larger by 0.125."""
    return {"f": net(tmp_path / "f.onnx", 0), "g": net(tmp_path / "g.onnx", 0, 0.125)}


def decide(files: Path | Mapping[str, Path], text: str, tmp_path: Path) -> tuple[Verdict, Problem]:
    """The verdict on a specification; a witness is checked once more, in declaration order."""
    spec = tmp_path / "spec.vnnlib"
    spec.write_text(HEAD + text)
    verdict = check(files, spec, timeout=20.0)
    problem = load_problem(files, spec)
    assert problem.query is not None
    assert verdict.status in (Status.SAT, Status.UNSAT)
    if verdict.witness is not None:
        assert satisfies(problem.query, verdict.witness.values())
        written = write_witness(verdict.witness, problem.query).splitlines()
        headers = [line.split()[0] for line in written if line[0].isalpha()]
        assert headers == [tensor.name for tensor in problem.query.tensors()]
        assert len(written) == sum(1 + tensor.size for tensor in problem.query.tensors())
    return verdict, problem


def largest_difference(files: Mapping[str, Path]) -> float:
    """max |f - g| on a grid of the box."""
    return float(abs(run(files["f"], GRID) - run(files["g"], GRID)).max())


def _apart(limit: float) -> str:
    sides = " ".join(f"(> (- Y[{i}] V[{i}]) {limit}) (> (- V[{i}] Y[{i}]) {limit})" for i in range(2))
    return f"(assert (or {sides}))\n"


@pytest.mark.parametrize("like", ["", "(isomorphic-to f)"])
@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_two_networks_with_a_shared_input(files: dict[str, Path], tmp_path: Path, like: str, factor: float) -> None:
    """The largest difference lies at a corner of the box, since it is a sum of rectifiers."""
    limit = factor * largest_difference(files)
    verdict, problem = decide(files, TWO.format(like=like) + SHARED + _apart(limit), tmp_path)
    assert problem.network.n_inputs == 2
    assert verdict.status is (Status.SAT if factor < 1.0 else Status.UNSAT)
    if verdict.witness is not None:
        values = verdict.witness.values()
        assert values["X"].tolist() == values["U"].tolist()
        for name, x, y in (("f", "X", "Y"), ("g", "U", "V")):
            assert run(files[name], values[x][None]).tolist() == [values[y].tolist()]


def test_a_network_is_equal_to_itself(files: dict[str, Path], tmp_path: Path) -> None:
    text = TWO.format(like="(equal-to f)") + SHARED + _apart(1e-9)
    for given in (files["f"], {"f": files["f"]}, {"f": files["f"], "g": files["f"]}):
        verdict, problem = decide(given, text, tmp_path)
        assert verdict.status is Status.UNSAT
        assert len(problem.network.nonlinear) == 1, "the two are computed once"
    with pytest.raises(InputError, match="equal to f, but"):
        decide(files, text, tmp_path)


def test_monotonicity_is_an_input_relation_and_bounds_follow_from_it(files: dict[str, Path], tmp_path: Path) -> None:
    """U[0] has its lower bound through X[0] alone. Monotone where no two neighbours on the grid say otherwise."""
    text = (
        TWO.format(like="(equal-to f)") + "(assert (<= X[0] U[0]))\n(assert (<= U[0] 1.0))\n(assert (== X[1] U[1]))\n"
    )
    y = run(files["f"], GRID).reshape(65, 65, 2)
    for output in range(2):
        step = np.diff(y[..., output], axis=1)
        for asked, broken in (
            ("(> (- V[{0}] 0.001) Y[{0}])", step > 1e-6),
            ("(< (+ V[{0}] 0.001) Y[{0}])", step < -1e-6),
        ):
            verdict, problem = decide(files["f"], text + f"(assert {asked.format(output)})\n", tmp_path)
            assert problem.network.n_inputs == 3
            assert verdict.status is (Status.SAT if broken.any() else Status.UNSAT)


def hidden_values(file: Path, points: np.ndarray) -> np.ndarray:
    """The rectifiers' values, [points, 4]."""
    import onnx

    proto = onnx.load(file)
    proto.graph.output.append(onnx.ValueInfoProto(name="act"))
    return run(proto, points)[:, 2:]


@pytest.mark.parametrize("factor", [0.98, 1.001])
def test_a_bound_on_a_hidden_value(files: dict[str, Path], tmp_path: Path, factor: float) -> None:
    """A rectifier is largest at a corner, which the grid has."""
    top = hidden_values(files["f"], GRID).max(axis=0)
    neuron = int(top.argmax())
    text = HIDDEN + BOX + f"(assert (>= H[0,{neuron}] {factor * top[neuron]:.9f}))\n"
    verdict, _ = decide(files["f"], text, tmp_path)
    assert verdict.status is (Status.SAT if factor < 1.0 else Status.UNSAT)
    if verdict.witness is not None:
        values = verdict.witness.values()
        assert values["H"].tolist() == hidden_values(files["f"], values["X"][None])[0].tolist()


def test_hidden_values_relate_to_outputs(files: dict[str, Path], tmp_path: Path) -> None:
    """Y is a matrix times H: to claim otherwise is unsat, a bound on the sum of both is decided like on the grid."""
    hidden = hidden_values(files["f"], GRID)
    total = (hidden.sum(axis=1) + run(files["f"], GRID)[:, 0]).max()
    sums = "(+ Y[0] H[0,0] H[0,1] H[0,2] H[0,3])"
    for factor in (0.95, 1.05):
        verdict, _ = decide(files["f"], HIDDEN + BOX + f"(assert (>= {sums} {factor * total:.9f}))\n", tmp_path)
        assert verdict.status is (Status.SAT if factor < 1.0 else Status.UNSAT)


@pytest.mark.parametrize(
    "formula",
    [
        "(>= (* Y[0] Y[0]) {})",
        "(>= (+ (* X[0] X[1]) (* Y[0] Y[1])) {})",
        "(>= (* X[0] X[0] Y[1]) {})",
        "(and (>= (* 2.0 X[0] (- Y[1] X[1])) {}) (<= (+ (* X[0] X[0]) (* X[1] X[1])) 1.0))",
        "(or (>= (* Y[0] X[1]) {}) (<= (+ (* Y[0] Y[0]) 1.0) (* -1.0 X[0] X[0])))",
    ],
)
def test_polynomial_atoms(files: dict[str, Path], tmp_path: Path, formula: str) -> None:
    """The threshold is put where the grid says that the formula is just reached, and out of its reach."""
    x, y = GRID, run(files["f"], GRID)
    polynomial = {
        "(>= (* Y": y[:, 0] ** 2,
        "(>= (+ (": x[:, 0] * x[:, 1] + y[:, 0] * y[:, 1],
        "(>= (* X": x[:, 0] ** 2 * y[:, 1],
        "(and (>=": np.where((x**2).sum(axis=1) <= 1.0, 2.0 * x[:, 0] * (y[:, 1] - x[:, 1]), -np.inf),
        "(or (>= ": y[:, 0] * x[:, 1],
    }[formula[:8]]
    top = float(polynomial.max())
    sat, _ = decide(files["f"], ONE + BOX + f"(assert {formula.format(round(top - 0.02, 6))})\n", tmp_path)
    assert sat.status is Status.SAT
    unsat, _ = decide(files["f"], ONE + BOX + f"(assert {formula.format(round(top + 0.15, 6))})\n", tmp_path)
    assert unsat.status is Status.UNSAT


def test_an_equation_removes_an_input(files: dict[str, Path], tmp_path: Path) -> None:
    """x_1 = 0.5 - x_0, with x_1 still between its bounds: x_0 >= -0.5."""
    text = ONE + BOX + "(assert (== (+ X[0] X[1]) 0.5))\n"
    verdict, problem = decide(files["f"], text + "(assert (<= X[0] -0.51))\n", tmp_path)
    assert problem.network.n_inputs == 1
    assert verdict.status is Status.UNSAT
    verdict, _ = decide(files["f"], text + "(assert (<= X[0] -0.49))\n", tmp_path)
    assert verdict.status is Status.SAT
    assert verdict.witness is not None
    assert verdict.witness.inputs["X"].sum() == 0.5


def test_equations_may_leave_an_input_constant(files: dict[str, Path], tmp_path: Path) -> None:
    """u_0 = x_0 - x_1, x_1 = x_0, u_1 = x_1: one free input; f at (t, t) against g at (0, t)."""
    equations = "(assert (== U[0] (- X[0] X[1])))\n(assert (== X[1] X[0]))\n(assert (== U[1] X[1]))\n"
    t = np.linspace(-1.0, 1.0, 201)
    difference = run(files["f"], np.stack([t, t], 1))[:, 0] - run(files["g"], np.stack([0 * t, t], 1))[:, 0]
    for offset, status in ((-0.01, Status.SAT), (0.05, Status.UNSAT)):
        asked = f"(assert (>= (- Y[0] V[0]) {difference.max() + offset:.6f}))\n"
        verdict, problem = decide(files, TWO.format(like="") + equations + asked, tmp_path)
        assert problem.network.n_inputs == 1
        assert verdict.status is status


def test_many_shared_inputs_are_quick() -> None:
    n = 3000
    text = HEAD + ONE.replace("[2]", f"[{n}]", 1)
    text += f"(declare-network g (declare-input U real [{n}]) (declare-output V real [2]))\n"
    text += "".join(f"(assert (and (>= X[{i}] 0.0) (<= X[{i}] 1.0)))\n(assert (== X[{i}] U[{i}]))\n" for i in range(n))
    columns = lower(parse_query(text + "(assert (<= V[0] Y[0]))\n")).columns
    assert columns is not None
    assert columns.weight.shape == (0, n)
    assert columns.source.tolist() == [*range(n), *range(n)]


def test_an_equation_without_an_exact_solution_is_kept(files: dict[str, Path], tmp_path: Path) -> None:
    spec = tmp_path / "spec.vnnlib"
    spec.write_text(HEAD + ONE + BOX + "(assert (== (* 3.0 X[0]) (* 7.0 X[1])))\n")
    assert load_problem(files["f"], spec).network.n_inputs == 2


def test_not_equal_and_equal_outputs(files: dict[str, Path], tmp_path: Path) -> None:
    """`!=` is either side, strictly; a constant is equal to nothing else."""
    always = "(assert (!= Y[0] 1000.0))\n"
    assert decide(files["f"], ONE + BOX + always, tmp_path)[0].status is Status.SAT
    assert decide(files["f"], ONE + BOX + "(assert (== Y[0] 1000.0))\n", tmp_path)[0].status is Status.UNSAT
    both = "(assert (== Y[0] Y[1]))\n(assert (!= Y[0] Y[1]))\n"
    assert decide(files["f"], ONE + BOX + both, tmp_path)[0].status is Status.UNSAT


def test_joined_networks_evaluate_like_the_networks_one_by_one(files: dict[str, Path], tmp_path: Path) -> None:
    networks = {name: load_problem(file, _plain(tmp_path)).network for name, file in files.items()}
    rng = np.random.default_rng(0)
    weight, shift = np.array([[2.0, 0.0, -1.0]]), np.array([0.25])
    source = np.array([2, 3, 0, 1])
    outputs = [(4,), (7, 7), (0, 4), (6,), (1, 5, 6), (3,), (2, 2, 5), (5, 6, 6)]
    joined = join_networks(networks, Wiring(weight, shift, source, outputs))
    x = rng.uniform(-1.0, 1.0, size=(10, 3))
    declared = np.concatenate([x, x @ weight.T + shift], axis=1)[:, source]
    computed = [evaluate(network, declared[:, 2 * i : 2 * i + 2]) for i, network in enumerate(networks.values())]
    values = np.concatenate([declared, *computed], axis=1)
    expected = np.stack([values[:, list(factors)].prod(axis=1) for factors in outputs], axis=1)
    np.testing.assert_allclose(evaluate(joined, x), expected, rtol=1e-12, atol=1e-12)


def _plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.vnnlib"
    path.write_text(HEAD + ONE + BOX + "(assert (<= Y[0] 0.0))\n")
    return path


@pytest.mark.parametrize("seed", range(12))
def test_random_properties_of_two_networks(tmp_path: Path, seed: int) -> None:
    """unsat only where no point of a grid satisfies the property; sat replays (as `decide` checks)."""
    rng = np.random.default_rng(seed)
    files = {name: net(tmp_path / f"{name}.onnx", 10 + seed, change) for name, change in (("f", 0.0), ("g", 0.1))}
    c = [round(float(v), 3) for v in rng.uniform(-0.5, 2.0, size=3)]
    asked = (
        f"(assert (or (and (>= (- Y[0] V[0]) {c[0]}) (<= X[0] (+ X[1] {c[1]}))) (>= (* X[0] Y[1]) {c[2] + 2.0})"
        f" (and (> V[1] (+ Y[1] {c[1]})) (!= X[0] 0.0))))\n"
    )
    verdict, problem = decide(files, TWO.format(like="") + SHARED + asked, tmp_path)
    y, v = run(files["f"], GRID), run(files["g"], GRID)
    assert problem.query is not None
    reached = any(
        satisfies(problem.query, {"X": a, "U": a, "Y": b, "V": d}) for a, b, d in zip(GRID, y, v, strict=True)
    )
    assert not (reached and verdict.status is Status.UNSAT)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["f"], "no model is given for network g"),
        (["f", "g", "h"], "declares no network h"),
        ([], "no model is given for network f"),
    ],
)
def test_a_file_for_each_network(files: dict[str, Path], tmp_path: Path, names: list[str], message: str) -> None:
    given = dict.fromkeys(names, files["f"])
    with pytest.raises(InputError, match=message):
        decide(given, TWO.format(like="") + SHARED + _apart(1.0), tmp_path)
    with pytest.raises(InputError, match="--network f=FILE --network g=FILE"):
        decide(files["f"], TWO.format(like="") + SHARED + _apart(1.0), tmp_path)


def test_hidden_values_that_do_not_fit(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no node computes a tensor 'nowhere'"):
        decide(files["f"], HIDDEN.replace('"act"', '"nowhere"') + BOX, tmp_path)
    with pytest.raises(ModelError, match="no node computes a tensor 'a'"):
        decide(files["f"], HIDDEN.replace('"act"', '"a"') + BOX, tmp_path)
    with pytest.raises(ShapeMismatch, match="5 hidden values"):
        decide(files["f"], HIDDEN.replace("[1,4]", "[1,5]") + BOX, tmp_path)


def test_integer_types_are_refused_for_real_models(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatch, match="computes with real numbers"):
        decide(files["f"], ONE.replace("Y real", "Y int32") + BOX, tmp_path)


def test_products_have_a_limit() -> None:
    term = "(* " + " ".join(["(+ X[0] X[1] Y[0] Y[1])"] * 20) + ")"
    query = parse_query(HEAD + ONE + BOX + f"(assert (<= {term} 1.0))\n")
    with pytest.raises(ParseError, match="this product is too large"):
        lower(query)


def test_hidden_values_may_repeat_and_be_outputs_of_a_packed_file(files: dict[str, Path], tmp_path: Path) -> None:
    packed = tmp_path / "f.onnx.gz"
    packed.write_bytes(gzip.compress(files["f"].read_bytes()))
    hidden = "".join(f'(declare-hidden {name} real [1,{n}] "{value}")' for name, n, value in
                     (("H", 4, "act"), ("I", 4, "act"), ("O", 2, "y"), ("P", 4, "pre")))  # fmt: skip
    text = ONE.replace("(declare-output", hidden + "(declare-output") + BOX
    off = int((hidden_values(files["f"], GRID) == 0.0).sum(axis=0).argmax())
    verdict, _ = decide(packed, text + f"(assert (> H[0,{off}] (+ P[0,{off}] 0.01)))\n", tmp_path)
    assert verdict.witness is not None
    values = verdict.witness.values()
    assert values["H"].tolist() == values["I"].tolist() == np.maximum(values["P"], 0.0).tolist()
    assert values["O"].tolist() == values["Y"].tolist()
    for wrong in ("(> (- H[0,2] I[0,2]) 0.0001)", "(> (- Y[0] O[0,0]) 0.0001)", "(< H[0,3] (- P[0,3] 0.0001))"):
        assert decide(packed, text + f"(assert {wrong})\n", tmp_path)[0].status is Status.UNSAT
