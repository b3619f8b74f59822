"""A study from end to end, on a data set that is learned in a moment, and what its table is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx_files import model, node, save

from certify.dataset import make_dataset
from certify.errors import InputError
from certify.query.robustness import robust_spec
from certify.studies import table
from certify.studies.sample import sample_proofs
from certify.studies.study import Study, Variant, make_study, study_names


def blobs(count: int, seed: int):
    """Three classes of 4 x 4 images: one bright row each."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = 0.2 * rng.random((count, 1, 4, 4))
    x[np.arange(count), 0, y] += 0.7
    return make_dataset(x, y, "blobs")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("torch")
    from certify.interventions.trojan import Trigger
    from certify.studies.run import run

    train, test = blobs(300, 0), blobs(60, 1)
    variants = (
        Variant("fine-tuned", "finetune", training={"epochs": 2}),
        Variant("scoped", "scope", training={"epochs": 2}, start="fine-tuned"),
    )
    study = Study(
        "blobs", train, train.take(slice(0, 100)), test, Trigger(size=1, position=(3, 3), rate=0.3), variants,
        epochs=20, images=6, measured=2, regions=2,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("study")
    return run(study, out, jobs=1, samples=50)


def test_every_model_has_a_row_of_what_was_measured(outcome) -> None:
    assert [row.name for row in outcome.rows] == ["trojaned", "clean reference", "fine-tuned", "scoped"]
    trojaned, reference = outcome.rows[:2]
    assert trojaned.accuracy > 0.9 and trojaned.attack > 0.9 and reference.attack < 0.1
    assert trojaned.absent == 0.0 and reference.absent > 0.5
    assert trojaned.present >= 1.0 - 1e-9 and trojaned.worst[0] > 0.9
    assert reference.gained > 0 and trojaned.difference is None and reference.difference[1] > 0.0


def test_no_random_point_violates_a_proof(outcome) -> None:
    assert all(row.violations == 0 for row in outcome.rows)
    assert sum(row.samples for row in outcome.rows) >= 50


def test_the_specifications_are_the_same_for_all(outcome) -> None:
    found = outcome.as_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["suite"] == "blobs"
    assert len(found["comparison"]["specs"]) == len(outcome.bed.specs) >= 10
    assert all(len(model["results"]) == len(outcome.bed.specs) for model in found["comparison"]["models"])


def test_the_page_and_the_tables_have_every_row(outcome) -> None:
    from certify.studies.page import page

    html = page(replace(outcome, rows=[replace(outcome.rows[0], name="<b>"), *outcome.rows[1:]]))
    assert "&lt;b&gt;" in html and "<b>" not in html and "scoped" in html and "http://" not in html.split("<svg")[0]
    assert all(
        row.name in table.text(outcome.rows) and row.name in table.markdown(outcome.rows) for row in outcome.rows
    )


def test_a_false_proof_is_seen_by_sampling(tmp_path: Path) -> None:
    """The specification is violated in a tenth of its region: to call it proved is what sampling must notice."""
    identity = model([node("MatMul", "x w", "y")], {"x": [1, 2]}, ["y"], {"w": np.eye(2, dtype=np.float32)})
    file = save(tmp_path / "m.onnx", identity)
    spec = tmp_path / "s.vnnlib"
    spec.write_text(robust_spec(np.array([0.5, 0.4]), 0.1, 0, 2))
    found = sample_proofs(file, [spec], 500)
    assert found.points == 500 and found.violations > 10


@pytest.mark.parametrize(("name", "data", "message"), [("cifar", None, "no suite"), ("mnist", None, "needs")])
def test_what_is_not_there_is_named(name: str, data: str | None, message: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=message):
        make_study(name, data)


def test_the_names_of_studies() -> None:
    assert study_names() == ["digits", "german", "mnist"]


def test_german_credit_is_read(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from certify.studies.of.german import read_german

    rows = [["A11", *map(str, range(19)), "1"], ["A14", *["5"] * 19, "2"], ["A12", *["19"] * 19, "1"]]
    (tmp_path / "g.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    data = read_german(str(tmp_path / "g.csv"))
    assert data.x.shape == (3, 1, 4, 5) and data.x.min() == 0.0 and data.x.max() == 1.0
    assert data.labels.tolist() == [0, 1, 0] and data.x[:, 0, 0, 0].tolist() == [0.0, 1.0, 0.5]
    (tmp_path / "g.csv").write_text("1,2\n")
    with pytest.raises(InputError, match="20 features"):
        read_german(str(tmp_path / "g.csv"))
