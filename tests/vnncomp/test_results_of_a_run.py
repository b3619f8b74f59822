"""results.csv and counterexamples of our own campaign over ACAS Xu, read as the organisers read them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from bundled import ROOT
from organisers import load, read_counterexample
from typer.testing import CliRunner

from certify.cli.main import app

FOLDER = ROOT.parent / "shared" / "vnncomp" / "acasxu"
PROPERTIES = ("prop_2", "prop_3", "prop_4")


@pytest.mark.integration
@pytest.mark.skipif(not FOLDER.exists(), reason="needs ../shared/vnncomp")
def test_the_organisers_can_read_it(tmp_path: Path):
    with (FOLDER / "instances.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if Path(row[1]).stem in PROPERTIES][::4][:8]
    folder = tmp_path / "acasxu"
    folder.mkdir()
    with (folder / "instances.csv").open("w", newline="") as file:
        csv.writer(file).writerows([FOLDER / onnx, FOLDER / vnnlib, "10"] for onnx, vnnlib, _ in rows)
    result = CliRunner().invoke(app, ["batch", str(folder), "--out", str(tmp_path / "out"), "--warm"])
    assert result.exit_code == 0, result.output
    found = load(tmp_path / "out" / "results.csv")["acasxu"]
    # In the order of the list, which the scoring relies on.
    assert [(Path(n).name, Path(p).name) for n, p, _, _ in found] == [(Path(n).name, Path(p).name) for n, p, _ in rows]
    violated = [(Path(n).stem, Path(p).stem) for n, p, word, _ in found if word == "violated"]
    assert violated and "holds" in {word for _, _, word, _ in found}
    for net, prop in violated:
        x, y = read_counterexample((tmp_path / "out" / "acasxu" / f"{net}_{prop}.counterexample").read_text())
        assert (len(x), len(y)) == (5, 5)
    score = CliRunner().invoke(app, ["score", f"us={tmp_path / 'out'}", "--format", "csv"])
    assert score.exit_code == 0, score.output
    solved = sum(word in ("holds", "violated") for _, _, word, _ in found)
    assert f"acasxu,us,{solved - len(violated)},{len(violated)},0,0,{10 * solved},100.0" in score.output
