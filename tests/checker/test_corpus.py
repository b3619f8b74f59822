"""The checker against certificates that are right and wrong (`make_corpus.py`): the right word for the right reason."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from certify.checker.__main__ import main

CHECKER = Path(__file__).resolve().parents[2] / "certify" / "checker"
CORPUS = Path(__file__).parent / "corpus"
INDEX = json.loads((CORPUS / "index.json").read_text())
CODES = {"accepted": 0, "rejected": 1, "malformed": 2, "unsupported": 3, "bounded": 4}
RIGHT = ("accepted/", "bounded/")
FILES = sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob("*/*.cert"))


@pytest.mark.parametrize("entry", FILES)
def test_the_checker_says_the_right_word_for_the_right_reason(entry: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = INDEX[entry]
    problem = [str(CORPUS / "problems" / known[key]) for key in ("model", "spec")]
    code = main([*problem, str(CORPUS / entry)])
    word, _, reason = capsys.readouterr().out.partition("\n")
    assert word == entry.split("/")[0], reason
    assert code == CODES[word]
    assert known["reason"] in reason


@pytest.mark.parametrize("entry", [f for f in FILES if f.startswith(RIGHT)])
def test_what_is_accepted_is_so_in_exact_arithmetic_too(entry: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem = [str(CORPUS / "problems" / INDEX[entry][key]) for key in ("model", "spec")]
    assert main([*problem, str(CORPUS / entry), "--exact"]) == CODES[entry.split("/")[0]], capsys.readouterr().out


def test_the_corpus_is_whole() -> None:
    assert set(FILES) == set(INDEX)
    refused = [entry for entry in FILES if not entry.startswith(RIGHT)]
    assert len(refused) >= 60
    assert sum(entry.startswith("rejected/") for entry in refused) >= 40


def code_lines(path: Path) -> int:
    """Lines that hold code: no blanks, comments or docstrings."""
    tree = ast.parse(path.read_text())
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(path.read_text().splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in texts for n, line in lines)


def test_the_checker_can_be_read_in_an_evening() -> None:
    assert sum(map(code_lines, CHECKER.glob("*.py"))) < 1500


def test_the_checker_starts_without_the_rest_of_certify() -> None:
    """Whatever it is given; with numpy and onnx alone."""
    program = (
        "import sys; from certify.checker.__main__ import main; import certify.checker.check;"
        "names = {n.split('.')[1] for n in sys.modules if n.startswith('certify.')};"
        "heavy = {'torch', 'onnxruntime', 'typer', 'highspy', 'scipy'} & set(sys.modules);"
        "print(names, heavy); sys.exit(names != {'checker'} or bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKER.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr
