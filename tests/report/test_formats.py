"""Every format is read back by a reader that we did not write, also where all names are hostile."""

from __future__ import annotations

import csv as csv_reader
import io
import json as json_reader
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from jsonschema import Draft4Validator
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt
from nasty import STATUSES, nasty

from certify.batch.record import Record
from certify.report import csv, github, json, junit, markdown, sarif
from certify.report.finding import findings
from certify.report.policy import Policy

SCHEMA = json_reader.loads((Path(__file__).parent / "sarif-2.1.0-rtm.5.json").read_text())
FAIL_ON_VIOLATED = Policy(frozenset({"violated"}))


def written(text: str) -> str:
    """A report as it lies in its file."""
    return text.encode("utf-8", "replace").decode("utf-8")


def test_junit() -> None:
    text = written(junit.text(findings(nasty(), FAIL_ON_VIOLATED), FAIL_ON_VIOLATED))
    (suite,) = JUnitXml.fromstring(text.encode())
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 1, 0, 3)
    results = [case.result[0] if case.result else None for case in suite]
    assert [type(result) for result in results] == [type(None), Failure, Skipped, Skipped, Skipped]
    assert results[1].type == "violated"
    assert suite.name.startswith("=a<b>&\"'`|*_[x](y)\n::error::,%25 ]]> \ufffd\ufffd{{ 7*7 }}</script>")
    assert "[0.25, -1.5]" in results[1].text
    strict = Policy()
    (suite,) = JUnitXml.fromstring(junit.text(findings(nasty(), strict), strict).encode("utf-8", "replace"))
    assert (suite.failures, suite.errors, suite.skipped) == (3, 1, 0)
    assert isinstance(list(suite)[4].result[0], Error)


def test_the_totals_of_junit_are_those_of_its_suites() -> None:
    records = [*nasty(), Record("1", "other", {"": "m"}, "s", 1.0, "unsat", wall=2.0)]
    root = ElementTree.fromstring(junit.text(findings(records, Policy()), Policy()).encode("utf-8", "replace"))
    for name in ("tests", "failures", "errors"):
        assert int(root.get(name, "")) == sum(int(suite.get(name, "")) for suite in root)
    assert [suite.get("time") for suite in root] == ["7.500", "2.000"]


@pytest.mark.parametrize("fail_on", [frozenset(), {"violated"}, {"violated", "undecided", "error"}])
def test_sarif(fail_on: set[str]) -> None:
    policy = Policy(frozenset(fail_on))
    document = json_reader.loads(sarif.text(findings(nasty(), policy), policy))
    Draft4Validator(SCHEMA).validate(document)
    (run,) = document["runs"]
    results = {result["properties"]["status"]: result for result in run["results"]}
    assert list(results) == [status for status in STATUSES if status != "unsat"]
    assert results["sat"]["kind"] == "fail"
    assert results["sat"]["level"] == ("error" if "violated" in fail_on else "warning")
    assert results["timeout"]["kind"] == ("fail" if "undecided" in fail_on else "open")
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        # 3.27.10 of the standard: what is no failure has no level.
        assert (result["kind"] == "fail") == (result["level"] != "none")
    assert len({result["partialFingerprints"]["instance/v1"] for result in run["results"]}) == 4


def test_the_schema_refuses_what_is_not_sarif() -> None:
    document = json_reader.loads(sarif.text(findings(nasty(), Policy()), Policy()))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not Draft4Validator(SCHEMA).is_valid(document)


def test_sarif_says_the_same_of_one_instance_in_every_run() -> None:
    def fingerprints(status: str) -> list[str]:
        record = Record("k", "c", {"": "onnx/m.onnx"}, "specs/s.vnnlib", 1.0, status, wall=len(status))
        run = json_reader.loads(sarif.text(findings([record], Policy()), Policy()))["runs"][0]
        return [result["partialFingerprints"]["instance/v1"] for result in run["results"]]

    assert fingerprints("sat") == fingerprints("timeout") != []


