"""Forests of rows: what the search recorded of them gives the checker the bounds that the search went on with."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from certificates import bases, certificate, outputs, read, turns_first

from certify import api
from certify.backends import native_sharing
from certify.checker.arithmetic import Arithmetic
from certify.checker.bounds import Engine, Hidden
from certify.checker.certificate import read_certificate
from certify.checker.check import check
from certify.checker.hidden import Free, bound_root
from certify.checker.network import read_network
from certify.checker.specification import Case, read_specification
from certify.search import prove
from certify.search.root import Root
from certify.settings import Settings


def rechecked(model: Path, spec: Path, path: Path) -> tuple[Case, Hidden]:
    """The case of a certificate, and what the checker finds of its hidden values."""
    proof, numbers = read_certificate(path), Arithmetic()
    network = read_network(model, numbers)
    engine = Engine(network, numbers)
    (case,) = read_specification(spec, network.n_inputs, network.n_outputs).cases
    free, turns = Free(engine, proof, "0"), proof.header["parts"][0]["hidden"]
    return case, bound_root(engine, proof, "0", free, turns, (case.lower[None], case.upper[None]))


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> list[Root]:
    """Receives the root after every turn."""
    found: list[Root] = []
    trees = Root.row_trees
    monkeypatch.setattr(Root, "row_trees", lambda self, *args: (trees(self, *args), found.append(self))[0])
    return found


@pytest.mark.parametrize("processes", [1, 2])
def test_the_checker_finds_the_bounds_that_the_search_found(
    processes: int, roots: list[Root], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rounding aside, and in one process or two."""
    if processes > 1 and not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    monkeypatch.setattr(native_sharing, "FEWEST_ROWS", 2)
    base = bases()["turns"]
    base.settings["processes"] = processes
    model, spec, path = certificate(base, tmp_path, "unsat")
    groups = read(path).header["parts"][0]["hidden"]
    assert len(groups) == 3
    assert len(groups[-1]) == 2 * processes
    case, found = rechecked(model, spec, path)
    root = roots[-1]
    x = np.random.default_rng(0).uniform(case.lower, case.upper, size=(2000, len(case.lower)))
    for k, node in enumerate(root.problem.network.nonlinear):
        value = node.inputs[0]
        low, high = (side[0] for side in root.relaxed.intervals[value])
        kept = root.shrunk.get(value, np.arange(len(found.lower[k][0])))
        assert (found.lower[k][0][kept] >= low - 1e-9).all()
        assert (found.upper[k][0][kept] <= high + 1e-9).all()
        values = outputs(read_model(base.model, k), x)
        assert (values >= found.lower[k][0]).all()
        assert (values <= found.upper[k][0]).all()
    assert check(model, spec, path).startswith("unsat, real")


def read_model(data: bytes, layer: int) -> object:
    """The model up to what enters a rectifier, as `outputs` takes it."""
    import onnx

    model = onnx.load_model_from_string(data)
    del model.graph.initializer[2 * (layer + 1) :]
    return model


def test_nothing_is_recorded_where_nobody_asked(roots: list[Root], tmp_path: Path) -> None:
    base = bases()["rows"]
    with turns_first(1):
        verdict = api.check(*base.files(tmp_path), timeout=60.0)
    assert verdict.status.value == "unsat"
    assert roots
    assert not any(roots[-1].turns)


def test_a_record_that_outgrows_its_memory_is_given_up(
    roots: list[Root], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prove, "TREE_BYTES", 20)
    base, path = bases()["rows"], tmp_path / "x.cert"
    with turns_first(1):
        verdict = api.check(*base.files(tmp_path), timeout=60.0, settings=Settings(certificate=path))
    assert "outgrew its memory" in roots[-1].obstacle
    assert not path.exists()
    if verdict.status.value == "unsat":
        assert any("outgrew its memory" in note for note in verdict.notes)
