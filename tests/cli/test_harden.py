"""`certify harden` and `certify trojan implant`."""

from __future__ import annotations

import json

import pytest
from bundled import MODEL


def test_help_of_a_method_lists_its_settings(certify) -> None:
    result = certify("harden", "lat", "--help")
    assert result.exit_code == 0
    assert "--set latent_set=...  (ball|verifier, default ball)" in result.stdout
    assert "--set" in certify("harden", "--help").stdout


def test_list_shows_every_method(certify) -> None:
    from certify.interventions.base import method_names

    text = certify("harden", "--list").stdout
    assert all(f"{name}: " in text for name in method_names())


def test_a_model_is_written_with_its_record(certify, tmp_path) -> None:
    out = tmp_path / "out.onnx"
    arguments = ("--data", "digits:train", "--test", "digits:test", "-o", out, "--epochs", 1, "--set", "decay=0.01")
    result = certify("harden", "scope", MODEL, *arguments)
    assert result.exit_code == 0, result.output
    assert out.exists()
    assert "tax: " in result.stdout
    assert json.loads((tmp_path / "out.json").read_text())["settings"]["decay"] == 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope", MODEL), "there is no method 'nope'"),
        (("scope", MODEL, "--set", "decay"), "--set decay: expected KEY=VALUE"),
        (("scope", MODEL, "--set", "decay=a lot"), "--set decay=a lot: expected float"),
        (("scope", MODEL, "--set", "size=1"), "scope has no such setting"),
        (("scope", "missing.onnx"), "missing.onnx: no such file"),
    ],
)
def test_bad_input_is_one_line(certify, tmp_path, arguments, message) -> None:
    result = certify("harden", *arguments, "--data", "digits:train", "-o", tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert result.stderr.startswith("certify: error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_model_is_not_written_over(certify) -> None:
    result = certify("harden", "finetune", MODEL, "--data", "digits:train", "-o", MODEL)
    assert result.exit_code == 2


def test_a_trojan_is_implanted(certify, tmp_path) -> None:
    result = certify(
        "trojan", "implant", "-o", tmp_path, "--epochs", 1, "--specs", 2, "--position", "0,6", "--json", "-"
    )
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["trigger"]["places"] == [6, 7, 14, 15]
    assert len(list((tmp_path / "specs").glob("*.vnnlib"))) == facts["specs"] == 2


def test_a_position_is_two_numbers(certify, tmp_path) -> None:
    result = certify("trojan", "implant", "-o", tmp_path, "--position", "corner")
    assert result.exit_code == 2
