"""`--report` and `--fail-on` of `certify check` and `certify batch`, and `certify report`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bundled import FAILS, HOLDS, MODEL, ROOT

BROKEN = str(ROOT / "tests" / "query" / "malformed" / "division.vnnlib")
FORMATS = ("junit", "sarif", "md", "json", "csv", "html")


def test_all_formats_at_once(certify, tmp_path: Path) -> None:
    wanted = ",".join(f"{name}={tmp_path / name}" for name in FORMATS)
    result = certify("check", MODEL, FAILS, "--report", wanted, "--report", "github")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "sat"
    assert lines[-1].startswith("::error file=specs/digits_mlp_1_eps0.08.vnnlib,line=")
    assert {path.name for path in tmp_path.iterdir()} == set(FORMATS)
    (instance,) = json.loads((tmp_path / "json").read_text())["instances"]
    assert (instance["status"], instance["outcome"], instance["mark"]) == ("sat", "violated", "failed")
    assert len(instance["witness"]["X"]) == 64
    assert instance["wall"] > 0 and len(instance["sha256"]) == 2


def test_sarif_points_at_the_line_of_the_specification(certify, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    certify("check", MODEL, "specs/digits_mlp_1_eps0.08.vnnlib", "--report", f"sarif={tmp_path / 's'}")
    (result,) = json.loads((tmp_path / "s").read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "specs/digits_mlp_1_eps0.08.vnnlib"
    line = Path(FAILS).read_text().splitlines()[place["region"]["startLine"] - 1]
    # The alternative that the witness satisfies: class 4 scores 2.9, the right one -10.3.
    assert line[place["region"]["startColumn"] - 1 :].startswith("(>= Y_")


def test_an_error_is_reported_at_its_place(certify, tmp_path: Path) -> None:
    result = certify("check", MODEL, BROKEN, "--report", f"junit={tmp_path / 'j'},sarif={tmp_path / 's'},github")
    assert result.exit_code == 2
    assert ElementTree.parse(tmp_path / "j").getroot().get("errors") == "1"
    run = json.loads((tmp_path / "s").read_text())["runs"][0]
    assert not run["invocations"][0]["executionSuccessful"]
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert f"{BROKEN}:{region['startLine']}:{region['startColumn']}: " in result.stderr
    assert f",line={region['startLine']},col={region['startColumn']}," in result.stdout


@pytest.mark.parametrize(
    ("spec", "fail_on", "code", "sentence"),
    [
        (FAILS, "violated", 1, "1 failed"),
        (FAILS, "undecided,error", 0, "1 tolerated"),
        (FAILS, "none", 0, "1 tolerated"),
        (HOLDS, "violated,undecided,error", 0, "1 passed"),
        (BROKEN, "error", 2, "1 failed"),
        (BROKEN, "violated", 0, "1 tolerated"),
    ],
)
def test_text_report_and_exit_code_follow_the_policy(certify, tmp_path, spec, fail_on, code, sentence) -> None:
    result = certify("check", MODEL, spec, "--fail-on", fail_on, "--report", f"json={tmp_path / 'r'}")
    assert result.exit_code == code
    assert result.stdout.splitlines()[-1].startswith(f"gate: {sentence}")
    report = json.loads((tmp_path / "r").read_text())
    assert report["exit_code"] == code
    assert report["instances"][0]["mark"] == sentence.split()[1]


def test_no_time_is_undecided(process, tmp_path: Path) -> None:
    for fail_on, code in (("undecided", 3), ("violated,error", 0)):
        result = process(
            "check", MODEL, HOLDS, "--timeout", 0, "--fail-on", fail_on, "--report", f"md={tmp_path / 'm'}"
        )
        assert result.returncode == code
        assert "| timeout |" in (tmp_path / "m").read_text()


def test_what_is_expected_is_no_finding(certify, tmp_path: Path) -> None:
    result = certify("check", MODEL, FAILS, "--expect", "sat", "--report", f"sarif={tmp_path / 's'},github")
    assert result.exit_code == 0
    assert json.loads((tmp_path / "s").read_text())["runs"][0]["results"] == []
    assert "::" not in result.stdout
    result = certify("check", MODEL, HOLDS, "--expect", "sat", "--report", "github")
    assert result.exit_code == 1
    assert "the opposite was expected" in result.stdout


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--report", "pdf=x"], "there is no format 'pdf'"),
        (["--report", "junit"], "expected junit=FILE"),
        (["--report", "md="], "expected md=FILE"),
        (["--report", "github=x"], "expected github alone"),
        (["--report", ""], "there is no format ''"),
        (["--report", "github", "--json", "-"], "both write to standard output"),
        (["--fail-on", "sat"], "'sat' is not an outcome"),
        (["--report", f"json={MODEL}/all"], "/all: cannot be written"),
    ],
)
def test_bad_options(certify, options: list[str], word: str) -> None:
    result = certify("check", MODEL, HOLDS, *options)
    assert result.exit_code == 2
    assert word in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_summary_of_a_step(certify, tmp_path: Path, monkeypatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    certify("check", MODEL, FAILS, "--report", "github")
    assert summary.read_text().startswith("before\n# certify\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert certify("check", MODEL, FAILS, "--report", "github").exit_code == 2


@pytest.fixture
def campaign(certify, tmp_path: Path) -> Path:
    """A folder of a campaign with one instance of each kind."""
    rows = [f"{MODEL},{HOLDS},20", f"{MODEL},{FAILS},20", f"{MODEL},{BROKEN},20", f"{MODEL},{HOLDS},0"]
    rows[3] = f"{MODEL},{ROOT / 'specs' / 'digits_mlp_4_eps0.12.vnnlib'},0"
    (tmp_path / "instances.csv").write_text("\n".join(rows))
    options = ("--fail-on", "error", "--report", f"junit={tmp_path / 'batch.xml'},github")
    result = certify("batch", tmp_path / "instances.csv", "--out", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert "::error file=tests/query/malformed/division.vnnlib" in result.stdout
    assert "gate: 1 passed, 2 tolerated, 1 failed (fail on error)" in result.stdout
    return tmp_path / "run"


def test_a_campaign(certify, campaign: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ElementTree.parse(tmp_path / "batch.xml").getroot().get("tests") == "4"
    assert certify("report", campaign).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "4 instances" in page
    assert page.count("<img") == 3
    for fail_on, code in (("violated,undecided,error", 1), ("undecided,error", 2), ("undecided", 3), ("none", 0)):
        assert certify("report", campaign, "--report", "csv=r.csv", "--fail-on", fail_on).exit_code == code
    names = {"before": campaign / "results.jsonl", "after": campaign}
    result = certify("report", *(f"{n}={p}" for n, p in names.items()), "--report", "html=two.html,csv=two.csv")
    assert result.exit_code == 0
    assert "before and after: 4 instances" in (tmp_path / "two.html").read_text()
    assert [line.split(",")[0] for line in (tmp_path / "two.csv").read_text().splitlines()[1::4]] == ["before", "after"]


def test_bad_runs(certify, tmp_path: Path) -> None:
    assert "cannot be read" in certify("report", tmp_path).stderr
    (tmp_path / "results.jsonl").write_text("{}\n")
    assert "results.jsonl:1:1: not a record" in certify("report", tmp_path).stderr
    assert "two runs are called" in certify("report", tmp_path, tmp_path, tmp_path).stderr


def test_nothing_of_it_is_imported_by_a_plain_check() -> None:
    code = (
        "import sys\nfrom certify.cli import main\nfrom typer.testing import CliRunner\n"
        f"r = CliRunner().invoke(main.app, ['check', {MODEL!r}, {HOLDS!r}])\n"
        "assert r.stdout.startswith('unsat'), r.stdout\n"
        "print([m for m in sys.modules if m.startswith(('matplotlib', 'jinja2', 'PIL', 'certify.batch.'))"
        " or m.startswith('certify.report.') and m != 'certify.report.policy'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.strip() == "[]"
