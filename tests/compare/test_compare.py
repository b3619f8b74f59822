"""Models compared from end to end: verdicts, what is replayed, the exit code and the reports."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from shifted_models import SAFE, asks, shifted

from certify.compare.comparison import Comparison, compare
from certify.compare.exchange import Replayer
from certify.errors import InputError


@pytest.mark.parametrize(("after", "code"), [("same", 0), ("unsafe", 1), ("open", 3)])
def test_the_default_policy(certify, folder: Path, after: str, code: int) -> None:
    shifted(folder / "same.onnx", SAFE)
    found = certify("compare", "safe.onnx", f"{after}.onnx", "--specs", "specs", "--warm", "--json", "all.json")
    assert found.exit_code == code, found.output
    words = {0: "1 passed", 1: "1 failed", 3: "1 failed"}
    assert f"gate: {words[code]} (fail on regressed,undecided,error)" in found.output
    document = json.loads((folder / "all.json").read_text())
    (row, *others) = document["transitions"][0]["matrix"]
    assert row == {0: [1, 0, 0, 0], 1: [0, 1, 0, 0], 3: [0, 0, 1, 0]}[code] and others == [[0] * 4] * 3
    assert document["transitions"][0]["regressed"] == ([0] if code == 1 else [])
    assert document["specs"][0]["spec"] == "specs/point.vnnlib" and len(document["specs"][0]["sha256"]) == 64
    if code == 1:
        assert "proved -> refuted       1    point.vnnlib" in found.output


def test_what_is_listed_fails_and_nothing_else(certify, folder: Path) -> None:
    base = ("compare", "safe.onnx", "open.onnx", "unsafe.onnx", "--specs", "specs", "--warm", "--out", "run")
    assert certify(*base).exit_code == 1
    reports = "junit=j.xml,sarif=s.sarif,md=m.md,html=h.html,csv=c.csv,json=r.json,github"
    found = certify(*base, "--resume", "--fail-on", "weakened", "--report", reports)
    assert found.exit_code == 1
    assert (
        "::error file=specs/point.vnnlib" in found.output and "title=certify%3A weakened%2C undecided" in found.output
    )
    cases = {c.get("classname"): [e.tag for e in c] for c in ElementTree.parse("j.xml").iter("testcase")}
    assert cases == {"open.onnx": ["failure", "system-out"], "unsafe.onnx": ["skipped", "system-out"]}
    results = json.loads(Path("s.sarif").read_text())["runs"][0]["results"]
    assert {(r["ruleId"], r["level"]) for r in results} == {
        ("certify/weakened", "error"),
        ("certify/regressed", "warning"),
    }
    for page in ("m.md", "h.html"):
        assert "regressed" in Path(page).read_text() and "unsafe.onnx" in Path(page).read_text()
    assert json.loads(Path("r.json").read_text())["exit_code"] == 1
    assert certify(*base, "--resume", "--fail-on", "slower:3x").exit_code == 0
    assert certify(*base, "--resume", "--fail-on", "undecided").exit_code == 3
    assert certify(*base, "--resume", "--fail-on", "none").exit_code == 0


def test_an_old_counterexample_refutes_the_new_model_at_no_cost(folder: Path) -> None:
    shifted(folder / "worse.onnx", -3.0)
    found = compare("unsafe.onnx", ["worse.onnx", "safe.onnx"], "specs", warm=True)
    worse, safe = found.models[1].records[0], found.models[2].records[0]
    assert worse.status == "sat" and worse.statistics == {"stage": "replay", "counterexample": "unsafe"}
    assert worse.witness == {"X": [0.0], "Y": [-2.0]}
    assert safe.status == "unsat"
    assert {(e.origin, e.target): (e.tried, e.held) for e in found.exchanges} == {
        ("unsafe", "worse"): (1, 1), ("unsafe", "safe"): (1, 0), ("worse", "unsafe"): (1, 1),
        ("worse", "safe"): (1, 0), ("safe", "unsafe"): (0, 0), ("safe", "worse"): (0, 0),
    }  # fmt: skip
    assert found.transitions[1].gained == [0]
    holds = Replayer().holds
    assert not holds(safe, {"X": [0.0]}) and holds(worse, {"X": [0.0]})
    # Outside the region, of the wrong size, or without a value for the input: no counterexample.
    assert not holds(worse, {"X": [0.5]}) and not holds(worse, {"X": [0.0, 0.0]}) and not holds(worse, {})


def test_a_later_counterexample_decides_what_was_open(folder: Path) -> None:
    """The first model is given up on; the second one's counterexample holds for it."""
    asks(folder / "specs" / "point.vnnlib", below=0.5)
    shifted(folder / "barely.onnx", -0.75)
    given_up = certify_record(folder)
    found = compare("barely.onnx", "unsafe.onnx", "specs", warm=True, out=given_up, resume=True)
    before = found.models[0].records[0]
    assert before.status == "sat" and before.statistics["counterexample"] == "unsafe"
    assert before.witness == {"X": [0.0], "Y": [0.25]}


