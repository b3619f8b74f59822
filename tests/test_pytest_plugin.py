"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bundled import FAILS, HOLDS, MODEL, ROOT

SUITE = f"""
[[check]]
model = "{MODEL}"
spec = "{HOLDS}"
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run pytest on files of a folder: run("a.certify.toml" -> text) gives (outcomes by test, output)."""

    def run(files: dict[str, str]) -> tuple[dict[str, str], str]:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        report = tmp_path / "junit.xml"
        options = ["-p", "certify.pytest_plugin", "-q", "-rs", f"--junitxml={report}", f"--rootdir={tmp_path}"]
        command = [sys.executable, "-m", "pytest", "-c", "/dev/null", *options, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
        cases = ElementTree.parse(report).iter("testcase")
        outcomes = {case.get("name", ""): case[-1].tag if len(case) else "passed" for case in cases}
        return {n: "passed" if o == "properties" else o for n, o in outcomes.items()}, done.stdout + done.stderr

    return run


def test_the_fixture(run) -> None:
    text = f"""
from certify import spec

MODEL, HOLDS, FAILS = {MODEL!r}, {HOLDS!r}, {FAILS!r}

def test_holds(certify_check):
    verdict = certify_check(MODEL, HOLDS)
    assert verdict.bound > 0

def test_fails(certify_check):
    certify_check(MODEL, FAILS)

def test_expected(certify_check):
    certify_check(MODEL, FAILS, expect="sat")

def test_not_as_expected(certify_check):
    certify_check(MODEL, HOLDS, expect="sat")

def test_undecided(certify_check):
    certify_check(MODEL, HOLDS, timeout=0)

def test_undecided_is_fine(certify_check):
    certify_check(MODEL, HOLDS, timeout=0, fail_on=["violated"])

def test_in_python(certify_check):
    f = spec.network(MODEL)
    low = spec.require(f.output[0, 0] < 1e6, given=spec.ball(f.input, [[[[0.5] * 8] * 8]] if f.input.ndim == 4 else
                       [[0.5] * 64], 0.01))
    certify_check(low.models, low.query)
"""
    outcomes, output = run({"test_it.py": text})
    assert outcomes == {
        "test_holds": "passed", "test_fails": "failure", "test_expected": "passed", "test_not_as_expected": "failure",
        "test_undecided": "failure", "test_undecided_is_fine": "skipped", "test_in_python": "passed",
    }, output  # fmt: skip
    assert "violated: digits_mlp_1_eps0.08.vnnlib for digits_mlp.onnx" in output
    assert "(the opposite was expected)" in output
    assert "Traceback" not in output


def test_a_suite(run) -> None:
    broken = ROOT / "tests" / "query" / "malformed" / "division.vnnlib"
    text = f"""
timeout = 30
{SUITE}
[[check]]
networks = {{"" = "{MODEL}"}}
spec = "copy_*.vnnlib"

[[check]]
model = "{MODEL}"
spec = "{FAILS}"
expect = "sat"

[[check]]
model = "{MODEL}"
spec = "{FAILS}"
fail_on = ["undecided"]

[[check]]
model = "{MODEL}"
spec = "{broken}"

[[check]]
model = "{MODEL}"
spec = "{HOLDS}"
timeout = 0
"""
    copies = {f"copy_{n}.vnnlib": Path(source).read_text() for n, source in enumerate((HOLDS, FAILS))}
    outcomes, output = run(copies)  # specifications alone are no tests
    assert outcomes == {}
    outcomes, output = run({**copies, "all.certify.toml": text, "other.toml": "not = 'a suite'"})
    assert outcomes == {
        "digits_mlp-copy_0.vnnlib": "passed", "digits_mlp-copy_1.vnnlib": "failure",
        "digits_mlp-digits_mlp_1_eps0.08.vnnlib": "skipped", "digits_mlp-division.vnnlib": "failure",
        "digits_mlp-digits_mlp_0_eps0.1.vnnlib": "failure",
    }, output  # fmt: skip
    assert "3 failed, 3 passed, 1 skipped" in output
    assert "division.vnnlib:3:14" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no [[check]]"),
        ("[check]\nmodel = 'm'", "there is no [[check]]"),
        ("[[check]]\nmodel = 'm'", "check 1: expected spec, and either model or networks"),
        ("[[check]]\nmodel = 'm'\nspec = 's'\nnetworks = {}", "either model or networks"),
        ("[[check]]\nmodel = 1\nspec = 's'", "check 1: model is no str"),
        ("[[check]]\nmodel = 'm'\nspec = 's'\ntimeout = true", "timeout is no int or float"),
        ("[[check]]\nmodel = 'm'\nspec = 's'\nexpected = 'sat'", "unknown key 'expected'"),
        ("[[check]]\nmodel = 'm'\nspec = 's'\nexpect = 'yes'", "expect is 'yes'"),
        ("[[check]]\nmodel = 'm'\nspec = 'none/*.vnnlib'", "no file matches none/*.vnnlib"),
        ("[[check]]\nmodel = 'm'\nspec = 's'\nfail_on = ['sat']", "'sat' is not an outcome"),
        ("colour = 'red'\n[[check]]\nmodel = 'm'\nspec = 's'", "unknown key 'colour'"),
        ("[[check]", "not TOML"),
    ],
)
def test_a_suite_that_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    from certify.errors import InputError
    from certify.suite import read_suite

    path = tmp_path / "bad.certify.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_suite(path)
    assert message in str(caught.value)


def test_a_bad_suite_is_one_error(run) -> None:
    _, output = run({"bad.certify.toml": "[[check]]\nmodel = 'm'"})
    assert "bad.certify.toml: check 1: expected spec" in output
    assert "Traceback" not in output


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    heavy = ("numpy", "onnx", "onnxruntime", "torch")
    code = f"import sys, certify.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.strip() == "[]"