COMMAND = re.compile(r"::(?P<command>error|warning|notice) (?P<properties>[^\n]*?)::(?P<data>[^\n]*)")


def read_commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Workflow commands as the runner of GitHub reads them: one per line, then unescaped."""

    def data(value: str) -> str:
        return value.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")

    found = []
    for line in text.split("\n")[:-1]:
        match = COMMAND.fullmatch(line)
        assert match, line
        pairs = (pair.partition("=") for pair in match["properties"].split(","))
        properties = {name: data(value.replace("%3A", ":").replace("%2C", ",")) for name, _, value in pairs}
        found.append((match["command"], properties, data(match["data"])))
    return found


def test_github() -> None:
    found = findings(nasty(), FAIL_ON_VIOLATED)
    commands = read_commands(github.text(found, FAIL_ON_VIOLATED))
    assert [command for command, _, _ in commands] == ["error", "notice", "notice", "notice"]
    assert commands[0][1]["file"] == found[1].record.spec
    assert commands[0][1]["title"] == f"certify: {found[1].title}"
    assert commands[0][2] == found[1].message


@pytest.mark.parametrize("count", [1, 10, 11, 600])
def test_github_shows_ten_of_a_kind(count: int) -> None:
    def many(status: str) -> list[Record]:
        return [Record(f"{n}", "c", {"": "m.onnx"}, f"{n}.vnnlib", 1.0, status) for n in range(count)]

    policy = Policy(frozenset({"violated"}))
    records = [*many("sat"), *many("timeout"), *many("unsat"), *many("error")]
    commands = read_commands(github.text(findings(records, policy), policy))
    for kind, of_kind in (("error", count), ("notice", 2 * count)):
        mine = [command for command in commands if command[0] == kind]
        assert len(mine) == min(of_kind, 10)
        if of_kind > 10:
            assert mine[-1][2].startswith(f"{of_kind - 9} more (")


def test_csv() -> None:
    found = findings(nasty(), Policy(), "=run")
    rows = list(csv_reader.DictReader(io.StringIO(csv.text(found, Policy()), newline="")))
    assert [row["status"] for row in rows] == list(STATUSES)
    assert [row["mark"] for row in rows] == ["passed", "failed", "failed", "failed", "failed"]
    for row, finding in zip(rows, found, strict=True):
        assert row["spec"] == finding.record.spec
        assert float(row["bound"]) == -0.5
        assert row["category"] == f"'{finding.record.category}"
        assert row["run"] == "'=run"


def test_json() -> None:
    document = json_reader.loads(json.text(findings(nasty(), FAIL_ON_VIOLATED), FAIL_ON_VIOLATED))
    assert document["counts"] == {"proved": 1, "violated": 1, "undecided": 2, "error": 1}
    assert document["policy"]["fail_on"] == ["violated"]
    assert document["exit_code"] == 1
    assert [entry["spec"] for entry in document["instances"]] == [record.spec for record in nasty()]


def test_markdown() -> None:
    text = written(markdown.text(findings(nasty(), FAIL_ON_VIOLATED), FAIL_ON_VIOLATED))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    assert not [t.type for t in tokens if t.type in ("html_block", "code_block", "fence")]
    inline = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inline} == {"text"}
    rows = [t for t in tokens if t.type == "tr_open"]
    assert len(rows) == (1 + 1) + (1 + 3) + (1 + 5)
    shown = ["".join(child.content for child in t.children or []) for t in tokens if t.type == "inline"]
    assert any(" ".join(written(nasty()[1].spec).replace("\0", "\ufffd").split()) == cell for cell in shown)


def test_a_long_table_says_what_it_leaves_out() -> None:
    records = [Record(f"{n}", "c", {"": "m.onnx"}, f"{n}.vnnlib", 1.0, "unsat") for n in range(600)]
    records[-1] = Record("x", "c", {"": "m.onnx"}, "last.vnnlib", 1.0, "sat")
    text = markdown.text(findings(records, Policy()), Policy())
    assert "100 more are not shown." in text
    assert "last.vnnlib" in text  # failures come first