def certify_record(folder: Path) -> Path:
    """A campaign in which barely.onnx came to nothing."""
    from dataclasses import replace

    from certify.batch.journal import JOURNAL, read_journal

    out = folder / "given-up"
    compare("barely.onnx", "safe.onnx", "specs", warm=True, out=out)
    journal = out / "0-barely" / JOURNAL
    (record,) = read_journal(journal)
    journal.write_text(replace(record, status="timeout", witness=None).line())
    return out


def test_a_proof_that_a_counterexample_contradicts_is_an_error(folder: Path) -> None:
    """A wrong proof is planted in the journal: nothing may be concluded from it."""
    from dataclasses import replace

    from certify.batch.journal import JOURNAL, read_journal

    compare("unsafe.onnx", "safe.onnx", "specs", warm=True, out="run")
    journal = folder / "run" / "0-unsafe" / JOURNAL
    (record,) = read_journal(journal)
    journal.write_text(replace(record, status="unsat", witness=None).line())
    shifted(folder / "worse.onnx", -3.0)
    found = compare("unsafe.onnx", "worse.onnx", "specs", warm=True, out="run", resume=True)
    before = found.models[0].records[0]
    assert before.status == "error" and "one of the two is wrong" in before.reason and before.exit_code == 4


def test_figures(folder: Path) -> None:
    data = folder / "data.npz"
    # Two classes, and a model that says 1 above .5; the second has forgotten it.
    x = np.linspace(0.0, 1.0, 11)[:, None]
    np.savez(data, x=x, y=(x[:, 0] > 0.5).astype(int))
    for name, weight in (("knows", 1.0), ("forgot", 0.0)):
        two_classes(folder / f"{name}.onnx", weight)
    text = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "Y_0", "Y_1"))
    (folder / "specs" / "point.vnnlib").unlink()
    Path("specs/two.vnnlib").write_text(text + "(assert (>= X_0 0.6))(assert (<= X_0 0.7))(assert (>= Y_0 Y_1))")
    found: Comparison = compare("knows.onnx", "forgot.onnx", "specs", warm=True, data=data, radius=True)
    knows, forgot = found.models
    assert (knows.accuracy.correct, forgot.accuracy.correct) == (11, 6)
    assert (
        knows.accuracy.low == pytest.approx(0.05 ** (1 / 11) * (0.025 / 0.05) ** (1 / 11)) and knows.accuracy.high == 1
    )
    assert forgot.tax.points == pytest.approx(500 / 11) and (forgot.tax.lost, forgot.tax.gained) == (5, 0)
    assert forgot.tax.p_value == pytest.approx(2 * 0.5**5)
    assert (knows.dominated, forgot.dominated) == (False, True)
    assert (knows.certified, forgot.certified) == (1.0, 0.0)
    assert (knows.weights.parameters, knows.weights.weights, knows.weights.nonzero, forgot.weights.nonzero) == (
        4,
        2,
        2,
        0,
    )
    # The margin is 2 (x - .5) - .02: at least .18 on the region; the radius the way to .51.
    assert knows.margins == [pytest.approx(0.18, abs=1e-6)] and knows.margins[0] <= 0.18 + 1e-7
    away = np.abs(x[:, 0] - 0.51)
    assert (knows.radii <= away + 1e-6).all() and knows.radii == pytest.approx(away, abs=1e-3)
    assert (forgot.radii[6:] == 0.0).all() and (forgot.radii[:6] > 0.99).all()


