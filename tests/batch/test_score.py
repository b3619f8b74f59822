"""The rules of each year against examples computed by hand from the reports and the organisers' scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from certify.batch.contest import Tool, hold, read_tool
from certify.batch.results import Row
from certify.batch.score import RULES, Answer, Standing, in_time, marks, rules_of, standings, total, without_overhead
from certify.batch.score_table import COLUMNS, as_csv, as_latex, as_text
from certify.errors import InputError

# Two instances, three tools. On the second one C contradicts A and B.
TIMES = {"A": (5.0, 2.0), "B": (5.5, 3.0), "C": (9.0, 4.0)}


def contest(year: int, first: str | None = "correct", second: str | None = "correct") -> dict[str, int]:
    """Points of A, B, C; first and second: the words for the counterexamples of A and B."""
    said = {
        tool: {1: Answer("unsat", seconds[0]), 2: Answer("unsat" if tool == "C" else "sat", seconds[1], word)}
        for (tool, seconds), word in zip(TIMES.items(), (first, second, None), strict=True)
    }
    said = {tool: without_overhead(RULES[year], answers) for tool, answers in said.items()}
    table = standings(RULES[year], [{tool: answers[i] for tool, answers in said.items()} for i in (1, 2)])
    return {tool: standing.points for tool, standing in table.items()}


@pytest.mark.parametrize(
    ("year", "words", "points"),
    [
        # The shortest times, 2, 3 and 4 s, are taken off: 3, 2.5 and 5 s on the first instance, so that B gets 12 and
        # A 11; 0 s, which counts as 1 s, on the second, where two tools outvote the third.
        (2021, (None, None), (11 + 12, 12 + 12, 10 - 100)),
        # The same times; one good counterexample decides.
        (2022, ("correct", "no_ce"), (11 + 12, 12 + 12, 10 - 100)),
        (2022, ("no_ce", "spec_not_violated"), (11 - 100, 12 - 100, 10 + 12)),
        # No bonus; one good counterexample serves everybody.
        (2023, ("correct", "no_ce"), (20, 20, 10 - 150)),
        (2023, ("no_ce", "exec_doesnt_match"), (10 - 150, 10 - 150, 20)),
        # Each counterexample for itself; only an exact one refutes.
        (2024, ("correct", "no_ce"), (20, 10 - 150, 10 - 150)),
        (2025, ("correct_up_to_tolerance", "correct"), (20, 20, 10 - 150)),
        (2025, ("correct_up_to_tolerance", "spec_not_violated"), (20, 10 - 150, 20)),
        (2026, ("correct_up_to_tolerance", "unsupported"), (20, 10, 20)),
        (2026, ("wrong_shape", "malformed_ce"), (10 - 150, 10 - 150, 20)),
    ],
)
def test_points(year: int, words: tuple[str | None, str | None], points: tuple[int, int, int]):
    assert contest(year, *words) == dict(zip("ABC", points, strict=True))


@pytest.mark.parametrize("year", [2022, 2023, 2024, 2026])
def test_nobody_is_judged_by_a_counterexample_that_nobody_looked_at(year: int):
    found = contest(year, None, None)
    assert all(points in (10, 11, 12) for points in found.values())


@pytest.mark.parametrize("year", RULES)
def test_undecided_is_worth_nothing(year: int):
    answers = {word: Answer(word, 1.0) for word in ("unknown", "timeout", "error")}
    assert {mark.points for mark in marks(RULES[year], answers).values()} == {0}


def test_what_chance_finds_is_easy_in_2021():
    answers = {"randgen": Answer("sat", 1.0), "A": Answer("sat", 1.0), "B": Answer("unsat", 1.0)}
    assert {tool: mark.points for tool, mark in marks(RULES[2021], answers).items()} == {
        "randgen": 1,
        "A": 1,
        "B": -100,
    }


def test_an_even_vote_decides_nothing():
    answers = {"A": Answer("sat", 1.0), "B": Answer("unsat", 1.0)}
    assert [mark.points for mark in marks(RULES[2021], answers).values()] == [0, 0]


@pytest.mark.parametrize(
    ("seconds", "points"),
    [
        ((1.0, 1.0, 1.3), (12, 12, 10)),
        ((1.0, 1.1, 1.25), (12, 12, 11)),
        ((1.0, 1.3, 1.4), (12, 11, 11)),
        ((3.0,), (12,)),
    ],
)
def test_the_bonus_for_time(seconds: tuple[float, ...], points: tuple[int, ...]):
    answers = {str(i): Answer("unsat", s) for i, s in enumerate(seconds)}
    assert tuple(mark.points for mark in marks(RULES[2022], answers).values()) == points


def test_late_is_undecided():
    assert in_time(Answer("sat", 60.5), 60.0).result == "timeout"
    assert in_time(Answer("sat", 60.0), 60.0).result == "sat"
    assert in_time(Answer("sat", 60.5), None).result == "sat"
    assert in_time(Answer("unknown", 60.5), 60.0).result == "unknown"


def test_percent_is_of_the_best_and_not_below_zero():
    instances: list[Mapping[str, Answer]] = [
        {"A": Answer("sat", 1.0, "correct"), "B": Answer("sat", 1.0, "correct"), "C": Answer("unsat", 1.0)},
        {"A": Answer("unsat", 2.0), "B": Answer("timeout", 2.0), "C": Answer("unknown", 2.0)},
        {"A": Answer("unsat", 2.0), "B": Answer("unsat", 2.0), "D": Answer("error", 2.0)},
    ]
    found = standings(RULES[2026], instances)
    assert {tool: (s.points, round(s.percent, 1)) for tool, s in found.items()} == {
        "A": (30, 100.0), "B": (20, 66.7), "C": (-150, 0.0),
    }  # fmt: skip
    assert found["A"] == Standing(30, verified=2, falsified=1, seconds=5.0, percent=100.0)


def test_where_all_are_wrong_nobody_gets_percents():
    found = standings(RULES[2026], [{"A": Answer("sat", 1.0, "no_ce")}])
    assert (found["A"].points, found["A"].percent) == (-150, 0.0)


def test_the_total_adds_percents_and_the_faster_wins_a_tie():
    benchmarks = {
        "one": {"A": Standing(10, percent=100.0, seconds=9.0), "B": Standing(5, percent=50.0, seconds=1.0)},
        "two": {"B": Standing(10, percent=50.0, seconds=1.0)},
    }
    assert [(t, s.percent, s.points) for t, s in total(benchmarks).items()] == [("B", 100.0, 15), ("A", 100.0, 10)]


def test_a_year_without_competition():
    with pytest.raises(InputError, match="no rules of 2020"):
        rules_of(2020)


def tool(name: str, *rows: tuple[str, str, float], folder: Path = Path("nowhere")) -> Tool:
    made = [Row("b", onnx, f"x/vnnlib/{Path(onnx).name.removesuffix('.gz')}.vnnlib", 0.0, r, s) for onnx, r, s in rows]
    return Tool(name, folder, made)


def test_instances_are_matched_wherever_the_files_lie():
    tools = [
        tool("A", ("./benchmarks/b/1.0/onnx/s/a.onnx", "unsat", 1.0), ("onnx/t/a.onnx", "sat", 1.0)),
        tool("B", ("onnx/t/a.onnx.gz", "unsat", 1.0), ("/home/onnx/s/a.onnx", "unsat", 1.0)),
    ]
    found = hold(tools, RULES[2021]).benchmarks["b"]
    assert sorted(sorted(answers) for answers in found) == [["A", "B"], ["A", "B"]]
    assert sum(len({a.result for a in answers.values()}) == 2 for answers in found) == 1


def test_what_only_measures_is_not_scored():
    tools = [tool("A", ("benchmarks/test/onnx/test_nano.onnx", "sat", 1.0), ("onnx/a.onnx", "unsat", 1.0))]
    assert len(hold(tools, RULES[2026]).benchmarks["b"]) == 1


def test_limits_come_from_the_list(tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "instances.csv").write_text("onnx/a.onnx,vnnlib/a.onnx.vnnlib,10\n")
    tools = [tool("A", ("onnx/a.onnx", "unsat", 11.0)), tool("B", ("onnx/a.onnx", "unsat", 9.0))]
    found = hold(tools, RULES[2026], [tmp_path])
    assert {name: a.result for name, a in found.benchmarks["b"][0].items()} == {"A": "timeout", "B": "unsat"}
    assert found.notes == []
    assert "no known time limit" in hold(tools, RULES[2026]).notes[0]


def test_names(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("b,a.onnx,p.vnnlib,0,unsat,1\n")
    for text, name in ((f"{tmp_path}/mine", "mine"), (f"x={tmp_path}/mine/results.csv", "x")):
        assert read_tool(text).name == name
    with pytest.raises(InputError, match="2 results are called mine"):
        hold([read_tool(f"{tmp_path}/mine")] * 2, RULES[2026])
    with pytest.raises(InputError, match="no such file"):
        read_tool(str(tmp_path))


TABLE = {"a_b": {"x": Standing(20, 1, 1, 0, 0, 3.0, 100.0), "y&z": Standing(10, 1, 0, 0, 0, 1.0, 50.0)}}


def test_tables():
    assert as_csv(TABLE).splitlines() == [
        ",".join(COLUMNS),
        "a_b,x,1,1,0,0,20,100.0,3.0",
        "a_b,y&z,1,0,0,0,10,50.0,1.0",
        "total,x,1,1,0,0,20,100.0,3.0",
        "total,y&z,1,0,0,0,10,50.0,1.0",
    ]
    assert as_text(TABLE).splitlines()[1].split() == ["a_b", "x", "1", "1", "0", "0", "20", "100.0", "3.0"]
    latex = as_latex(TABLE)
    assert r"a\_b & x & 1 & 1 & 0 & 0 & 20 & 100.0 & 3.0 \\" in latex
    assert r" & y\&z & 1 &" in latex
    assert latex.count(r"\midrule") == 2
