"""How tight certified failure probabilities get: ACAS Xu, a trigger's law, a fairness problem.

    python vnncomp/failure_probability.py acasxu FOLDER [--nets 2_2,4_3] [--props 1,2,3,4]
    python vnncomp/failure_probability.py trigger MODEL --data digits:test [--corner 6,6] [--target 0] [--count 20]
    python vnncomp/failure_probability.py fairness

acasxu: FOLDER as VNN-COMP lays it out; P[unsafe] for inputs uniform over the property's region, the problem that
several papers on probabilistic verification use with property 2. trigger: a 2x2 patch uniform over [0, 1], mixed over
samples of other classes. fairness: the demographic parity of FairSquare (Albarghouthi et al. 2017) rebuilt: sex, age
and years of education as independent inputs (discrete, and normal conditioned on what is qualified), a network fitted
here.
Prints a table; exit code 1 where an interval contradicts the samples drawn beside it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import certify
from certify.dataset import read_dataset
from certify.quantities.classifier import Classifier
from certify.quantities.law import Discrete, Normal
from certify.quantities.mass import Product
from certify.quantities.patch import places
from certify.quantities.probability import Probability

Row = tuple[str, Probability, float]


def timed(name: str, ask: Callable[[], Probability]) -> Row:
    """A row of the table, with the cpu seconds it took."""
    started = time.process_time()
    return name, ask(), time.process_time() - started


def acasxu(options: argparse.Namespace) -> Iterator[Row]:
    """Properties and networks, the law uniform over the region."""
    folder = Path(options.where)
    for prop in options.props.split(","):
        for net in options.nets.split(","):
            model = folder / "onnx" / f"ACASXU_run2a_{net}_batch_2000.onnx"
            spec = folder / "vnnlib" / f"prop_{prop}.vnnlib"
            yield timed(
                f"prop_{prop} {net}", lambda m=model, s=spec: certify.probability(m, s, timeout=options.timeout)
            )


def trigger(options: argparse.Namespace) -> Iterator[Row]:
    """P[sent to the target] for a random trigger on a random one of the samples."""
    model = Classifier(options.where)
    data = read_dataset(options.data)
    row, column = map(int, options.corner.split(","))
    free = places(data.x.shape[1:], (2, 2), (row, column))
    rows = model.rows(data)[data.labels != options.target][: options.count]
    uniform = {"law": "uniform", "lower": 0.0, "upper": 1.0}
    points = [[{"law": "point", "value": value} for value in sample.tolist()] for sample in rows]
    for marginals in points:
        for place in free.tolist():
            marginals[place] = uniform
    law = {"kind": "mixture", "components": [{"weight": 1.0, "marginals": marginals} for marginals in points]}
    with tempfile.TemporaryDirectory() as folder:
        file, spec = Path(folder, "law.json"), Path(folder, "spec.vnnlib")
        file.write_text(json.dumps(law))
        spec.write_text(_classified(model, options.target))
        yield timed(
            f"{Path(options.where).name} {row},{column}",
            lambda: certify.probability(model.path, spec, law=file, timeout=options.timeout),
        )


def _classified(model: Classifier, target: int) -> str:
    """Pixels in [0, 1] that the model takes for the target."""
    lines = [f"(declare-const X_{i} Real)" for i in range(model.n_inputs)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(model.n_classes)]
    lines += [f"(assert (>= X_{i} 0.0))\n(assert (<= X_{i} 1.0))" for i in range(model.n_inputs)]
    lines += [f"(assert (<= Y_{i} Y_{target}))" for i in range(model.n_classes) if i != target]
    return "\n".join(lines) + "\n"


def fairness(options: argparse.Namespace) -> Iterator[Row]:
    """P[hired] of women and of men; the ratio of both is what demographic parity is about."""
    age, years = Normal(38.58, 13.64, 18.0, 90.0), Normal(10.08, 2.57, 0.0, 20.0)
    with tempfile.TemporaryDirectory() as folder:
        model, spec = _hiring(Path(folder))
        for name, sex in (("women", 0.0), ("men", 1.0)):
            law = [Product((Discrete((sex,), (1.0,)), age, years))]
            yield timed(
                f"hired, {name}", lambda law=law: certify.probability(model, spec, law=law, timeout=options.timeout)
            )


def _hiring(folder: Path) -> tuple[Path, Path]:
    """A network of sex, age and years of education, fitted to a rule that is unfair on purpose, and "is hired"."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 2, 4000), rng.normal(38.58, 13.64, 4000), rng.normal(10.08, 2.57, 4000)], axis=1)
    scaled = (x - [0.5, 40.0, 10.0]) / [0.5, 20.0, 5.0]
    wanted = 0.4 * scaled[:, 0] + np.abs(scaled[:, 1]) * -0.8 + 1.2 * scaled[:, 2] - 0.1
    hidden, shift = rng.normal(size=(24, 3)), rng.normal(size=24)
    features = np.maximum(scaled @ hidden.T + shift, 0.0)
    last = np.linalg.lstsq(np.c_[features, np.ones(4000)], wanted, rcond=None)[0]
    first = hidden / [0.5, 20.0, 5.0]
    weights = {"w": first, "b": shift - first @ [0.5, 40.0, 10.0], "v": last[None, :-1], "c": last[-1:]}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "v", "c"], ["y"], transB=1),
        ],
        "hiring", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "hiring.onnx")
    lines = [f"(declare-const {name} Real)" for name in ("X_0", "X_1", "X_2", "Y_0")]
    for i, (low, high) in enumerate(((0, 1), (18, 90), (0, 20))):
        lines += [f"(assert (>= X_{i} {low}.0))", f"(assert (<= X_{i} {high}.0))"]
    Path(folder, "hired.vnnlib").write_text("\n".join([*lines, "(assert (>= Y_0 0.0))"]) + "\n")
    return folder / "hiring.onnx", folder / "hired.vnnlib"


COMMANDS = {"acasxu": acasxu, "trigger": trigger, "fairness": fairness}


def main() -> int:
    """Print the table; 1 where an interval contradicts its samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("where", nargs="?", default="", help="folder, or model")
    parser.add_argument("--nets", default="1_2,2_2")
    parser.add_argument("--props", default="1,2,3,4")
    parser.add_argument("--data", default="digits:test")
    parser.add_argument("--corner", default="6,6")
    parser.add_argument("--target", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--timeout", type=float, default=60.0)
    options = parser.parse_args()
    wrong = 0
    print(f"{'problem':<24} {'lower':>9} {'upper':>9} {'gap':>8} {'sampled':>9} {'boxes':>7} {'wall':>6} {'cpu':>6}")
    for name, found, cpu in COMMANDS[options.command](options):
        certified, estimate = found.certified, found.estimate
        assert estimate is not None
        wrong += not (certified.lower <= estimate.upper and estimate.lower <= certified.upper)
        print(
            f"{name:<24} {certified.lower:>9.5f} {certified.upper:>9.5f} {certified.gap:>8.5f} "
            f"{estimate.hits / estimate.count:>9.5f} {found.boxes:>7} {certified.seconds:>6.1f} {cpu:>6.1f}",
            flush=True,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