def two_classes(path: Path, weight: float) -> None:
    from onnx_files import model, node, save

    weights = {"w": [[-weight, weight]], "b": [0.51 * weight + 0.01 * (weight == 0), -0.51 * weight]}
    arrays = {name: np.array(values, dtype=np.float32) for name, values in weights.items()}
    save(path, model([node("Gemm", "x w b", "y")], {"x": [1, 1]}, ["y"], arrays))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["safe.onnx", "--specs", "specs"], "nothing to compare with"),
        (["safe.onnx", "gone.onnx", "--specs", "specs"], "gone.onnx: no such file"),
        (["safe.onnx", "safe.onnx", "--specs", "specs"], "two models are called"),
        (["safe.onnx", "open.onnx", "--specs", "nowhere"], "nowhere"),
        (["safe.onnx", "open.onnx", "--specs", "none*"], "no file matches"),
        (["safe.onnx", "open.onnx", "--specs", "."], "no specification"),
        (["safe.onnx", "open.onnx", "--specs", "specs", "--fail-on", "slower:0x"], "no limit"),
        (["safe.onnx", "open.onnx", "--specs", "specs", "--fail-on", "worse"], "not an outcome"),
        (["safe.onnx", "open.onnx", "--specs", "specs", "--radius"], "give --data"),
        (["safe.onnx", "open.onnx", "--specs", "specs", "--backend", "magic"], "magic"),
        (["safe.onnx", "open.onnx", "--specs", "two.csv"], "row names several networks"),
        (["safe.onnx", "open.onnx", "--specs", "other.csv"], "is none of them"),
    ],
)
def test_bad_input_is_one_line(certify, folder: Path, arguments: list[str], message: str) -> None:
    (folder / "two.csv").write_text("\"[('f', 'safe.onnx'), ('g', 'open.onnx')]\",specs/point.vnnlib,1\n")
    (folder / "other.csv").write_text("unsafe.onnx,specs/point.vnnlib,1\nmore.onnx,specs/point.vnnlib,1\n")
    if arguments[-1] == ".":
        (folder / "specs" / "point.vnnlib").unlink()
    found = certify("compare", *arguments)
    assert found.exit_code == 2 and message in found.stderr and len(found.stderr.splitlines()) == 1


def test_a_list_is_about_the_model_it_names(folder: Path) -> None:
    from certify.compare.specs import find_specs

    asks(folder / "specs" / "wide.vnnlib", 1.0)
    Path("list.csv").write_text("safe.onnx,specs/point.vnnlib,7\nopen.onnx,specs/wide.vnnlib,8\n")
    assert [(i.spec, i.timeout) for i in find_specs(["list.csv"], "safe.onnx")] == [("specs/point.vnnlib", 7.0)]
    Path("list.csv").write_text("open.onnx,specs/point.vnnlib,7\nopen.onnx,specs/wide.vnnlib,8\n")
    assert len(find_specs(["list.csv"], "safe.onnx")) == 2
    both = find_specs(["specs/*.vnnlib", "specs"], "safe.onnx")
    assert [Path(i.spec).name for i in both] == ["point.vnnlib", "wide.vnnlib"] and [i.index for i in both] == [0, 1]


def test_the_room_can_be_called(folder: Path) -> None:
    import certify
    import certify.compare.transition

    with pytest.raises(InputError, match="no such file"):
        certify.compare("safe.onnx", "gone.onnx", "specs")  # type: ignore[operator]
