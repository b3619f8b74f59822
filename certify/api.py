"""The Python interface: the same calls the command line makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np

from certify.arrays import NUMPY, to_numpy
from certify.backends.base import load_backend
from certify.bounds.backward import Rows
from certify.bounds.interval import Interval
from certify.clock import Clock
from certify.errors import InputError
from certify.network.graph import INPUT
from certify.network.read_onnx import Model, load_model
from certify.problem import Goal, Problem, files_by_network, pose
from certify.query.read import read_query as load_query
from certify.query.syntax import Query
from certify.settings import Budget, Settings
from certify.threads import one_blas_thread
from certify.verdict import Verdict
from certify.verify import Run

Files = str | Path | Mapping[str, str | Path]
Load = Callable[[Path, tuple[str, ...], tuple[bool, ...]], Model]
FLOAT32_ROUNDOFF = 2.0**-24
METHODS = {"ibp": "ibp", "crown": "crown", "alpha-crown": "alpha_crown"}


def check(
    model: Files,
    spec: str | Path | Query,
    *,
    timeout: float = 60.0,
    memory: int | None = None,
    settings: Settings | None = None,
    started: Callable[[Run], None] = lambda run: None,
    budget: Budget | None = None,
    load: Load = load_model,
) -> Verdict:
    """Decide whether some input of the spec's region satisfies its assertions (which describe what must not happen).

    model: the ONNX file; where the spec declares several networks, a mapping from their names to files, without those
    that are equal to another. spec: the VNN-LIB file, or what `load_query` made of one. timeout: seconds; memory: bytes
    the search may use (None: no limit). `started` receives the run before the search begins, so that its progress can
    be watched. `load` reads a model file as `load_model` does. Raises InputError for input that cannot
    be used.
    """
    settings = settings or Settings()
    budget = budget or Budget.starting_now(timeout, memory)
    clock = Clock()
    backend = load_backend(settings.backend)
    if settings.follow is not None and settings.backend != "native":
        raise InputError(f"backend '{settings.backend}' follows no plan", "use --backend native, or leave out --follow")
    with one_blas_thread():
        with clock.measure("load"):
            problem = load_problem(model, spec, settings, load)
            if settings.semantics == "float32":
                problem = replace(problem, network=replace(problem.network, roundoff=FLOAT32_ROUNDOFF))
        run = Run(problem, settings, budget, clock)
        started(run)
        with clock.measure("load"):
            prover = backend.prover(problem, settings, budget, run.progress)
        verdict = run.verify(prover)
    if settings.keep_plan is not None and verdict.proof is not None:
        verdict = _with_plan(verdict, problem, settings.keep_plan)
    if settings.evidence and verdict.status.value in ("sat", "unsat"):
        from certify.certificate.certified import certified

        with clock.measure("certificate"):
            verdict = certified(verdict, problem, settings, budget)
        verdict = replace(verdict, seconds=clock.seconds)
    return verdict


def _with_plan(verdict: Verdict, problem: Problem, path: Path) -> Verdict:
    """The verdict, and a file of how its proof divided the problem."""
    from certify.search.plan import Plan
    from certify.search.plan_file import write_plan

    assert verdict.proof is not None and problem.query is not None
    plan = Plan.of(verdict.proof)
    size = write_plan(path, plan, problem.query.sha256)
    note = f"plan: {sum(len(tree.point) for tree in plan.trees)} cuts, {size} bytes"
    return replace(verdict, notes=(*verdict.notes, note))


def load_problem(
    model: Files,
    spec: str | Path | Query,
    settings: Settings | None = None,
    load: Load = load_model,
) -> Problem:
    """The problem that a spec poses together with the file, or the files by network, that it is about."""
    strict = settings is not None and settings.strict
    query = spec if isinstance(spec, Query) else load_query(spec, strict=strict)
    files = files_by_network(model, query)
    loaded: dict[object, Model] = {}
    models = {}
    for network in query.networks:
        # The flat inputs of 1.0 say nothing about tensors.
        kept = tuple(tensor.initialized for tensor in network.inputs) if query.version != "1.0" else ()
        key = files[network.name], tuple(tensor.value for tensor in network.hidden), kept
        if key not in loaded:
            loaded[key] = load(*key)
        models[network.name] = loaded[key]
    return pose(models, query, strict=strict)


@dataclass(frozen=True)
class RegionBounds:
    """Bounds on one region. outputs: (lower, upper), [n_outputs] each, of what `names` says; margins: [atoms] lower
    bounds, by atom number; hidden: (lower, upper) by name of each relaxed value; unstable: on how many elements each
    relaxation is inexact; elements: how many each has.
    """

    goal: Goal
    outputs: tuple[np.ndarray, np.ndarray]
    margins: np.ndarray
    hidden: dict[str, tuple[np.ndarray, np.ndarray]]
    unstable: dict[str, int]
    names: tuple[str, ...]
    elements: dict[str, int]


def bound(
    model: Files, spec: str | Path, *, method: str = "crown", timeout: float = 60.0, most_regions: int = 16,
    load: Load = load_model,
) -> list[RegionBounds]:  # fmt: skip
    """Certified bounds of outputs, hidden values and margins on each input region of the spec, without any search.

    method: ibp, crown or alpha-crown. `load` as for `check`. Raises InputError for an unknown method or unusable input.
    """
    if method not in METHODS:
        raise InputError(f"there is no bound method '{method}'", f"choose one of: {', '.join(METHODS)}")
    budget = Budget.starting_now(timeout)
    problem = load_problem(model, spec, load=load)
    goals = [goal for goal, _ in zip(problem.goals(), range(most_regions), strict=False)]
    with one_blas_thread():
        return [_bounds_of(problem, goal, METHODS[method], budget) for goal in goals]


def _bounds_of(problem: Problem, goal: Goal, method: str, budget: Budget) -> RegionBounds:
    network, n = problem.network.on(NUMPY), problem.network.n_outputs
    box = Interval(goal.lower[None], goal.upper[None])
    margins, inputs, offset = problem.margin_rows(goal.atoms)
    outputs = np.concatenate([np.eye(n), -np.eye(n), margins])[None]
    coefficients = {network.output: outputs}
    if inputs is not None:
        coefficients[INPUT] = np.concatenate([np.zeros((2 * n, inputs.shape[1])), inputs])[None]
    rows = Rows(coefficients, np.concatenate([np.zeros(2 * n), offset])[None])
    run = import_module(f"certify.bounds.methods.{method}").bound
    relaxed, lower = run(network, box, rows, budget.expired)
    lower = to_numpy(lower)[0]
    hidden = {name: (to_numpy(i.lower)[0], to_numpy(i.upper)[0]) for name, i in relaxed.intervals.items()}
    unstable = {
        node.name: int(to_numpy(node.nonlinear_op.inexact(*(relaxed.intervals[name] for name in node.inputs))).sum())
        for node in network.nonlinear
    }
    elements = {node.name: int(np.prod(network.shapes[node.name], dtype=int)) for node in network.nonlinear}
    names = tuple(map(problem.output_name, range(n)))
    return RegionBounds(goal, (lower[:n], -lower[n : 2 * n]), lower[2 * n :], hidden, unstable, names, elements)
